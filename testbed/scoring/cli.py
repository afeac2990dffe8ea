"""The command `score` of the testbed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.telling import told

if TYPE_CHECKING:
    from testbed.scoring.playing import Played


def add_commands(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(short_help="Score dispatch policies on scenarios of faults and islands.")(score)


def score(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            help="Shipped ones or files ending in .toml; default: all that are made for it.",
            metavar="[SCENARIO]...",
        ),
    ] = None,
    *,
    policy: Annotated[
        str, typer.Option(help="Which, with commas between; default: all.", metavar="NAME,...")
    ] = "",
    seed: Annotated[
        int | None, typer.Option(help="Another phase of the meters, other random hours.", min=0)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON instead of tables.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write a page of Markdown here, too.", metavar="FILE")
    ] = None,
) -> None:
    """Play scenarios on virtual time and score what is not served and which limits are exceeded.

    The hub's policies, dispatcher, leases and ledger and the guards' lease rules are the real code;
    no process is started. Beside them play two baselines: no control, and threshold control with
    hysteresis on measured import and on the bus. A scenario of ten minutes takes some seconds for
    each policy. The same seed gives the same scores.

    gridtally-testbed score outage

    gridtally-testbed score --policy priority,rotation --seed 3

    gridtally-testbed scenarios outage > mine.toml

    gridtally-testbed score mine.toml --json
    """
    with told():
        from testbed.scenario import scored

        runs = _play(tuple(scenarios or scored()), policy, seed)
        _show(runs, as_json, out)


def _play(names: tuple[str, ...], policy: str, seed: int | None) -> list[tuple[str, Played]]:
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import Progress

    from testbed.scenario import load_scenario
    from testbed.scoring.playing import controls, play

    chosen = controls(tuple(name.strip() for name in policy.split(",") if name.strip()))
    loaded = [(name, load_scenario(name)) for name in dict.fromkeys(names)]
    runs = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("SIMULATION", total=len(loaded) * len(chosen))
        for name, scenario in loaded:
            played = scenario if seed is None else replace(scenario, seed=seed)
            for control in chosen:
                bar.update(task, description=f"SIMULATION {name}, {control}")
                runs.append((Path(name).stem, play(played, control)))
                bar.advance(task)
    return runs


def _show(runs: list[tuple[str, Played]], as_json: bool, out: Path | None) -> None:
    from testbed.scoring.outcome import json_line, outcomes
    from testbed.scoring.table import lines, page

    found = tuple(outcomes(runs))
    if as_json:
        print(json_line(found))
    else:
        print("SIMULATION: no real meter, relay or load is behind these figures.\n")
        for outcome in found:
            for line in lines(outcome):
                print(line)
    if out is not None:
        out.write_text(page(found), "utf-8")
        print(f"{out}: written", file=sys.stderr)
