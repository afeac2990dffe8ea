"""Scores for people: a table on the terminal, and a page for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Final

from testbed.scoring.control import CYCLE_MS
from testbed.scoring.outcome import Outcome, joined
from testbed.scoring.playing import Played

SAME_ORDER: Final = "priority"
"""The policy that lets loads give way in the order of threshold control."""
HEADS: Final = (
    "control",
    "not served Wh",
    "unneeded Wh",
    "limit exceeded s",
    "Wh",
    "time to safe s",
    "switchings",
    "collapses",
)


def watt_hours(mwh: int) -> str:
    """Return an energy in Wh with two decimals.

    >>> watt_hours(1_234), watt_hours(-5)
    ('1.23', '0.00')
    """
    hundredths = max(mwh, 0) // 10
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def seconds(ms: int) -> str:
    """Return a time in seconds with one decimal.

    >>> seconds(1_250)
    '1.2'
    """
    return f"{ms // 1000}.{ms % 1000 // 100}"


def cells(run: Played) -> tuple[str, ...]:
    """Return one run as a row of the table."""
    score = run.score
    return (
        run.control,
        watt_hours(score.not_served_mwh),
        watt_hours(score.unnecessary_mwh),
        seconds(score.violation_ms),
        watt_hours(score.violation_mwh),
        seconds(score.time_to_safe_ms),
        str(score.switchings),
        str(score.collapses),
    )


def lines(outcome: Outcome) -> Iterator[str]:
    """Yield a scenario for the terminal."""
    rows = [HEADS, *map(cells, outcome.runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    wanted_wh = watt_hours(outcome.runs[0].score.wanted_mwh)
    yield f"{outcome.name}: {outcome.scenario.title} ({wanted_wh} Wh wanted)"
    for row in rows:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  " + "  ".join((row[0].ljust(widths[0]), *numbers))
    yield "  " + verdict(outcome)
    yield ""


def verdict(outcome: Outcome) -> str:
    """Say in a sentence how our best policy did against threshold control, and who joined."""
    best, theirs = outcome.best, outcome.threshold
    if best is None:
        return "No policy of ours was asked for."
    is_safe = best.score.time_to_safe_ms <= CYCLE_MS
    held = "no limit exceeded for longer than a cycle" if is_safe else "a limit EXCEEDED for longer"
    compared = _compared(best, theirs)
    parts = [f"Best of ours: {best.control}, {compared} than with threshold control, {held}."]
    alike = next((run for run in outcome.runs if run.control == SAME_ORDER), None)
    if alike is not None and alike is not best:
        parts.append(f"In the same order of importance, {SAME_ORDER}: {_compared(alike, theirs)}.")
    for each in joined(best):
        sold = "sold nothing" if each.first_sale_slot is None else ""
        sold = (
            sold
            or f"sold first in slot {each.first_sale_slot}, {watt_hours(each.sold_mwh)} Wh in all"
        )
        parts.append(f"{each.member} joined in slot {each.joined_slot} and {sold}.")
    return " ".join(parts)


def _compared(run: Played, theirs: Played) -> str:
    saved_mwh = theirs.score.not_served_mwh - run.score.not_served_mwh
    return f"{watt_hours(abs(saved_mwh))} Wh {'less' if saved_mwh >= 0 else 'MORE'} not served"


def page(found: Sequence[Outcome]) -> str:
    """Return the page of the documentation."""
    head = (resources.files("testbed.scoring") / "static" / "page.md").read_text("utf-8")
    sections = (part for outcome in found for part in _section(outcome))
    return "\n".join((head, *sections)).rstrip("\n") + "\n"


def _section(outcome: Outcome) -> Iterator[str]:
    score = outcome.runs[0].score
    yield f"## {outcome.name}\n"
    shows = outcome.scenario.shows
    yield (
        f"{outcome.scenario.title}: {shows}. {watt_hours(score.wanted_mwh)} Wh wanted, "
        f"seed {outcome.scenario.seed}.\n"
    )
    yield f"| {' | '.join(HEADS)} |"
    yield "|---|" + "---:|" * (len(HEADS) - 1)
    for run in outcome.runs:
        row = cells(run)
        name = f"**{row[0]}**" if run is outcome.best else row[0]
        yield f"| {' | '.join((name, *row[1:]))} |"
    yield f"\n{verdict(outcome)}\n"
