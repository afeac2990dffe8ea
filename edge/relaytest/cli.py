"""The command `gridtally-edge relay test`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from edge.relaytest.errors import RelayTestEnded
from edge.service import loaded, log_to_stderr, told

YES: Final = ("y", "yes")

if TYPE_CHECKING:
    from edge.relaytest.halting import Halt
    from edge.relaytest.trial import Outcome


def add_to(app: typer.Typer) -> None:
    """Add the group `relay` to a program."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Try relays by hand, and let them move again.",
    )
    group.command("test", short_help="Does a relay do to its load what is written?")(try_relay)
    group.command("allow", short_help="Let relays move again after many short starts.")(allow)
    app.add_typer(group, name="relay", short_help="Try relays by hand.")


def allow(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
    ] = Path("edge.toml"),
) -> None:
    """End *metering only*: forget starts of guard and agent that ended too soon.

    After five starts in a row that ended within a minute relays stay safe, since each new start
    could move them again. Find out first what ends the programs: a supply too weak for a coil, a
    pin that cannot be claimed; `journalctl -u gridtally-guard -u gridtally-edge` has their words.
    Programs that run notice it within a second.

      gridtally-edge relay allow
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.boots import forget

        found = forget(Path(loaded(config).state))
        for program, short in found.items():
            print(f"{program}: {short} short starts in a row, forgotten")
        if not found:
            print("no start ended too soon: nothing was held")


def try_relay(
    relay: Annotated[str, typer.Argument(help="The name of a relay.", metavar="RELAY")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The node's configuration file.", metavar="FILE")
    ] = Path("edge.toml"),
    settle_s: Annotated[
        float,
        typer.Option(
            "--settle-s",
            help="How long each position is kept before it is measured; at least min_on_ms and "
            "min_off_ms.",
            min=0.02,
            max=3_600.0,
            metavar="S",
        ),
    ] = 3.0,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: the load may be switched.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Release, energise and release a relay, and see by the meter of its load what that did.

    Only while agent and guard of this node are stopped. Asks before each switch. Says in plain
    words whether it works, does not follow, is wired the other way round or welded, or whether
    the meter named as its load measures something else. The relay is released in the end, also
    after Ctrl-C, an error or SIGTERM. Ends with 0 if it works, else with 69.

      gridtally-edge relay test dep1-heater-relay

      gridtally-edge relay test dep1-heater-relay --yes --settle-s 10 --json
    """
    log_to_stderr(verbose=False)
    with told():
        from edge.relaytest.halting import Halt
        from edge.relaytest.opening import relay_table, run_test

        settings = loaded(config)
        table = relay_table(settings, relay)
        if table.critical and not yes:
            print(f"{relay} switches a CRITICAL load", file=sys.stderr)
        with Halt() as halt:
            outcome = run_test(settings, relay, settle_s, _Asker(halt, yes), halt.pause)
        if as_json:
            print(json.dumps(as_values(relay, outcome)))
        else:
            print(f"{relay}: {outcome.verdict.words}")
        if not outcome.verdict.works:
            raise typer.Exit(os.EX_UNAVAILABLE)


def as_values(relay: str, outcome: Outcome) -> dict[str, Any]:
    """Return what `--json` prints; powers in mW."""
    return {
        "relay": relay,
        "works": outcome.verdict.works,
        "verdict": outcome.verdict.kind,
        "words": outcome.verdict.words,
        "positions": [asdict(each) for each in outcome.positions],
    }


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks on the terminal, unless all was agreed to before."""

    halt: Halt
    is_agreed: bool

    def agree(self, question: str) -> None:
        """Ask beside what was asked for; no answer is no."""
        if self.is_agreed:
            return
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        with self.halt.heeded():
            answer = sys.stdin.readline()
        if answer.strip().lower() not in YES:
            raise RelayTestEnded("ended: not agreed")

    def tell(self, text: str) -> None:
        """Say it beside what was asked for."""
        print(text, file=sys.stderr)
