"""What the figures mean, in sentences; most of all where a mechanism makes things worse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from testbed.compare.comparison import Section
from testbed.compare.outcome import Result

KWH = 1_000_000_000
UTOK = 1_000_000
NAMES_MAX = 6
ALARM_SHARE = 0.0005
"""A ratio is worse than another when it is so much above it."""


class Note(NamedTuple):
    """A sentence. `tone`: "bad", "good" or ""."""

    text: str
    tone: str = ""


def tokens(utok: float) -> str:
    """Return an amount as people read it.

    >>> tokens(-1_234_560_000), tokens(400)
    ('−1,234.56', '0.00')
    """
    text = f"{utok / UTOK:,.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def kwh(uwh: float) -> str:
    """Return an energy in kWh.

    >>> kwh(1_402_105_000_000), kwh(1_500_000_000)
    ('1,402.1', '1.50')
    """
    return f"{uwh / KWH:,.1f}" if abs(uwh) >= 100 * KWH else f"{uwh / KWH:,.2f}"


def percent(share: float | None) -> str:
    """Return a share; a dash where there is none.

    >>> percent(0.4235), percent(None)
    ('42.4 %', '–')
    """
    return "–" if share is None else f"{share * 100:.1f} %".replace("-", "−")


def names(found: tuple[str, ...]) -> str:
    """Return a list of names, the end of a long one as a number.

    >>> names(("a", "b"))
    'a, b'
    """
    if len(found) <= NAMES_MAX:
        return ", ".join(found)
    return f"{', '.join(found[: NAMES_MAX - 1])} and {len(found) - NAMES_MAX + 1} more"


def of_section(section: Section) -> Iterator[Note]:
    """Yield what holds for all runs over the same slots."""
    members = section.community.members.values()
    results, alone = section.alike, section.grid_only.figures
    has_storage = any(each.battery for each in members)
    higher = [each for each in results if _rises(each, section)]
    if higher and alone.peak_to_average is not None:
        top = max(higher, key=lambda each: each.figures.peak_to_average or 0)
        cause = (
            "The homes' batteries serve their owners first and do not look at the peak."
            if has_storage
            else "Nothing here stores or shifts energy, so trade takes from the mean of what is "
            "bought from the grid and leaves the evening peak."
        )
        yield Note(
            f"Trade makes the peak-to-average ratio worse in {len(higher)} of {len(results)} "
            f"runs: {alone.peak_to_average:.2f} with the grid alone, up to "
            f"{top.figures.peak_to_average or 0:.2f} ({top.label}). {cause}",
            "bad",
        )
    if not has_storage:
        yield Note(
            "Contracts move money, not electrons: without storage or shifted loads the power "
            "through the wires is the same under all of them. What differs is who is billed for "
            "which part of it."
        )
    if all(each.bid_utok_per_kwh is None and each.ask_utok_per_kwh is None for each in members):
        yield Note(
            "No member has a limit of his own, so everybody takes any price between feed-in and "
            "tariff: welfare then is matched energy times that spread, and every contract that "
            "matches all it can has all of it."
        )
    if not any(sum(each.generation_uwh) for each in section.community.households):
        yield Note("Nobody generates anything: there is nothing to trade.", "bad")


def _rises(result: Result, section: Section) -> bool:
    here = result.figures.peak_to_average
    alone = section.grid_only.figures.peak_to_average
    return here is not None and alone is not None and here > alone * (1 + ALARM_SHARE)


def of_run(result: Result, section: Section) -> Iterator[Note]:
    """Yield what one run's figures mean."""
    figures, alone = result.figures, section.grid_only.figures
    lost = result.losers
    if section.yardsticks.welfare_tokens > 0 and not figures.matched_uwh and not figures.calls:
        yield Note(
            "Members deal in this market by calls that nobody makes in this comparison, so nothing "
            "was traded. The figures say nothing about the contract.",
            "bad",
        )
    storages = [each for each in result.run.tally.community.households if each.is_shared]
    for each in storages:
        size = each.member.battery.capacity_uwh if each.member.battery else 0
        yield Note(
            f"Only here there is a storage of {kwh(size)} kWh for all, which nobody pays for: its "
            f"figures are not those of the same homes. It took {kwh(result.run.tally.stored_uwh)} "
            f"kWh and sold {kwh(figures.matched_uwh)} kWh."
        )
    if figures.fallback_slots:
        reason, _ = result.run.tally.failures.most_common(1)[0]
        yield Note(
            f"In {figures.fallback_slots} of {figures.slots} slots this contract failed and the "
            f"slot was settled with the grid alone. Most often: {reason}.",
            "bad",
        )
    if lost:
        yield Note(
            f"{len(lost)} of {len(result.saved_utok)} members pay more than with the grid alone, "
            f"{tokens(-sum(result.saved_utok[name] for name in lost))} tokens together: "
            f"{names(lost)}.",
            "bad",
        )
    elif figures.saved_utok > 0:
        yield Note("Nobody pays more than with the grid alone.", "good")
    best = section.foreseen(result)
    if best is not None:
        yield Note(
            f"Orders name the amount of the same slot of the day before. With perfect foresight "
            f"{kwh(best.figures.matched_uwh)} kWh would be matched and all would pay "
            f"{tokens(best.figures.cost_utok)} tokens."
        )
    if figures.unfair_members:
        yield Note(
            f"{figures.unfair_members} members dealt beyond their own limit, "
            f"{kwh(figures.unfair_uwh)} kWh in all: sold below their ask or bought above their "
            "bid.",
            "bad",
        )
    if figures.welfare_share is not None and figures.welfare_share < 0.9995:
        yield Note(
            f"Of the welfare that these limits allow (by HiGHS), {percent(figures.welfare_share)} "
            "is reached."
        )
    if _rises(result, section):
        yield Note(
            f"Peak to average of what is bought outside: {figures.peak_to_average:.2f}, with the "
            f"grid alone {alone.peak_to_average:.2f}."
        )
    yield from _leaks(result)


def _leaks(result: Result) -> Iterator[Note]:
    if not result.figures.energy_conserved:
        yield Note("Energy is not conserved: a fault of the contract.", "bad")
    if not result.figures.money_conserved:
        yield Note("Money is not conserved: a fault of the contract.", "bad")
