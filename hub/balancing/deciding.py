"""What is decided of everything: first nodes' wishes to rest, then the market, policy, the cap.

A policy knows loads only. Relays that switch generators, and set-points, are decided here, alike
for every policy. A generator that its limit holds back counts to the policy as what it might give,
or a load that waits would never see the room there is for it; where that proves wrong the load is
cut again with the next look, and is not tried before `PROBE_MS` are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hub.balancing import exporting, shifting, supply
from hub.balancing.batteries import PLANNED, discharged
from hub.balancing.orders import few, power_text
from hub.balancing.policy import DispatchPolicy, Order, Verdict, View
from hub.balancing.sources import LIMIT, Source, giving, sources_of, unshown_orders

PROBE_MS: Final = 60_000


def decide(policy: DispatchPolicy, view: View) -> Verdict:
    """Return what is wanted of every relay and set-point of the view."""
    return shifting.with_resting(view, _decide(policy, shifting.awake(view)))


def _decide(policy: DispatchPolicy, view: View) -> Verdict:
    sources = sources_of(view)
    unshown = unshown_orders(view, sources)
    if not (sources or unshown) and view.limits.export_mw_max is None:
        return supply.decide(policy, view)
    taken = {source.relay.name for source in sources}
    taken |= {(each.node, each.relay) for each in unshown}
    loads = replace(view, relays=tuple(each for each in view.relays if each.name not in taken))
    held = _held_back(loads, sources)
    given = {each.meter.meter_id: each.potential_mw for each in held}
    loads, told = discharged(giving(loads, given), sources)
    verdict = _told(supply.decide(policy, loads), [*told, *unshown])
    held_mw = sum(each.potential_mw - each.shown_mw for each in held)
    verdict = replace(verdict, deficit_mw=verdict.deficit_mw + held_mw)
    return exporting.capped(view, verdict, sources)


def _held_back(loads: View, sources: Sequence[Source]) -> list[Source]:
    """Return the generators that may be counted on for more than they show."""
    waits_ms = [each.since_ms for each in loads.relays if each.is_cut and each.since_ms is not None]
    if waits_ms and min(waits_ms) < PROBE_MS:
        return []
    return [each for each in sources if each.relay.setpoint == LIMIT and each.is_bound]


def _told(verdict: Verdict, batteries: Sequence[Order]) -> Verdict:
    """Add what batteries are told to what a policy wants of loads."""
    verdict = replace(verdict, orders=(*verdict.orders, *batteries))
    telling = [each for each in batteries if each.setpoint_mw is not None]
    if not telling:
        return verdict
    power_mw = -sum(each.setpoint_mw or 0 for each in telling)
    does = f"give {power_text(power_mw)}" if power_mw >= 0 else f"take {power_text(-power_mw)}"
    reason = f"{verdict.reason}; batteries {does}: {few([each.relay for each in telling])}"
    is_short = any(each.reason != PLANNED for each in telling)
    limit = "supply" if verdict.limit == "none" and is_short else verdict.limit
    return replace(verdict, limit=limit, reason=reason)
