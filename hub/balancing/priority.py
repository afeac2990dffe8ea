"""The least important first: a load gives way only when all less important ones have.

`importance` is what a relay was enrolled with; more is more important, equal ones are one class. Of
the class that need not go altogether the smallest sufficient set goes, by `hub.balancing.subset`.

Guarantees, beyond `hub.balancing.shedding`: no load is cut while a less important one stays on
whose going would have been enough. Not: fairness; the least important one may stay dark for hours.
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


class Priority:
    """Least important first."""

    name: ClassVar[str] = "priority"
    words: ClassVar[str] = "the least important loads give way first"

    def check(self, parameters: Parameters) -> None:
        """Raise BadParameter unless the parameters can be used."""
        check_parameters(self.name, parameters, DEFAULTS)

    def decide(self, view: View) -> Verdict:
        """Cut and restore by importance."""
        return balance(view, self)

    def shed(self, loads: Sequence[Switchable], need_mw: int) -> Set[RelayName]:
        """Whole classes from below, and of the last one the smallest sufficient set."""
        gone: set[RelayName] = set()
        for importance in sorted({load.relay.importance for load in loads}):
            group = [load for load in loads if load.relay.importance == importance]
            gone |= smallest(group, need_mw)
            need_mw -= sum(load.power_mw for load in group if load.relay.name in gone)
            if need_mw <= 0:
                break
        return gone

    def rank(self, loads: Sequence[Switchable], cut: Set[RelayName]) -> list[Switchable]:
        """The least important first, of equals the smaller."""
        return sorted(
            loads, key=lambda load: (load.relay.importance, load.power_mw, load.relay.name)
        )

    def is_due(self, load: Switchable) -> bool:
        """Nobody is promised an end."""
        return False
