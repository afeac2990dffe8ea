"""The cheapest set: what members ask for going without, as little as possible in all.

`shed_price_utok_per_kwh` is what a member asked for when the relay was enrolled; a load for which
nothing is asked goes first. Found exactly for up to sixteen loads under one limit; of more, the
cheapest ones go until sixteen are left to choose from. The policy counts prices; who is paid what
is the market contract's affair.

Guarantees, beyond `hub.balancing.shedding`: under a single limit and up to sixteen loads no set
that is enough costs less. Not: that a price is honest; who asks for the most is cut last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence, Set
from typing import ClassVar, NamedTuple

from hub.balancing.demand import Switchable
from hub.balancing.limits import Parameters
from hub.balancing.policy import Verdict, View
from hub.balancing.pool import RelayName
from hub.balancing.shedding import DEFAULTS, balance, check_parameters
from hub.balancing.subset import LOADS_EXACT_MAX


class Price:
    """Cheapest first."""

    name: ClassVar[str] = "price"
    words: ClassVar[str] = "the set of loads that asks for least gives way"

    def check(self, parameters: Parameters) -> None:
        """Raise BadParameter unless the parameters can be used."""
        check_parameters(self.name, parameters, DEFAULTS)

    def decide(self, view: View) -> Verdict:
        """Cut the cheapest set, restore the dearest load that fits."""
        return balance(view, self)

    def shed(self, loads: Sequence[Switchable], need_mw: int) -> Set[RelayName]:
        """The cheapest sufficient set."""
        return cheapest(self.rank(loads, frozenset()), need_mw)

    def rank(self, loads: Sequence[Switchable], cut: Set[RelayName]) -> list[Switchable]:
        """The cheapest first, of equals the smaller."""
        return sorted(loads, key=lambda load: (_price(load), load.power_mw, load.relay.name))

    def is_due(self, load: Switchable) -> bool:
        """Nobody is promised an end."""
        return False


class _Subset(NamedTuple):
    power_mw: int
    cost: int  # [utok mW / kWh]: only compared
    picked: int  # a bit for each load


def cheapest(ranked: Sequence[Switchable], need_mw: int) -> frozenset[RelayName]:
    """Return the sufficient set of least cost; of equals that of least power, all if none is."""
    left = [load for load in ranked if load.power_mw > 0]
    gone: set[RelayName] = set()
    while len(left) > LOADS_EXACT_MAX and need_mw > 0:
        if sum(load.power_mw for load in left[:LOADS_EXACT_MAX]) >= need_mw:
            left = left[:LOADS_EXACT_MAX]
            break
        first = left.pop(0)
        gone.add(first.relay.name)
        need_mw -= first.power_mw
    if need_mw > 0:
        gone |= _exactly(left, need_mw)
    return frozenset(gone)


def _exactly(loads: Sequence[Switchable], need_mw: int) -> set[RelayName]:
    """For each subset of one half take the cheapest of the other that completes it."""
    if sum(load.power_mw for load in loads) <= need_mw:
        return {load.relay.name for load in loads}
    middle = len(loads) // 2
    right = sorted(_subsets(loads, range(middle, len(loads))))
    powers = [subset.power_mw for subset in right]
    best_from = list(right)  # the cheapest of those with at least so much power
    for place in range(len(right) - 2, -1, -1):
        best_from[place] = min(right[place], best_from[place + 1], key=_cost)
    found = [
        _Subset(one.power_mw + two.power_mw, one.cost + two.cost, one.picked | two.picked)
        for one in _subsets(loads, range(middle))
        if (place := bisect_left(powers, need_mw - one.power_mw)) < len(powers)
        for two in (best_from[place],)
    ]
    picked = min(found, key=_cost).picked
    return {load.relay.name for number, load in enumerate(loads) if picked >> number & 1}


def _subsets(loads: Sequence[Switchable], numbers: range) -> list[_Subset]:
    subsets = [_Subset(0, 0, 0)]
    for number in numbers:
        power_mw, cost = loads[number].power_mw, _price(loads[number]) * loads[number].power_mw
        subsets += [
            _Subset(each.power_mw + power_mw, each.cost + cost, each.picked | 1 << number)
            for each in subsets
        ]
    return subsets


def _cost(subset: _Subset) -> tuple[int, int, int]:
    return (subset.cost, subset.power_mw, subset.picked)


def _price(load: Switchable) -> int:
    return load.relay.shed_price_utok_per_kwh
