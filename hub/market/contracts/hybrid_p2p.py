"""The hybrid market of paper 004: neighbours first, by area or distance, the grid for the rest.

Khalid, Javaid, Imran and Nidal, *A blockchain-based decentralized energy management in a P2P
trading system*, section IV.A: a main contract takes requests until the market time, a P2P contract
clears the closed book, a P2G contract buys and sells what is left. Here they are one contract.

The paper calls its market a double auction with a closed book, and then takes the lowest ask as the
price of the slot, whatever others asked (Algorithm 2, line 3). Both are here: `price_rule =
"double_auction"` is ours, `"lowest_ask"` the paper's. Likewise its text says that the grid costs
20 % more in peak hours and 5 % less off-peak, where Algorithm 3 prints `+ price * 0.8` and
`price * 0.05`: `grid_price = "text"` or `"printed"`. What is left over sells at the slot's market
price (`sell = "market"`, the paper) or at the feed-in price (ours).

Price and energy are settled before partners are: areas and distance move nobody's money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.contract import (
    BID,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    Order,
    SlotBook,
    StepBudget,
    Tariff,
)
from hub.market.crossing import Pair, Why, cross, energy_of, why_not
from hub.market.errors import CallRefused
from hub.market.hours import hours_complaint, is_within
from hub.market.offered import Bounds, Offered, book_after, energies, fates, no_charge, offered
from hub.market.orderbook import OrderBookContract, OrderRules
from hub.market.parameters import choice, read, words
from hub.market.partners import Matching, Served, beside, beside_complaint
from hub.market.rest import held_back, rest_to_grid
from hub.market.rounding import half_even

FACTORS: Final[Mapping[str, tuple[int, int]]] = {"text": (120, 95), "printed": (180, 5)}
"""What the grid costs in peak and in off-peak hours. [% of the tariff]"""


@dataclass(frozen=True, slots=True)
class Rules(OrderRules):
    """How the three contracts of the paper work together. Hours are UTC, "17:00-21:00"."""

    book: str = choice("sealed", "open")
    price_rule: str = choice("double_auction", "lowest_ask")
    match_by: str = choice("area", "distance")
    areas_beside: str = words("", beside_complaint)
    other_areas: str = choice("trade", "grid")
    grid_price: str = choice("text", "printed")
    sell: str = choice("feed_in", "market")
    peak_hours: str = words("", hours_complaint)
    off_peak_hours: str = words("", hours_complaint)
    status: str = choice("open", "closed")


class HybridP2P(OrderBookContract):
    """Neighbours trade at one price, the near ones together; the grid takes and gives the rest."""

    name: ClassVar[str] = "hybrid_p2p"
    order_rules: ClassVar[type[OrderRules]] = Rules

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Clear the closed book, pair by place, settle the rest with the grid."""
        rules = read(self.name, Rules, book.parameters)
        grid = grid_price_utok_per_kwh(rules, book.tariff, book.slot_ms)
        feed_in = book.tariff.feed_in_utok_per_kwh
        on_offer = Offered((), (), (), no_charge)
        if rules.status == "open":
            on_offer = offered(
                book,
                budget,
                bounds=Bounds(
                    max(min(feed_in, grid), book.tariff.floor_utok_per_kwh),
                    min(max(feed_in, grid), book.tariff.cap_utok_per_kwh),
                ),
                without_order=rules.without_order,
            )
        on_offer, pairs, price, why = _clear(rules, book, on_offer, budget)
        matches = tuple(_match(on_offer, each, price) for each in pairs)
        return Clearing(
            matches=matches,
            remainders=rest_to_grid(
                book,
                matches,
                price_utok_per_kwh=grid,
                feed_in_utok_per_kwh=price if matches and rules.sell == "market" else feed_in,
            ),
            curtailments=held_back(book.positions),
            memory=book_after(book),
            fates=fates(on_offer, pairs, why),
            takes_orders=True,
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Take a request to sell or to buy, while the market is open."""
        rules = read(self.name, Rules, request.parameters)
        if rules.status == "closed":
            raise CallRefused(f"{self.name} is closed: everybody deals with the grid")
        return super().call(request, budget)


def grid_price_utok_per_kwh(rules: Rules, tariff: Tariff, slot_ms: int) -> int:
    """Return what the grid costs in a slot: more in peak hours, less off-peak (half even)."""
    peak, off_peak = FACTORS[rules.grid_price]
    if is_within(rules.peak_hours, slot_ms):
        return half_even(tariff.price_utok_per_kwh * peak, 100)
    if is_within(rules.off_peak_hours, slot_ms):
        return half_even(tariff.price_utok_per_kwh * off_peak, 100)
    return tariff.price_utok_per_kwh


def _clear(
    rules: Rules, book: SlotBook, on_offer: Offered, budget: StepBudget
) -> tuple[Offered, Sequence[Pair], int, Why]:
    """Return who buys from whom, at which price, and why others do not."""
    if rules.price_rule == "lowest_ask":
        on_offer = on_offer._replace(
            bids=tuple(sorted(on_offer.bids, key=_arrival)),
            asks=tuple(sorted(on_offer.asks, key=_arrival)),
        )
        price = min((ask.price_utok_per_kwh for ask in on_offer.asks), default=0)
        bids, asks = ([energy_of(order) for order in orders] for orders in on_offer[:2])
        return on_offer, _paired(rules, book, on_offer, (bids, asks), budget), price, _nobody_left
    found = cross(on_offer.bids, on_offer.asks, budget)
    served = energies(on_offer, found.pairs)
    pairs = _paired(rules, book, on_offer, served, budget)
    return on_offer, pairs, found.price_utok_per_kwh or 0, why_not(found)


def _paired(
    rules: Rules,
    book: SlotBook,
    on_offer: Offered,
    served: tuple[list[int], list[int]],
    budget: StepBudget,
) -> Sequence[Pair]:
    bids, asks = served
    matching = Matching(
        Served(on_offer.bids, bids), Served(on_offer.asks, asks), book.sites, budget
    )
    matching.wishes()
    if rules.match_by == "distance":
        matching.nearest()
    else:
        matching.in_area(beside(rules.areas_beside))
    if rules.other_areas == "trade":
        matching.any()
    return matching.pairs


def _arrival(order: Order) -> tuple[int, str]:
    return (order.sequence, order.meter)


def _nobody_left(order: Order, _place: int, _matched_uwh: int) -> str:
    return f"no {'seller' if order.side == BID else 'buyer'} whom it may be paired with was left"


def _match(on_offer: Offered, paired: Pair, price_utok_per_kwh: int) -> Match:
    bid, ask = on_offer.bids[paired.bid], on_offer.asks[paired.ask]
    return Match(
        ask.member, bid.member, ask.meter, bid.meter, paired.energy_uwh, price_utok_per_kwh
    )
