"""Who buys from whom, once it is known who buys and who sells how much.

Price and energy are settled before; this only pairs, so that it costs nobody anything:

1. A bid's preferred sellers, in his order of preference.
2. Bids that take only some fuels or areas, as long as there are any left for them.
3. Sellers of one's own area, 4. of areas beside it, 5. of any.

Within each, bids and asks come in the order in which they were served. What a bid with wishes does
not find stays unbought, and the energy that was for it unsold. n log n, but for the number of
different fuels and areas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from hub.market.contract import Order, Site, StepBudget
from hub.market.crossing import Pair
from hub.market.errors import BadParameter
from hub.market.parameters import listed
from hub.market.sites import distance_m

_NOWHERE = Site()


class Lane:
    """Some asks, by place, taken from the front; those that are used up are passed over."""

    __slots__ = ("at", "places")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.at = 0


class Served(NamedTuple):
    """Orders of one side, and how much of each is to be paired. [uWh]"""

    orders: Sequence[Order]
    energies_uwh: Sequence[int]


class Matching:
    """Pairs bids with asks; each step takes what the ones before it left."""

    def __init__(
        self, bids: Served, asks: Served, sites: Mapping[str, Site], budget: StepBudget
    ) -> None:
        self.pairs: list[Pair] = []
        self._sites = sites
        self._bids = bids.orders
        self._asks = asks.orders
        self._wanted = list(bids.energies_uwh)
        self._left = list(asks.energies_uwh)
        self._budget = budget
        self._everywhere = Lane()
        self._of_member: dict[str, Lane] = {}
        self._of_area: dict[str, Lane] = {}
        self._of_kind: dict[tuple[str, str], Lane] = {}
        self._kinds: list[tuple[str, str]] = []
        for place, order in enumerate(asks.orders):
            site = sites.get(order.meter)
            kind = (site.fuel if site else "", order.area)
            self._everywhere.places.append(place)
            self._of_member.setdefault(order.member, Lane()).places.append(place)
            self._of_area.setdefault(order.area, Lane()).places.append(place)
            self._of_kind.setdefault(kind, Lane()).places.append(place)
            self._kinds.append(kind)

    def preferred(self) -> None:
        """Pair bids with the sellers they name."""
        for bid in self._open():
            order = self._bids[bid]
            for member in order.prefers:
                self._take(bid, self._of_member.get(member), only=_taste(order))

    def wishes(self) -> None:
        """Pair bids that take only some fuels or areas; what they do not find they do without."""
        kinds = sorted(self._of_kind)
        for bid in self._open():
            order = self._bids[bid]
            takes = _taste(order)
            if takes is not None:
                self._budget.spend(len(kinds))
                near = [kind for kind in kinds if kind[1] == order.area]
                for kind in (*near, *(kind for kind in kinds if kind[1] != order.area)):
                    if takes(kind):
                        self._take(bid, self._of_kind[kind])
                self._wanted[bid] = 0

    def in_area(self, beside: Mapping[str, Sequence[str]]) -> None:
        """Pair within each area, then with the areas beside it."""
        for bid in self._open():
            self._take(bid, self._of_area.get(self._bids[bid].area))
        for bid in self._open():
            for area in beside.get(self._bids[bid].area, ()):
                self._take(bid, self._of_area.get(area))

    def nearest(self) -> None:
        """Pair each bid with the sellers that stand nearest; those without a place are left.

        Looks at every bid with every ask.
        """
        for bid in self._open():
            here = self._sites.get(self._bids[bid].meter)
            if here is None:
                continue
            self._budget.spend(len(self._asks))
            far = [
                (distance, ask)
                for ask, order in enumerate(self._asks)
                if self._left[ask]
                if (distance := distance_m(here, self._sites.get(order.meter, _NOWHERE)))
                is not None
            ]
            for _, ask in sorted(far):
                self._deal(bid, ask)

    def any(self, *, but_who_prefers: bool = False) -> None:
        """Pair what is left; or leave those who name sellers without what these do not have."""
        for bid in self._open():
            if but_who_prefers and self._bids[bid].prefers:
                continue
            self._take(bid, self._everywhere)

    def _open(self) -> Iterator[int]:
        for bid, wanted in enumerate(self._wanted):
            if wanted:
                yield bid

    def _take(
        self, bid: int, lane: Lane | None, only: Callable[[tuple[str, str]], bool] | None = None
    ) -> None:
        self._budget.spend()
        if lane is None:
            return
        while self._wanted[bid] and lane.at < len(lane.places):
            ask = lane.places[lane.at]
            if only is not None and not only(self._kinds[ask]):
                return  # a member's asks are all of one kind
            self._deal(bid, ask)
            lane.at += self._left[ask] == 0

    def _deal(self, bid: int, ask: int) -> None:
        energy = min(self._wanted[bid], self._left[ask])
        if energy:
            self._budget.spend()
            self.pairs.append(Pair(bid, ask, energy))
            self._wanted[bid] -= energy
            self._left[ask] -= energy


def _taste(order: Order) -> Callable[[tuple[str, str]], bool] | None:
    """Return what tells which (fuel, area) a bid takes; None: any."""
    if not order.fuels and not order.areas:
        return None

    def takes(kind: tuple[str, str]) -> bool:
        fuel, area = kind
        return (not order.fuels or fuel in order.fuels) and (not order.areas or area in order.areas)

    return takes


def beside(text: str) -> dict[str, list[str]]:
    """Return which areas lie beside which, from "north:mill, mill:south".

    Raises:
        BadParameter: a pair is none.
    """
    found: dict[str, list[str]] = {}
    for pair in listed(text):
        one, colon, other = (part.strip() for part in pair.partition(":"))
        if not (one and colon and other):
            raise BadParameter(f"areas lie beside each other as one:other, not {pair!r}")
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return found


def beside_complaint(text: str) -> str:
    """Say what such a text should be; "" where it is right."""
    try:
        beside(text)
    except BadParameter:
        return "pairs of areas, one:other"
    return ""
