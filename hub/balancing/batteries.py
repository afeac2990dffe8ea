"""Batteries that discharge before a load is cut, where the policy says `battery_first = 1`.

A battery is left to its own controller until what is drawn exceeds a limit, its own charging
included. Then it is told to give as much as is lacking, and a little more (`BAND_PERMILLE` of its
rating), so that noise moves nothing; a feeder's batteries for the feeder first, then everybody's
for all. It is left to itself again when nothing would be lacking without it, by as much. Where the
market has scheduled what it does, it is told that instead of being left to itself.

What it is to give counts from the order on, for `FOLLOW_MS`; a battery that then gives less counts
as what it shows, since it is empty, hot or away, and loads give way after all. It is still told the
same, and counts again when it follows. A silent one gives nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hub.balancing import supply
from hub.balancing.limits import number
from hub.balancing.policy import Order, View
from hub.balancing.pool import Pool, pool_of
from hub.balancing.shedding import DEFAULTS
from hub.balancing.sources import BATTERY, Source, giving, source_order

BATTERY_FIRST: Final = "battery_first"
BAND_PERMILLE: Final = 50
PLANNED: Final = "as the day's schedule says"


def discharged(view: View, sources: Sequence[Source]) -> tuple[View, list[Order]]:
    """Return the view as if batteries had obeyed, and an order for each of them.

    Args:
        view: with loads as its relays.
        sources: those of the whole view.
    """
    batteries = [source for source in sources if source.relay.setpoint == BATTERY]
    able = [each for each in batteries if not (each.is_stale or each.relay.unusable)]
    is_first = bool(able and view.parameters.get(BATTERY_FIRST))
    lacking = _lacking(supply.left(view), able) if is_first else {}
    orders, given_mw = [], dict[str, int]()
    for each in batteries:
        wanted_mw = lacking.get(each.relay.name)
        if wanted_mw is None:
            orders.append(_planned(each))
        else:
            told_mw = _steady(each, wanted_mw)
            reason = "discharges before a load is cut" if told_mw else "does not charge now"
            orders.append(source_order(each, reason, -told_mw))
            given_mw[each.meter.meter_id] = min(told_mw, _can_mw(each))
    return giving(view, given_mw), orders


def _planned(source: Source) -> Order:
    """Return the order to keep to the day's schedule, as far as the rating lets it."""
    planned_mw, rated_mw = source.relay.planned_mw, source.relay.rated_mw
    if planned_mw is None:
        return source_order(source, "left to itself")
    told_mw = min(max(planned_mw, -rated_mw), rated_mw)
    return source_order(source, PLANNED, told_mw)


def _lacking(view: View, able: Sequence[Source]) -> dict[tuple[str, str], int]:
    """Return what each battery is to give; those that are left to themselves are not there."""
    idle = giving(view, {each.meter.meter_id: 0 for each in able})
    pool, shown = pool_of(idle), pool_of(view)
    permille = max(number(view.parameters, "shed_permille", DEFAULTS["shed_permille"]), 0)
    given_mw: dict[tuple[str, str], int] = {}
    for place, bound in enumerate(pool.bounds):
        within = [each for each in able if bound.members is None or _owner(each) in bound.members]
        given = (min(given_mw.get(each.relay.name, 0), _can_mw(each)) for each in within)
        lacks_mw = _excess_mw(pool, place) - sum(given)
        is_short = _excess_mw(shown, place) > bound.permille_mw(permille)
        for each in within:
            planned_mw = each.relay.planned_mw
            helps = each.relay.setpoint_mw not in (None, planned_mw)
            would_lack_mw = lacks_mw + (planned_mw or 0)
            if not (helps and would_lack_mw > -_band_mw(each)) and not is_short:
                continue
            before_mw = given_mw.get(each.relay.name, 0)
            more_mw = min(max(lacks_mw, 0), each.relay.rated_mw - before_mw)
            given_mw[each.relay.name] = before_mw + more_mw
            lacks_mw -= max(min(more_mw, _can_mw(each) - before_mw), 0)
    return given_mw


def _excess_mw(pool: Pool, place: int) -> int:
    """By how much a limit would be exceeded if every load were fed. [mW]"""
    wanted_mw = sum(load.power_mw for load in pool.within(place, pool.loads))
    return wanted_mw - pool.bounds[place].room_mw


def _owner(source: Source) -> str:
    return source.relay.member or source.meter.member


def _band_mw(source: Source) -> int:
    return source.relay.rated_mw * BAND_PERMILLE // 1000


def _can_mw(source: Source) -> int:
    """Return what a battery can give: its rating, or what it shows where that proved too much."""
    told_mw = -(source.relay.setpoint_mw or 0)
    if source.is_following or told_mw <= 0 or source.shown_mw + source.slack_mw >= told_mw:
        return source.relay.rated_mw
    return max(source.shown_mw, 0)


def _steady(source: Source, wanted_mw: int) -> int:
    """Return what it is told to give: what it was told before, if that is still about right."""
    band_mw = _band_mw(source)
    told_mw = None if source.relay.setpoint_mw is None else -source.relay.setpoint_mw
    if told_mw is not None and wanted_mw <= told_mw <= wanted_mw + band_mw:
        return told_mw
    more_mw = band_mw // 2 if wanted_mw else 0
    return min(wanted_mw + more_mw, source.relay.rated_mw)
