"""The commands of commissioning, added to those of `gridtally-edge`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from edge.service import told

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
]
Port = Annotated[str, typer.Option("--port", help="A serial port.", metavar="FILE")]
HERE: Final = Path("edge.toml")
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def add_to(app: typer.Typer) -> None:
    """Add every command to a program."""
    app.command(short_help="Say what caught bytes of a device mean.")(decode)
    app.command(short_help="Find every device, and say what it is.")(scan)
    app.command(short_help="Read unknown registers in every way.")(probe)
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
        from edge.commissioning.tables import show_json

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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each frame.")
    ] = False,
) -> None:
    """Show every frame on a bus: one line each, with its time, direction and bytes in hex.

    The running agent is asked for what it sends and hears. If none runs, the bus is opened and its
    meters are read over and over. People and replay read the same lines. End it with Ctrl-C.

      gridtally-edge trace rs485 --seconds 5

      gridtally-edge trace rs485 --seconds 60 --out night.trace

      gridtally-edge replay night.trace --model sdm120
    """
    with told():
        from edge.commissioning.tracing import json_lines, lines_of_bus, write_lines
        from edge.service import loaded

        lines = lines_of_bus(loaded(config), bus, seconds, _tell)
        if as_json:
            lines = json_lines(lines)
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
        from edge.commissioning.tables import show, show_json
        from edge.trace import parse_trace

        text = file.read_text(encoding="utf-8", errors="replace")
        found = play(parse_trace(text, file), model, given_options(options or ()))
        if as_json:
            show_json([each.as_json for each in found])
            return
        show(f"{file}, as {model} reads it", COLUMNS, [each.cells for each in found])


def scan(
    *,
    i2c: Annotated[
        list[str] | None,
        typer.Option("--i2c", help="An I2C bus, as /dev/i2c-1; may be repeated.", metavar="FILE"),
    ] = None,
    ports: Annotated[
        list[str] | None,
        typer.Option("--ports", help="A serial port, or a folder of them.", metavar="PATH"),
    ] = None,
    tcp: Annotated[
        list[str] | None,
        typer.Option("--tcp", help="A Modbus TCP server or gateway.", metavar="HOST[:PORT]"),
    ] = None,
    rtu_tcp: Annotated[
        list[str] | None,
        typer.Option("--rtu-tcp", help="A serial server that carries RTU.", metavar="HOST:PORT"),
    ] = None,
    bus: Annotated[
        str, typer.Option(help="A bus of edge.toml, as it is configured.", metavar="NAME")
    ] = "",
    config: Config = HERE,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only the usual ids and settings of known models.")
    ] = False,
    ids: Annotated[
        str | None, typer.Option(help="Only these Modbus ids, as 1-5,11.", metavar="LIST")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Write a configuration to this new file.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find every device on the buses of this machine, and say what it is believed to be, and why.

    Without options every I2C bus and every serial port is scanned; with some, only what they name.
    Only reads are sent. I2C addresses are asked one by one; serial ports are listened to for
    VE.Direct, then Modbus ids are asked at the usual speeds; Modbus TCP hosts must be named, and
    SunSpec devices are followed through their list of models. A whole serial port can take some
    minutes, with --quick half a minute.

      gridtally-edge scan --quick

      gridtally-edge scan --tcp 192.168.1.7 --tcp 192.168.1.8:1502

      gridtally-edge scan --ports /dev/ttyUSB0 --ids 1-20

      gridtally-edge scan --write edge.toml
    """
    with told():
        from edge.commissioning.draft import check_free
        from edge.commissioning.scan_lines import Effort
        from edge.commissioning.scan_report import finish, progress
        from edge.commissioning.scanning import Where, parse_ids
        from edge.commissioning.scanning import scan as scan_places

        where = Where(
            i2c=i2c or (),
            ports=ports or (),
            tcp=tcp or (),
            rtu_tcp=rtu_tcp or (),
            bus=bus,
            config=config,
        )
        if write is not None:
            check_free(write)
        effort = Effort(quick=quick, ids=parse_ids(ids) if ids else None)
        found = []
        with progress() as tell:
            try:
                for each in scan_places(where, effort, tell):
                    found.append(each)
            except KeyboardInterrupt:
                _tell("ended early: this is what was found so far")
        finish(found, write, as_json=as_json)


def probe(
    *,
    device: Annotated[
        str,
        typer.Argument(help="The Modbus id, or the I2C address: 1 or 0x40.", metavar="ADDRESS"),
    ],
    register: Annotated[
        str,
        typer.Argument(help="The first register, from 0: 0x0C or 12.", metavar="REGISTER"),
    ],
    count: Annotated[
        int | None,
        typer.Argument(help="How many registers; else 4, 2 or 1.", min=1, max=125, metavar="COUNT"),
    ] = None,
    bus: Annotated[str, typer.Option(help="A bus of edge.toml.", metavar="NAME")] = "",
    config: Config = HERE,
    port: Port = "",
    baud: Annotated[int, typer.Option(help="Its speed.")] = 9_600,
    parity: Annotated[str, typer.Option(help="Its parity: N, E or O.")] = "N",
    stopbits: Annotated[int, typer.Option(help="Its stop bits: 1 or 2.")] = 1,
    tcp: Annotated[str, typer.Option(help="A Modbus TCP server.", metavar="HOST[:PORT]")] = "",
    i2c: Annotated[str, typer.Option(help="An I2C bus, as /dev/i2c-1.", metavar="FILE")] = "",
    function: Annotated[
        int | None,
        typer.Option(
            help="3 holding, 4 input registers, 1 coils, 2 inputs; else 4 and 3.", min=1, max=4
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(help="What one of them should say now: it is marked.", metavar="NUMBER"),
    ] = None,
    within: Annotated[
        float, typer.Option(help="How far off it may be, in percent.", min=0.0, max=50.0)
    ] = 5.0,
    as_json: Json = False,
) -> None:
    """Show registers of an unknown device in every type and word order side by side.

    Which one is the 230 V of the mains? --expect marks it, in any usual scale, and says what to
    write into a model file.

      gridtally-edge probe --port /dev/ttyUSB0 --baud 2400 1 0x0000 --expect 230

      gridtally-edge probe --tcp 192.168.1.7 1 40000 4

      gridtally-edge probe --bus rs485 1 0x0C 2 --function 4 --expect 512

      gridtally-edge probe --i2c /dev/i2c-1 0x40 0 6
    """
    with told():
        from edge.commissioning.places import BusChoice, opened
        from edge.commissioning.probe_report import expected_value, report, whole_number
        from edge.commissioning.probing import Wanted, ask

        choice = BusChoice(
            bus=bus,
            config=config,
            port=port,
            baud=baud,
            parity=parity,
            stopbits=stopbits,
            tcp=tcp,
            i2c=i2c,
        )
        value = expected_value(expect)
        wanted = Wanted(
            device=whole_number(device, "ADDRESS"),
            register=whole_number(register, "REGISTER"),
            count=count,
            function=function,
        )
        with opened(choice) as (kind, wires):
            found = ask(kind, wires, wanted)
        report(found, value, within, as_json=as_json)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
