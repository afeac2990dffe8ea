"""The command line of the testbed. Standard output holds what was asked for; all else is stderr."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.compare.cli import add_commands as add_market_commands
from testbed.detecting.cli import add_commands as add_detecting_commands
from testbed.errors import BadScenario, BrokerRefused, LedgerDisagrees
from testbed.layout import HOMES_AN_EDGE
from testbed.scoring.cli import add_commands as add_score_command
from testbed.switchboard.cli import add_commands as add_fault_command
from testbed.telling import told
from testbed.torture.cli import add_command as add_torture_command

if TYPE_CHECKING:
    from testbed.simulate import Wanted

app = typer.Typer(
    name="gridtally-testbed",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A whole simulated microgrid on one machine, through the real programs: broker, hub, "
    "page, guards and edges as processes, simulated wires behind the real drivers.\n\n"
    "  gridtally-testbed demo                             three prosumers, one day in a minute\n\n"
    "  gridtally-testbed demo --scenario homes --homes homes.csv.gz\n\n"
    "  gridtally-testbed scenarios                        what else can be played\n\n"
    "  gridtally-testbed fault list                       what can go wrong in a running demo\n\n"
    "  gridtally-testbed score outage                     dispatch policies, islands and faults\n\n"
    "  gridtally-testbed compare --out report             market contracts over the same homes\n\n"
    "  gridtally-testbed torture                          kill, freeze, cut, fill: what holds?\n\n"
    "  gridtally-testbed simulate sdm120 --load-w 500     one device alone, for your own software",
)


@app.callback()
def _program() -> None:
    """Make `demo` a command of its own, though there are few."""


@app.command(short_help="Play a simulated microgrid and show what it comes to.")
def demo(
    *,
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario, or a file ending in .toml.", metavar="S")
    ] = "",
    homes: Annotated[
        Path | None, typer.Option(help="Measured homes, CSV or gzipped CSV.", metavar="FILE")
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(help="Times real time, or max; default: what the scenario says.", metavar="X"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Other random hours; the same again with the same.", min=0)
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Keep everything here: configurations, keys, ledger.", metavar="DIR"),
    ] = None,
    leave: Annotated[
        bool, typer.Option("--exit", help="End after the summary instead of serving on.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON instead of the summary.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="Of the page; default 8088, or a free one.", min=1, max=65535)
    ] = None,
    broker: Annotated[str, typer.Option(help="embedded or mosquitto.")] = "embedded",
    contract: Annotated[
        str,
        typer.Option(
            help="Another market than the scenario's, as double_auction; where it keeps an order "
            "book, the simulated members place orders.",
            metavar="NAME",
        ),
    ] = "",
    homes_per_edge: Annotated[
        int, typer.Option(help="How many homes one edge process reads.", min=1, max=120)
    ] = HOMES_AN_EDGE,
) -> None:
    """Start a whole microgrid, play it, and show who sold what to whom, and why that is true.

    Everything but wires and time is the production code, and says SIMULATION. It goes on serving
    its page until Ctrl-C, unless --exit is given. With --state every gridtally-hub and
    gridtally-edge command can be tried on the folder, during the run and afterwards:

      gridtally-testbed demo

      gridtally-testbed demo --speed max --exit --state demo-state

      gridtally-testbed demo --contract double_auction

      gridtally-testbed demo --scenario homes --homes homes.csv.gz --exit --json

      gridtally-hub audit --config demo-state/hub.toml
    """
    from testbed.demo import Options

    with told():
        if broker not in ("embedded", "mosquitto"):
            raise BrokerRefused(f"--broker {broker}: it is embedded or mosquitto")
        options = Options(
            scenario=scenario or ("homes" if homes else "paper000"),
            homes=homes,
            speed=_speed(speed),
            seed=seed,
            state=state,
            port=port,
            broker=broker,
            homes_an_edge=homes_per_edge,
            contract=contract,
            switchboard=not leave,
        )
        _demo(options, leave=leave, as_json=as_json)


@app.command(short_help="List the shipped scenarios.")
def scenarios(
    name: Annotated[
        str | None, typer.Argument(help="Print this one's file, to copy and change.")
    ] = None,
) -> None:
    """List the shipped scenarios, or print one as a file to begin a new one from.

    gridtally-testbed scenarios paper000 > mine.toml

    gridtally-testbed demo --scenario mine.toml
    """
    from testbed.scenario import load_scenario, scenario_text, shipped

    with told():
        if name is not None:
            print(scenario_text(name), end="")
            return
        for each in shipped():
            print(f"{each:<18} {load_scenario(each).title}")


@app.command(short_help="Serve one simulated device alone, for your own software.")
def simulate(
    model: Annotated[
        str | None, typer.Argument(help="A device; without one, list them all.", metavar="MODEL")
    ] = None,
    *,
    tcp: Annotated[str, typer.Option(help="Serve Modbus TCP here.", metavar="HOST:PORT")] = "",
    rtu_tcp: Annotated[
        str, typer.Option(help="Serve RTU frames over TCP, as gateways do.", metavar="HOST:PORT")
    ] = "",
    pty: Annotated[
        str, typer.Option(help="Serve a serial line; this path becomes a link.", metavar="LINK")
    ] = "",
    baud: Annotated[
        int, typer.Option(help="Let a serial line take its time; 0: none.", min=0, max=1_000_000)
    ] = 0,
    address: Annotated[
        int, typer.Option(help="Modbus id; default: the device's own.", min=0, max=247)
    ] = 0,
    load_w: Annotated[int, typer.Option(help="What the load takes. [W]", metavar="W")] = 0,
    pv_w: Annotated[int, typer.Option(help="What the panels make. [W]", min=0, metavar="W")] = 0,
    energy_wh: Annotated[
        int, typer.Option(help="What its counter has at the start. [Wh]", min=0, metavar="WH")
    ] = 0,
    fault: Annotated[
        list[str] | None, typer.Option(help="Begin with this fault; may be repeated.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print where it is as one line of JSON.")
    ] = False,
) -> None:
    """Serve one simulated device, register by register as the real one has them, until Ctrl-C.

    Any program for that device works against it. Faults can be switched, and what it measures
    changed, by lines typed while it runs: load 800, pv 300, fault silent on, faults.

      gridtally-testbed simulate

      gridtally-testbed simulate sdm120 --tcp 127.0.0.1:5020 --load-w 500 --pv-w 200

      gridtally-testbed simulate epever_tracer --pty /tmp/epever --pv-w 120 --fault night_silence
    """
    with told():
        if model is None:
            _list_devices(as_json)
            return
        from testbed.in_python import python_lines
        from testbed.simulate import Wanted, wire_for

        lines = python_lines(model)
        if lines is not None:
            print(lines, file=sys.stderr if as_json else sys.stdout)
            raise typer.Exit(os.EX_USAGE)
        wire = wire_for(tcp, rtu_tcp, pty, baud)
        amounts = {"load_w": load_w, "pv_w": pv_w, "energy_wh": energy_wh}
        _simulate(Wanted(model, wire, address, faults=tuple(fault or ()), **amounts), as_json)


def _list_devices(as_json: bool) -> None:
    import json

    from hardware.mock.catalog import SIMULATORS
    from testbed.in_python import ON_PINS

    rows = [
        (name, ", ".join(each.wires), f"{each.baud} {each.serial_form}", each.title)
        for name, each in SIMULATORS.items()
    ]
    rows = [(*row[:2], "" if row[1] in ("tcp", "i2c") else row[2], row[3]) for row in rows]
    rows += [(name, "pins", "", "A relay on pins of the node") for name in ON_PINS]
    if as_json:
        keys = ("model", "wires", "line", "title")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    for name, wires, line, title in rows:
        print(f"{name:<20}{wires:<10}{line:<12}{title}")
    print("i2c, pins: not servable over TCP; `gridtally-testbed simulate ina219` shows how instead")


def _simulate(wanted: "Wanted", as_json: bool) -> None:
    import json

    from testbed.simulate import Running, obey_lines

    running = Running(wanted)
    try:
        facts = {"model": wanted.model, "at": running.where, "address": running.address}
        place = f" with id {running.address}" if running.address else ""
        text = f"{running.entry.title}{place} at {running.where}"
        print(json.dumps(facts) if as_json else f"{text}; Ctrl-C ends it", flush=True)
        obey_lines(running, sys.stdin)
    finally:
        running.close()


def _demo(options: object, *, leave: bool, as_json: bool) -> None:
    from rich.console import Console

    from testbed.demo import Options, Outcome, run_demo, serve_on, show_outcome
    from testbed.play import Play
    from testbed.stage import Stage
    from testbed.supervisor import stop_on_signals

    if not isinstance(options, Options):
        raise AssertionError("the caller made Options")
    stop_on_signals()
    stderr = Console(stderr=True)

    def finished(stage: Stage, play: Play, outcome: Outcome) -> None:
        if as_json:
            print(outcome.json, flush=True)
        else:
            show_outcome(Console(width=None if sys.stdout.isatty() else 120), outcome)
            sys.stdout.flush()
        if leave:
            return
        stderr.print(
            f"Still serving http://127.0.0.1:{stage.installation.web_port} - Ctrl-C ends it.",
            highlight=False,
        )
        serve_on(play)

    outcome = run_demo(options, stderr, finished)
    if not outcome.verdict.verified:
        raise LedgerDisagrees("the ledger does not verify: see above")
    outcome.accounts.require_equal()


def _speed(text: str | None) -> float | None:
    """Return the factor; 0 is as fast as it goes, None is not said."""
    if text is None:
        return None
    if text == "max":
        return 0.0
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.01 <= factor <= 1e6:
        raise BadScenario(f"--speed {text}: wanted a number from 0.01 up, or max")
    return factor


add_fault_command(app)
add_market_commands(app)
add_torture_command(app)
add_detecting_commands(app)
add_score_command(app)


if __name__ == "__main__":
    app()
