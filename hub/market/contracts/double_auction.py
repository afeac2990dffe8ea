"""The uniform-price double auction, the standard of the field, as in LO3's Brooklyn Microgrid.

Named by paper 003, section VIII.D (Salian et al., *Review of Blockchain Enabled Decentralized
Energy Trading Mechanisms*) and by paper 002, section 2.1 (Cali and Fifield 2019). As many kWh are
sold as have a bid that is worth the ask; all pay one price, the floor of the mean of the marginal
bid and the marginal ask. What the meters show beyond that goes to the grid at the tariff.

Options: `price_rule = "pay_as_bid"` (each pays his own bid), a network fee that buyers pay, a
premium that who asks for fuels pays his seller, and who is paired with whom. A bid is the most that
its member pays, fee and premium included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hub.market.contract import (
    Clearing,
    Match,
    Order,
    SlotBook,
    StepBudget,
)
from hub.market.crossing import Crossing, Pair, cross, why_not
from hub.market.fees import NETWORK_FEE, operator_fees
from hub.market.offered import Offered, book_after, energies, fates, offered
from hub.market.orderbook import OrderBookContract, OrderRules
from hub.market.parameters import choice, read, whole, words
from hub.market.partners import Matching, Served, beside, beside_complaint
from hub.market.rest import held_back, rest_to_grid


@dataclass(frozen=True, slots=True)
class Rules(OrderRules):
    """How it clears. `partners`: whom a buyer is paired with first. [utok per kWh]"""

    price_rule: str = choice("uniform", "pay_as_bid")
    network_fee_utok_per_kwh: int = whole(0, 0, 10**8)
    fuel_premium_utok_per_kwh: int = whole(0, 0, 10**8)
    partners: str = choice("any", "preferred", "area", "preferred_area")
    areas_beside: str = words("", beside_complaint)


class DoubleAuction(OrderBookContract):
    """Bids and asks cross at one price."""

    name: ClassVar[str] = "double_auction"
    order_rules: ClassVar[type[OrderRules]] = Rules

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Cross the orders; send the rest of each meter to the grid."""
        rules = read(self.name, Rules, book.parameters)
        on_offer = offered(book, budget, charge=_charge(rules), without_order=rules.without_order)
        found = cross(on_offer.bids, on_offer.asks, budget)
        pairs = pair(rules, book, on_offer, found, budget)
        budget.spend(len(pairs))
        matches = tuple(_match(rules, on_offer, each, found) for each in pairs)
        return Clearing(
            matches=matches,
            remainders=rest_to_grid(book, matches),
            curtailments=held_back(book.positions),
            transfers=operator_fees(matches, rules.network_fee_utok_per_kwh, NETWORK_FEE),
            memory=book_after(book),
            fates=fates(on_offer, pairs, why_not(found)),
            takes_orders=True,
        )


def pair(
    rules: Rules, book: SlotBook, on_offer: Offered, found: Crossing, budget: StepBudget
) -> Sequence[Pair]:
    """Return who buys from whom: as orders crossed, or as their members prefer."""
    wishes = any(bid.fuels or bid.areas for bid in on_offer.bids)
    if rules.partners == "any" and not wishes:
        return found.pairs
    bids, asks = energies(on_offer, found.pairs)
    matching = Matching(
        Served(on_offer.bids, bids), Served(on_offer.asks, asks), book.sites, budget
    )
    if rules.partners in ("preferred", "preferred_area"):
        matching.preferred()
    matching.wishes()
    if rules.partners in ("area", "preferred_area"):
        matching.in_area(beside(rules.areas_beside))
    matching.any()
    return matching.pairs


def _charge(rules: Rules) -> Callable[[Order], int]:
    def charge(bid: Order) -> int:
        premium = rules.fuel_premium_utok_per_kwh if bid.fuels else 0
        return rules.network_fee_utok_per_kwh + premium

    return charge


def _match(rules: Rules, on_offer: Offered, paired: Pair, found: Crossing) -> Match:
    bid, ask = on_offer.bids[paired.bid], on_offer.asks[paired.ask]
    price = found.price_utok_per_kwh
    if price is None or rules.price_rule == "pay_as_bid":
        price = bid.price_utok_per_kwh
    return Match(
        seller=ask.member,
        buyer=bid.member,
        from_meter=ask.meter,
        to_meter=bid.meter,
        energy_uwh=paired.energy_uwh,
        price_utok_per_kwh=price + (rules.fuel_premium_utok_per_kwh if bid.fuels else 0),
    )
