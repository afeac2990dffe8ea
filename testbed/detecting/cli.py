"""`gridtally-testbed detect`: detection rate, false alarms and time of the hub's detector."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.telling import told

if TYPE_CHECKING:
    from testbed.detecting.trials import Outcome

HOUR_MS = 3_600_000


def add_commands(app: typer.Typer) -> None:
    """Add the command to the testbed's."""
    app.command(short_help="How often the detector of wrong meters is right, wrong, and late.")(
        detect
    )


def detect(
    *,
    n: Annotated[int, typer.Option("--n", help="Microgrids a case.", min=1, max=10_000)] = 5,
    seed: Annotated[int, typer.Option(help="Other homes, meters and hours.", min=0)] = 1,
    score: Annotated[
        float, typer.Option(help="Standard errors from which a finding counts.", min=1)
    ] = 5.0,
    homes: Annotated[
        Path | None,
        typer.Option(help="Measured homes instead of drawn ones, CSV or gzipped CSV.", metavar="F"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Let one meter of a microgrid be wrong, and see whether it is named, when, and who else is.

    Each case plays N microgrids of four weeks: honest ones, meters that show a share too little,
    panels that do, a meter that is bypassed, and one under whose key another's readings come.
    Losses and the class of every meter are drawn, too. About two seconds a microgrid and core.

      gridtally-testbed detect --n 20 --seed 1

      gridtally-testbed detect --homes homes.csv.gz --json
    """
    from hub.watching.suspects import Rules
    from testbed.detecting.street import drawn_street, measured_street
    from testbed.detecting.trials import CASES, play
    from testbed.homes import read_homes

    with told():
        measured = None if homes is None else read_homes(homes)
        street = None if measured is None else measured_street(measured)
        slot_ms = HOUR_MS if measured is None else measured.slot_ms
        outcomes = []
        with _bar(len(CASES) * n) as tell:
            for case in CASES:
                for number in range(n):
                    trial = seed * 1_000_003 + number
                    houses = street or drawn_street(trial)
                    outcomes.append(play(houses, slot_ms, case, trial, Rules(score_min=score)))
                    tell(len(outcomes))
        rows = list(rows_of(outcomes))
        if as_json:
            print(json.dumps({"seed": seed, "n": n, "score": score, "cases": rows}))
        else:
            print("\n".join(table_of(rows)))


def _bar(total: int) -> Any:
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import Progress

    @contextmanager
    def shown() -> Iterator[Any]:
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("looking", total=total)
            yield lambda done: bar.update(task, completed=done)

    return shown()


def rows_of(outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    """Yield what each case comes to."""
    from testbed.detecting.trials import YEAR_MS

    for case in dict.fromkeys(each.case for each in outcomes):
        mine = [each for each in outcomes if each.case == case]
        after = [each.after_ms for each in mine if each.after_ms is not None]
        years = sum(each.meter_ms for each in mine) / YEAR_MS
        wrongly = sum(each.wrongly for each in mine)
        yield {
            "case": case.name,
            "strength": case.strength,
            "trials": len(mine),
            "found": len(after),
            "median_h": median(after) / HOUR_MS if after else None,
            "slowest_h": max(after) / HOUR_MS if after else None,
            "wrongly_named": wrongly,
            "meter_years": round(years, 2),
            "false_per_meter_year": round(wrongly / years, 3),
            "nobody_shows_it": sum(each.unowned for each in mine),
        }


def table_of(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table, as docs/detector.md has them."""
    yield "| case | found | median, slowest | named wrongly | false alarms a meter-year |"
    yield "|---|---|---|---|---|"
    for row in rows:
        share = f", {row['strength']:.0%}" if row["strength"] else ""
        found = f"{row['found']} of {row['trials']}" if row["strength"] else "nothing to find"
        late = "-"
        if row["median_h"] is not None:
            late = f"{row['median_h']:.0f} h, {row['slowest_h']:.0f} h"
        yield (
            f"| {row['case']}{share} | {found} | {late} | {row['wrongly_named']} | "
            f"{row['false_per_meter_year']:.2f} in {row['meter_years']:.1f} |"
        )
