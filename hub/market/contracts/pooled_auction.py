"""The pool of paper 003, section VII.A: sellers sell as one, the highest bids win.

Salian et al., *Review of Blockchain Enabled Decentralized Energy Trading Mechanisms*. In each round
those who sell form a coalition; buyers bid without knowing of each other; the highest price wins
first and pays its own bid; proceeds go back to the sellers in proportion to the energy they put in.
"The price per unit of the microgrid should be lower than that of the main grid": bids count up to
one micro-token below the tariff, unless `bid_limit = "none"`.

Here: a bid below the feed-in price gets nothing, since the grid pays more. What the pool does not
sell goes to the grid at the feed-in price, each seller's part of it in the same proportion. The
price of an ask is not looked at: who puts energy into the pool takes what the pool earns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hub.market.contract import (
    BID,
    Clearing,
    Match,
    Order,
    SlotBook,
    StepBudget,
    Transfer,
)
from hub.market.crossing import Pair, energy_of
from hub.market.offered import Bounds, book_after, fates, offered
from hub.market.orderbook import OrderBookContract, OrderRules
from hub.market.parameters import choice, read
from hub.market.rest import held_back, rest_to_grid
from hub.market.rounding import amount_utok, shares
from hub.market.sharing import dealt_out


@dataclass(frozen=True, slots=True)
class Rules(OrderRules):
    """How the pool sells."""

    book: str = choice("sealed", "open")
    price_rule: str = choice("pay_as_bid", "uniform")
    bid_limit: str = choice("below_tariff", "none")


class PooledAuction(OrderBookContract):
    """One pool of all sellers; bids from the highest down, until it is empty."""

    name: ClassVar[str] = "pooled_auction"
    order_rules: ClassVar[type[OrderRules]] = Rules

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Sell the pool to the highest bids and share what it earned."""
        rules = read(self.name, Rules, book.parameters)
        tariff = book.tariff
        on_offer = offered(
            book,
            budget,
            bounds=Bounds(tariff.floor_utok_per_kwh, _highest(rules, book)),
            without_order=rules.without_order,
        )
        low = tariff.feed_in_utok_per_kwh
        wanted = [energy_of(b) if b.price_utok_per_kwh >= low else 0 for b in on_offer.bids]
        put_in = [energy_of(ask) for ask in on_offer.asks]
        sold = min(sum(wanted), sum(put_in))
        budget.spend(2 * (len(wanted) + len(put_in)))
        pairs = tuple(map(Pair._make, dealt_out(wanted, shares(sold, put_in))))
        last = on_offer.bids[pairs[-1].bid].price_utok_per_kwh if pairs else 0
        matches = tuple(
            _match(on_offer.bids[bid], on_offer.asks[ask], energy, last, rules.price_rule)
            for bid, ask, energy in pairs
        )

        def why(order: Order, _place: int, matched_uwh: int) -> str:
            if order.side != BID:
                return "the pool sold no more than this part of it"
            if order.price_utok_per_kwh < low:
                return f"the bid is below the feed-in price, {low}"
            return "the pool was empty" if matched_uwh else "higher bids emptied the pool"

        return Clearing(
            matches=matches,
            remainders=rest_to_grid(book, matches),
            curtailments=held_back(book.positions),
            transfers=tuple(_level(matches, on_offer.asks, put_in)),
            memory=book_after(book),
            fates=fates(on_offer, pairs, why),
            takes_orders=True,
        )


def _highest(rules: Rules, book: SlotBook) -> int:
    """Return the most that a bid counts for. [utok per kWh]"""
    if rules.bid_limit == "none":
        return book.tariff.cap_utok_per_kwh
    return book.tariff.price_utok_per_kwh - 1


def _match(bid: Order, ask: Order, energy_uwh: int, last: int, price_rule: str) -> Match:
    price = last if price_rule == "uniform" else bid.price_utok_per_kwh
    return Match(ask.member, bid.member, ask.meter, bid.meter, energy_uwh, price)


def _level(
    matches: Sequence[Match], asks: Sequence[Order], put_in: Sequence[int]
) -> Iterator[Transfer]:
    """Yield what moves between sellers, until each has his share of all proceeds to the utok."""
    members = list(dict.fromkeys(ask.member for ask in asks))
    earned, energy = dict.fromkeys(members, 0), dict.fromkeys(members, 0)
    for ask, part in zip(asks, put_in, strict=True):
        energy[ask.member] += part
    for match in matches:
        earned[match.seller] += amount_utok(match.energy_uwh, match.price_utok_per_kwh)
    due = shares(sum(earned.values()), [energy[member] for member in members])
    over = [earned[member] - part for member, part in zip(members, due, strict=True)]
    lacking = [max(-amount, 0) for amount in over]
    for taker, giver, amount in dealt_out(lacking, [max(amount, 0) for amount in over]):
        yield Transfer(members[giver], members[taker], amount, "share of the pool")
