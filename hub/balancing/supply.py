"""Members whose supply has ended, because what they had paid for is used up: their relays open.

A market contract says so (`SUPPLY`, as `prepaid` does), before any dispatch policy is asked: the
policy shares out what there is among the others. Critical loads stay fed, and so do those behind
relays that are not fail-safe, unless the parameter `cut_not_failsafe` is 1.

Source: paper 003, section VIII.H, meters that have to be loaded before they are used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hub.balancing.demand import CUT_NOT_FAILSAFE, demands
from hub.balancing.orders import order
from hub.balancing.policy import DispatchPolicy, RelayState, Verdict, View

SUPPLY: Final = "supply."
"""A contract's row of memory `supply.<member>`: LOW, ENDED, or none where all is well."""
LOW: Final = "low"
ENDED: Final = "empty"
REASON: Final = "no credit is left"


def decide(policy: DispatchPolicy, view: View) -> Verdict:
    """Return what a policy wants of the relays whose members are supplied, and cut the others'."""
    ended = {relay.name for relay in view.relays if _ends(relay, view)}
    if not ended:
        return policy.decide(view)
    others = tuple(relay for relay in view.relays if relay.name not in ended)
    verdict = policy.decide(replace(view, relays=others))
    cuts = [
        order(load, True, REASON)
        for member in demands(view)
        for load in member.loads
        if load.relay.name in ended
    ]
    orders = sorted([*verdict.orders, *cuts], key=lambda each: (each.node, each.relay))
    return replace(verdict, orders=tuple(orders), reason=f"{verdict.reason}; {REASON} for some")


def _ends(relay: RelayState, view: View) -> bool:
    may_cut = relay.is_failsafe or bool(view.parameters.get(CUT_NOT_FAILSAFE))
    return relay.is_unpaid and may_cut and not relay.is_critical
