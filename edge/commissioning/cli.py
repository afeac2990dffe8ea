"""The commands of commissioning, added to those of `gridtally-edge`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from edge.commissioning.errors import CommissioningError
from edge.commissioning.tables import show, show_json
from edge.service import FORESEEN, exit_code
from hardware.errors import BadModelFile

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
]
HERE: Final = Path("edge.toml")
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def add_to(app: typer.Typer) -> None:
    """Add every command to a program."""
    app.command(short_help="Say what caught bytes of a device mean.")(decode)
    app.command(short_help="Show every frame on a bus.")(trace)
    app.command(short_help="Feed a trace back through a driver.")(replay)


def decode(
    model: Annotated[
        str,
        typer.Argument(
            help="A model of the catalog, or the path of a model file: ./my_meter.toml.",
            metavar="MODEL",
        ),
    ],
    given: Annotated[
        list[str] | None,
        typer.Argument(
            help="Request and reply in hex (- for a request that is not known), one pair or more; "
            "or words of an I2C chip as NAME=WORD; or one VE.Direct HEX frame.",
            metavar="REQUEST_HEX REPLY_HEX",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="For vedirect: what was caught, as it came or as hex text; - reads standard "
            "input.",
            metavar="FILE",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the object on one line.")] = False,
) -> None:
    """Say what caught bytes of a device mean: one JSON object, in the device's own units.

    Frames of Modbus RTU, of Modbus TCP and bare PDUs are told apart by their length and checks.
    A value that the device says it does not have is null, what the model does not name stands
    under its address, and an exception is {"exception": 2}. Ends with 65 if CRC, checksum, length,
    id or function is wrong, and says which.

      gridtally-edge decode sdm120 "01 04 00 00 00 02 71 CB" "01 04 04 43 66 33 34 1B 38"

      gridtally-edge decode ./my_meter.toml 010300000001840A 010302096178D4

      gridtally-edge decode ina219 config=399F shunt=1F40 bus=5D98 cal=1000 current=1F40

      gridtally-edge decode vedirect --file block.bin

      gridtally-edge decode vedirect_hex :7DBED009E16D2
    """
    with told():
        from edge.commissioning.decoding import read_given

        said = read_given(model, given or (), file)
        for note in said.notes:
            print(f"note: {note}", file=sys.stderr)
        show_json(said.values, one_line=as_json)


def trace(
    bus: Annotated[str, typer.Argument(help="The name of a bus in edge.toml.", metavar="BUS")],
    config: Config = HERE,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="How long to listen.", metavar="N")
    ] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write to this file instead of standard output.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Show every frame on a bus: one line each, with its time, direction and bytes in hex.

    The running agent is asked for what it sends and hears. If none runs, the bus is opened and its
    meters are read over and over. People and replay read the same lines. End it with Ctrl-C.

      gridtally-edge trace rs485 --seconds 5

      gridtally-edge trace rs485 --seconds 60 --out night.trace

      gridtally-edge replay night.trace --model sdm120
    """
    with told():
        from edge.commissioning.tracing import lines_of_bus, write_lines
        from edge.service import loaded

        lines = lines_of_bus(loaded(config), bus, seconds, _tell)
        try:
            if out is None:
                for line in lines:
                    print(line, flush=True)
            else:
                _tell(f"{out}: {write_lines(out, lines)} frames")
        except KeyboardInterrupt:
            _tell("ended")


def replay(
    file: Annotated[Path, typer.Argument(help="What trace wrote.", metavar="FILE")],
    model: Annotated[
        str,
        typer.Option(help="A model of the catalog, or the path of a model file.", metavar="MODEL"),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An option that the model needs in edge.toml, as address=2; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Feed a trace back through the driver of a model, and show the samples it makes of it.

    No bus is touched. So a fault that was caught once can be looked at again, with another model
    or after a change to a model file.

      gridtally-edge replay night.trace --model sdm120

      gridtally-edge replay night.trace --model ./my_meter.toml --set address=3

      gridtally-edge replay i2c.trace --model ina219 --set shunt_mohm=100 --set current_max_ma=3200
    """
    with told():
        from edge.commissioning.replaying import COLUMNS, given_options, play
        from edge.trace import parse_trace

        text = file.read_text(encoding="utf-8", errors="replace")
        found = play(parse_trace(text, file), model, given_options(options or ()))
        if as_json:
            show_json([each.as_json for each in found])
            return
        show(f"{file}, as {model} reads it", COLUMNS, [each.cells for each in found])


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def told() -> Iterator[None]:
    """Tell every foreseen failure in one sentence, and end with its exit code."""
    try:
        yield
    except FORESEEN as error:
        print(error, file=sys.stderr)
        raise typer.Exit(_code_of(error)) from None


def _code_of(error: Exception) -> int:
    if isinstance(error, CommissioningError):
        return error.exit_code
    return os.EX_CONFIG if isinstance(error, BadModelFile) else exit_code(error)
