"""Members whose relays the market keeps open: what they paid for is used up, or is not sold.

A contract says so by a row of its memory (`SUPPLY`), as `prepaid` does of who has no credit and
`storage_escrow` of a storage with nothing to release. It binds before any dispatch policy is asked:
the policy shares out what there is among the others. Critical loads stay fed, and so do those
behind relays that are not fail-safe, unless the parameter `cut_not_failsafe` is 1 or they are cut
at rest: then nobody is left without who was fed before somebody decided.

Source: paper 003, section VIII.H, meters that have to be loaded before they are used, and section
VI, a storage that releases what was bought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hub.balancing.agenda import SHIFTED
from hub.balancing.demand import CUT_NOT_FAILSAFE, Switchable, demands
from hub.balancing.orders import order
from hub.balancing.policy import DispatchPolicy, Order, RelayState, Verdict, View

SUPPLY: Final = "supply."
"""A contract's row of memory `supply.<member>`: LOW, ENDED, HELD, or none where all is well."""
LOW: Final = "low"
ENDED: Final = "empty"
HELD: Final = "held"
REASONS: Final[Mapping[object, str]] = {
    ENDED: "no credit is left",
    HELD: "nothing that was bought waits to be released",
}
"""What keeps relays open, and the word for it on the ledger."""


def decide(policy: DispatchPolicy, view: View) -> Verdict:
    """Return what a policy wants of the relays that the market leaves to it, and cut the others."""
    others = left(view)
    if others == view:
        return policy.decide(view)
    names = {relay.name for relay in others.relays}
    verdict = policy.decide(others)
    cuts = [
        _cut_order(load)
        for member in demands(view)
        for load in member.loads
        if load.relay.name not in names
    ]
    orders = sorted([*verdict.orders, *cuts], key=lambda each: (each.node, each.relay))
    reasons = "; ".join(sorted({each.reason for each in cuts}))
    return replace(verdict, orders=tuple(orders), reason=f"{verdict.reason}; {reasons}")


def _cut_order(load: Switchable) -> Order:
    """Cut a load; where its own schedule lets it wait, nothing is kept from its member."""
    found = order(load, True, load.relay.withheld)
    return found._replace(power_mw=None) if load.relay.withheld == SHIFTED else found


def left(view: View) -> View:
    """Return the view with the relays alone that the market leaves to the policy."""
    return replace(view, relays=tuple(each for each in view.relays if not _ends(each, view)))


def _ends(relay: RelayState, view: View) -> bool:
    may_cut = relay.is_failsafe or relay.deenergised == "cut"
    may_cut = may_cut or bool(view.parameters.get(CUT_NOT_FAILSAFE))
    return bool(relay.withheld) and may_cut and not (relay.is_critical or relay.unusable)
