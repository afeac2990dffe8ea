"""The commands of commissioning, added to those of `gridtally-edge`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.commissioning.errors import CommissioningError
from edge.service import FORESEEN, exit_code
from hardware.errors import BadModelFile

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def add_to(app: typer.Typer) -> None:
    """Add every command to a program."""
    app.command(short_help="Say what caught bytes of a device mean.")(decode)


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
        _print_json(said.values, one_line=as_json)


def _print_json(value: Any, *, one_line: bool = False) -> None:
    print(json.dumps(value, indent=None if one_line else 2, ensure_ascii=False))


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
