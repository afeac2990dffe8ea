"""The smallest sufficient set: as little power as possible goes dark, whoever has it.

Found exactly for up to sixteen loads under one limit, and for more by an exact choice among the
sixteen largest, see `hub.balancing.subset`. Powers are measured ones where meters speak, rated ones
where they do not.

Guarantees, beyond `hub.balancing.shedding`: under a single limit and up to sixteen loads no set of
less power would do. Not: fairness, nor anybody's preference.
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


class LeastDisruption:
    """Least power off."""

    name: ClassVar[str] = "least_disruption"
    words: ClassVar[str] = "the smallest set of loads that is enough"

    def check(self, parameters: Parameters) -> None:
        """Raise BadParameter unless the parameters can be used."""
        check_parameters(self.name, parameters, DEFAULTS)

    def decide(self, view: View) -> Verdict:
        """Cut the smallest set, restore the largest load that fits."""
        return balance(view, self)

    def shed(self, loads: Sequence[Switchable], need_mw: int) -> Set[RelayName]:
        """The smallest sufficient set."""
        return smallest(loads, need_mw)

    def rank(self, loads: Sequence[Switchable], cut: Set[RelayName]) -> list[Switchable]:
        """The smaller first: the largest that fits is fed again first."""
        return sorted(loads, key=lambda load: (load.power_mw, load.relay.name))

    def is_due(self, load: Switchable) -> bool:
        """Nobody is promised an end."""
        return False
