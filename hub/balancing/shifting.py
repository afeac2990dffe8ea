"""Loads whose nodes asked to let them rest: cut before any policy is asked, by their own wish.

A node that follows the tariff asks in its signed status. What it asks for may only take load off:
a load that wants to run is a load as any other, and the policy may cut it. Critical loads rest by
nobody's wish, and a load that was fed just now stays fed for its minimum time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hub.balancing.demand import demands
from hub.balancing.orders import order
from hub.balancing.policy import RelayState, Verdict, View
from hub.balancing.sources import sources_of
from messages.status import REST, WAIT

REASONS: Final = {
    WAIT: "its node lets it wait for a cheaper slot",
    REST: "its node lets it rest: nothing to do now",
}


def awake(view: View) -> View:
    """Return the view without the loads that rest."""
    resting = _resting(view)
    return replace(view, relays=tuple(each for each in view.relays if each.name not in resting))


def with_resting(view: View, verdict: Verdict) -> Verdict:
    """Return a verdict on the loads that are awake with the orders for those that rest."""
    resting = _resting(view)
    if not resting:
        return verdict
    orders = tuple(
        order(load, True, REASONS[load.relay.wish])._replace(shift=load.relay.wish)
        for member in demands(view)
        for load in member.loads
        if load.relay.name in resting
    )
    named = ", ".join(sorted({REASONS[each.shift] for each in orders}))
    both = sorted([*verdict.orders, *orders], key=lambda each: (each.node, each.relay))
    return replace(verdict, orders=tuple(both), reason=f"{verdict.reason}; shiftable: {named}")


def _resting(view: View) -> frozenset[tuple[str, str]]:
    """Return the relays whose loads rest; generators do not: that is for limits alone."""
    asked = [each for each in view.relays if each.wish]
    if not asked:
        return frozenset()
    sources = {each.relay.name for each in sources_of(view)}
    return frozenset(each.name for each in asked if _rests(each) and each.name not in sources)


def _rests(relay: RelayState) -> bool:
    if relay.wish not in REASONS or relay.is_critical or relay.unusable or relay.setpoint:
        return False
    is_new = relay.is_cut is False and relay.since_ms is not None
    return not (is_new and (relay.since_ms or 0) < relay.min_on_ms)
