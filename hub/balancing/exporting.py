"""The cap on export: what may leave through the grid tie, and who gives less when it is too much.

Set-points first: all generators that take one are limited to the same part of their rating, as
little as is enough. What is left then goes by relays: the smallest sufficient set of generators.
A limit that binds is raised, or ended, as soon as the whole rating fits or a part that is larger by
`STEP_PERMILLE`; one that does not bind is left as it is, and so moves nothing. All of it aims
`restore_permille` (20) thousandths of the ratings below the cap, so noise moves nothing either.

A generator behind a relay comes back when its rating fits, or `pv_retry_s` (900; 0: never) after
it was cut, since nobody can see what it would give; if that is too much it is cut again at once.
With `cut_not_failsafe = 1` relays count that stay as they are when everything dies.

Guarantees: nothing leaves beyond the cap after one look, or the verdict says *infeasible*; unknown
power counts as the most that can be. A device that keeps no set-point within `FOLLOW_MS` counts as
what it shows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from hub.balancing.demand import CUT_NOT_FAILSAFE, Switchable
from hub.balancing.limits import number
from hub.balancing.orders import few, power_text
from hub.balancing.policy import Order, Verdict, View
from hub.balancing.pool import RelayName
from hub.balancing.sources import (
    LIMIT,
    Source,
    as_load,
    cut_order,
    outflow_mw,
    source_order,
)
from hub.balancing.subset import smallest

STEP_PERMILLE: Final = 20
PV_RETRY_S: Final = 900
MARGIN_PERMILLE: Final = 20
WHOLE: Final = 1000


class _Plan(NamedTuple):
    """What limits let through, in thousandths of the rating (None: all) and by meter, and the rest.

    `excess_mw`: by how much the cap is exceeded then; below 0: what is still free.
    """

    part_permille: int | None
    given_mw: dict[str, int]
    excess_mw: int

    def weighed(self, source: Source) -> Switchable:
        """Return a generator behind a relay with what it gives then."""
        load = as_load(source)
        given_mw = self.given_mw.get(source.meter.meter_id, load.power_mw)
        return load._replace(power_mw=min(load.power_mw, given_mw))


def capped(view: View, verdict: Verdict, sources: Sequence[Source]) -> Verdict:
    """Return the verdict with an order for each of these sources."""
    limits = [source for source in sources if source.relay.setpoint == LIMIT]
    relays = [source for source in sources if not source.relay.setpoint]
    cap_mw = view.limits.export_mw_max
    if cap_mw is None:
        free = [source_order(each, "no limit on export") for each in (*limits, *relays)]
        return _with(verdict, free)
    out_mw = outflow_mw(view, sources, verdict.orders)
    margin_mw = _margin_mw(view, sources)
    plan = _limit(limits, out_mw - cap_mw, margin_mw)
    cut = _cut(view, [plan.weighed(each) for each in relays], plan.excess_mw)
    back = None if cut else _back(view, relays, plan.excess_mw + margin_mw)
    orders = [_limit_order(each, plan.part_permille) for each in limits]
    for each in relays:
        stays_cut = each.relay.is_cut and each is not back and not each.relay.is_critical
        if each.relay.name in cut or stays_cut:
            is_new = each.relay.name in cut
            orders.append(cut_order(each, "export is capped" if is_new else "waits for room"))
        else:
            orders.append(source_order(each, "fits under the cap on export"))
    left_mw = plan.excess_mw - sum(cut.values())
    return _told(view, _with(verdict, orders), limits, [name for _, name in sorted(cut)], left_mw)


def _margin_mw(view: View, sources: Sequence[Source]) -> int:
    permille = max(number(view.parameters, "restore_permille", MARGIN_PERMILLE), 0)
    return sum(each.relay.rated_mw for each in sources) * permille // WHOLE


def _limit(limits: Sequence[Source], excess_mw: int, margin_mw: int) -> _Plan:
    """Return the part of their ratings that generators may give, and what still is too much."""
    obedient = [each for each in limits if not _disobeys(each)]
    given_mw = sum(each.most_mw for each in obedient)
    room_mw = given_mw - excess_mw  # what they may give together
    standing = _standing(limits)
    part = standing
    if excess_mw > 0 or any(each.is_bound for each in obedient):
        wanted = _part(obedient, room_mw - margin_mw)
        if excess_mw > 0:
            part = wanted if standing is None else min(wanted, standing)
        elif standing is not None and wanted >= min(standing + STEP_PERMILLE, WHOLE):
            part = None if wanted == WHOLE else wanted
    let = WHOLE if part is None else part
    most = {each.meter.meter_id: _at_part(each, let) for each in obedient}
    return _Plan(part, most, excess_mw - given_mw + sum(most.values()))


def _disobeys(source: Source) -> bool:
    if source.relay.unusable:
        return True
    standing_mw = source.relay.setpoint_mw
    if standing_mw is None or source.is_stale or source.is_following:
        return False
    return source.shown_mw > standing_mw + source.slack_mw


def _standing(limits: Sequence[Source]) -> int | None:
    """Return the smallest part of its rating that a generator is limited to; None: none is."""
    parts = [
        -(-each.relay.setpoint_mw * WHOLE // max(each.relay.rated_mw, 1))
        for each in limits
        if each.relay.setpoint_mw is not None
    ]
    return min(parts, default=None)


def _part(limits: Sequence[Source], room_mw: int) -> int:
    """Return the largest part of the ratings, in thousandths, that gives no more than the room."""
    if sum(each.potential_mw for each in limits) <= room_mw:
        return WHOLE

    def given_mw(part: int) -> int:
        return sum(_at_part(each, part) for each in limits)

    return max(bisect_right(range(WHOLE), room_mw, key=given_mw) - 1, 0)


def _at_part(source: Source, part: int) -> int:
    """Return what a generator gives at most when limited to a part of its rating. [mW]"""
    return min(source.potential_mw, source.relay.rated_mw * part // WHOLE)


def _limit_order(source: Source, part: int | None) -> Order:
    if part is None:
        return source_order(source, "fits under the cap on export")
    limit_mw = source.relay.rated_mw * part // WHOLE
    return source_order(source, "export is capped", limit_mw)


def _cut(view: View, loads: Sequence[Switchable], need_mw: int) -> dict[RelayName, int]:
    """Return the generators that are cut off now, the smallest set that is enough. [mW]"""
    if need_mw <= 0:
        return {}
    relies = bool(view.parameters.get(CUT_NOT_FAILSAFE))
    fed = [
        load
        for load in loads
        if not (load.is_cut or load.is_firm) and (load.relay.is_failsafe or relies)
    ]
    gone = smallest(fed, need_mw)
    return {load.relay.name: load.power_mw for load in fed if load.relay.name in gone}


def _back(view: View, relays: Sequence[Source], excess_mw: int) -> Source | None:
    """Return the one generator that comes back now, of those that fit the longest without."""
    retry_ms = number(view.parameters, "pv_retry_s", PV_RETRY_S) * 1000
    for each in sorted(relays, key=lambda each: (-(each.relay.since_ms or 0), each.relay.name)):
        since_ms = each.relay.since_ms
        is_due = 0 < retry_ms <= (since_ms or 0)
        if not each.relay.is_cut or as_load(each).is_waiting:
            continue
        if excess_mw + each.relay.rated_mw <= 0 or (is_due and excess_mw <= 0):
            return each
    return None


def _with(verdict: Verdict, orders: Sequence[Order]) -> Verdict:
    merged = sorted([*verdict.orders, *orders], key=lambda each: (each.node, each.relay))
    return replace(verdict, orders=tuple(merged))


def _told(
    view: View, verdict: Verdict, limits: Sequence[Source], cut: Sequence[str], left_mw: int
) -> Verdict:
    """Say what the cap does, in plain words, beside what the rule says of loads."""
    standing = {(each.node, each.relay): each.setpoint_mw for each in verdict.orders}
    held = [each for each in limits if standing[each.relay.name] is not None]
    parts = []
    if held:
        total_mw = sum(standing[each.relay.name] or 0 for each in held)
        who = few([each.relay.relay for each in held])
        parts.append(f"limited to {power_text(total_mw)}: {who}")
    if cut:
        parts.append(f"cut off: {few(cut)}")
    infeasible = verdict.infeasible
    if left_mw > 0:
        infeasible += (f"export: {power_text(left_mw)} too much that nothing can hold back",)
        parts.append(infeasible[-1])
    if not parts:
        return verdict
    cap = power_text(view.limits.export_mw_max or 0)
    reason = f"{verdict.reason}; export is capped at {cap}: {'; '.join(parts)}"
    limit = "export" if verdict.limit == "none" else verdict.limit
    return replace(verdict, limit=limit, reason=reason, infeasible=infeasible)
