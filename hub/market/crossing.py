"""Where bids and asks cross: the largest energy whose last bid is worth its last ask.

Bids come dearest first and asks cheapest first (`hub.market.offered`), ties by who came first, then
by meter. The uniform price is the floor of the mean of the two marginal prices: at most the
marginal bid and at least the marginal ask, so nobody who trades does so beyond his limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hub.market.columns import Side, meet
from hub.market.contract import BID, Order, StepBudget

Why = Callable[[Order, int, int], str]
"""Of an order, by its place on its side and what was matched [uWh]: why not all of it was."""


class Pair(NamedTuple):
    """Energy of a bid and an ask, by their places."""

    bid: int
    ask: int
    energy_uwh: int


class Crossing(NamedTuple):
    """Which bid met which ask, in order. The margins are None where nothing did."""

    pairs: tuple[Pair, ...]
    marginal_bid_utok_per_kwh: int | None
    marginal_ask_utok_per_kwh: int | None

    @property
    def energy_uwh(self) -> int:
        """All energy that crossed."""
        return sum(pair.energy_uwh for pair in self.pairs)

    @property
    def price_utok_per_kwh(self) -> int | None:
        """The uniform price; None where nothing crossed."""
        bid, ask = self.marginal_bid_utok_per_kwh, self.marginal_ask_utok_per_kwh
        return None if bid is None or ask is None else (bid + ask) // 2


def cross(bids: Sequence[Order], asks: Sequence[Order], budget: StepBudget) -> Crossing:
    """Cross bids with asks, both best first and with whole energies."""
    budget.spend(len(bids) + len(asks))
    met = meet(_side(bids), _side(asks))
    pairs = tuple(map(Pair._make, zip(*met, strict=True)))
    if not pairs:
        return Crossing((), None, None)
    last = pairs[-1]
    return Crossing(pairs, bids[last.bid].price_utok_per_kwh, asks[last.ask].price_utok_per_kwh)


def _side(orders: Sequence[Order]) -> Side:
    return Side([energy_of(each) for each in orders], [each.price_utok_per_kwh for each in orders])


def energy_of(order: Order) -> int:
    """Return what an order counts for; one whose meter has not been asked counts for nothing."""
    return order.energy_uwh or 0


def why_not(found: Crossing) -> Why:
    """Return what tells the member of an order why it was not served, or not wholly."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for bid, ask, energy in found.pairs:
        bids[bid] = bids.get(bid, 0) + energy
        asks[ask] = asks.get(ask, 0) + energy

    def why(order: Order, place: int, matched_uwh: int) -> str:
        is_bid = order.side == BID
        margin = found.marginal_bid_utok_per_kwh if is_bid else found.marginal_ask_utok_per_kwh
        if margin is None:
            return "no bid reaches any ask"
        if matched_uwh < (bids if is_bid else asks).get(place, 0):
            return _UNFOUND if is_bid else _UNTAKEN
        if order.price_utok_per_kwh != margin:
            price = order.price_utok_per_kwh
            return f"the last {order.side} that was served stood at {margin}, this one at {price}"
        return "the last one served: in part" if matched_uwh else "as good as the last, but later"

    return why


_UNFOUND = "no seller of the fuels and areas that it takes was left"
_UNTAKEN = "the bids that it would have served take other fuels or areas"
