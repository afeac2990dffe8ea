"""Everybody gives way by the same share of what he could do without.

Each member's part of the need is in proportion to the power of his flexible loads, and he cuts the
smallest set of his own that covers it.

Guarantees, beyond `hub.balancing.shedding`: no member is cut by more than his part and the power of
one of his loads. Loads come in whole pieces, so shares are never quite equal.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import ClassVar

from hub.balancing.demand import Switchable
from hub.balancing.limits import Parameters
from hub.balancing.policy import Verdict, View
from hub.balancing.pool import RelayName
from hub.balancing.shedding import DEFAULTS, balance, check_parameters
from hub.balancing.subset import smallest


class Proportional:
    """The same share for everybody."""

    name: ClassVar[str] = "proportional"
    words: ClassVar[str] = "each member gives way by the same share"

    def check(self, parameters: Parameters) -> None:
        """Raise BadParameter unless the parameters can be used."""
        check_parameters(self.name, parameters, DEFAULTS)

    def decide(self, view: View) -> Verdict:
        """Cut by shares; who went without the larger share is fed again first."""
        return balance(view, self)

    def shed(self, loads: Sequence[Switchable], need_mw: int) -> Set[RelayName]:
        """Each member's smallest set that covers his part, rounded up."""
        whole_mw = sum(load.power_mw for load in loads)
        gone: set[RelayName] = set()
        for group in _by_member(loads).values():
            own_mw = sum(load.power_mw for load in group)
            gone |= smallest(group, -(-need_mw * own_mw // whole_mw) if whole_mw else 0)
        return gone

    def rank(self, loads: Sequence[Switchable], cut: Set[RelayName]) -> list[Switchable]:
        """Of the member with the smallest share off first, of equals the smaller load."""
        share = {
            member: sum(load.power_mw for load in group if load.relay.name in cut)
            * 1000
            // (sum(load.power_mw for load in group) or 1)
            for member, group in _by_member(loads).items()
        }
        return sorted(
            loads, key=lambda load: (share[load.relay.member], load.power_mw, load.relay.name)
        )

    def is_due(self, load: Switchable) -> bool:
        """Nobody is promised an end."""
        return False


def _by_member(loads: Sequence[Switchable]) -> dict[str, list[Switchable]]:
    groups: dict[str, list[Switchable]] = {}
    for load in sorted(loads, key=lambda load: (load.relay.member, load.relay.name)):
        groups.setdefault(load.relay.member, []).append(load)
    return groups
