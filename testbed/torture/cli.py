"""The command `torture` of the testbed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.telling import told

if TYPE_CHECKING:
    from testbed.torture.suite import Results, Wanted

FAILURES_SHOWN = 5
EXIT_STOPPED = 130  # as shells have it for Ctrl-C


def add_command(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(short_help="Play faults on running processes, and see whether everything holds.")(
        torture
    )


def torture(
    *,
    faults: Annotated[
        str, typer.Option(help="Which, with commas between; default: all.", metavar="NAME,...")
    ] = "",
    n: Annotated[int, typer.Option("--n", help="At least so many trials of each.", min=1)] = 30,
    seed: Annotated[
        int, typer.Option(help="Other random moments; the same again with the same.", min=0)
    ] = 1,
    broker: Annotated[
        str,
        typer.Option(help="embedded or mosquitto; default: mosquitto where it is installed."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON instead of the table.")
    ] = False,
) -> None:
    """Play faults on a running testbed with ten relays, and measure whether all contacts get safe.

    Every program is the real one; wires and time are simulated. One fault hits ten relays, which is
    ten trials; 1,000 hostile relay commands are one. Leases live one second where that counts.

      hub_kill, hub_stop      killed, frozen: safe within the lease + 0.2 s

      broker_kill, cable_cut  nothing gets through: within the lease + 0.2 s

      agent_kill, agent_stop  killed, frozen: safe within 0.1 s and 2.1 s

      guard_kill              safe within 0.1 s

      disk_full               nothing is lost, and it goes on within 10 s

      clock_jump              no contact moves for it

      hostile_leases          none is obeyed

    disk_full and clock_jump need a C compiler.

    Beside that everything signed must be on the ledger once. It ends with 70 if anything failed.

      gridtally-testbed torture

      gridtally-testbed torture --faults hub_kill,cable_cut --n 100

      gridtally-testbed torture --json > commissioning.json
    """
    from testbed.errors import BrokerRefused, PromiseBroken
    from testbed.supervisor import stop_on_signals
    from testbed.torture.suite import Wanted, chosen, usual_broker

    with told():
        if broker not in ("", "embedded", "mosquitto"):
            raise BrokerRefused(f"--broker {broker}: it is embedded or mosquitto")
        wanted = Wanted(chosen(faults), n, seed, broker or usual_broker())
        stop_on_signals()
        try:
            results = _play(wanted, strict=bool(faults))
        except KeyboardInterrupt:
            print("stopped; nothing is left behind", file=sys.stderr)
            raise typer.Exit(EXIT_STOPPED) from None
        for name, reason in results.skipped.items():
            print(f"{name} was not played: {reason}", file=sys.stderr)
        for tally in results.in_order:
            for failure in tally.failures[:FAILURES_SHOWN]:
                print(f"{tally.fault}: {failure}", file=sys.stderr)
        if as_json:
            print(results.json, flush=True)
        else:
            _show(results, wanted)
        if not results.is_whole:
            failed = [tally.fault for tally in results.in_order if not tally.is_whole]
            raise PromiseBroken(f"not everything held: {', '.join(failed)}")


def _play(wanted: Wanted, *, strict: bool) -> Results:
    from rich.console import Console

    from testbed.torture.suite import play
    from testbed.torture.trials import Fault, Tally

    console = Console(stderr=True)
    with console.status("starting broker, hub, guards, agents") as status:

        def watch(fault: Fault, tally: Tally) -> None:
            done = f"{tally.trials} of {wanted.n}"
            text = f"{fault.name}: {fault.title}, {done}, worst {tally.worst_ms:,.0f} ms"
            status.update(text)
            if tally.is_settled and not console.is_terminal:
                print(text, file=sys.stderr, flush=True)

        return play(wanted, watch, strict=strict)


def _show(results: Results, wanted: Wanted) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"SIMULATION, seed {results.seed}, {wanted.broker} broker")
    table.add_column("fault")
    for name in ("trials", "failed", "worst ms", "limit ms", "lost", "duplicated", "obeyed"):
        table.add_column(name, justify="right")
    for tally in results.in_order:
        hostile = str(tally.hostile_obeyed) if tally.fault == "hostile_leases" else ""
        counts = (tally.trials, tally.failed)
        times = (f"{tally.worst_ms:,.0f}", f"{tally.limit_ms:,.0f}")
        table.add_row(
            tally.fault,
            *map(str, counts),
            *times,
            str(tally.lost),
            str(tally.duplicated),
            hostile,
        )
    Console(width=None if sys.stdout.isatty() else 110).print(table)
