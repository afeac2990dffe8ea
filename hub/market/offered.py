"""The orders that count in a slot, best first, and what became of each.

Orders are capped by what the meter of their member showed: his best ones first. A price beyond the
bounds of the policy counts as the bound where that is in its member's favour; else it cannot count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from hub.market.contract import (
    ASK,
    BID,
    SEALED,
    Fate,
    Order,
    Position,
    SlotBook,
    StepBudget,
    Value,
)
from hub.market.crossing import Pair, Why, energy_of
from hub.market.orderbook import resting, spent, unrevealed

_LAST: Final = 2**62
"""Sequence of an order that nobody placed: after all others at its price."""


Charge = Callable[[Order], int]
"""What a buyer pays beside the price, fees and premiums: his bid is a limit on both. [utok/kWh]"""


class Offered(NamedTuple):
    """Bids dearest first, asks cheapest first, with whole energies above 0; and what fell out.

    The price of a bid here is net: what is left of it once its charge is paid.
    """

    bids: tuple[Order, ...]
    asks: tuple[Order, ...]
    dropped: tuple[Fate, ...]
    charge: Charge


class Bounds(NamedTuple):
    """What a price may be. [utok per kWh]"""

    low: int
    high: int


def no_charge(_bid: Order) -> int:
    """Charge nothing beside the price."""
    return 0


def offered(
    book: SlotBook,
    budget: StepBudget,
    *,
    bounds: Bounds | None = None,
    charge: Charge = no_charge,
    without_order: str = "grid",
) -> Offered:
    """Return what counts in a slot: the book's orders, or else those in its memory.

    Args:
        book: of the slot.
        budget: pays for each order.
        bounds: of prices; else floor and cap of the policy.
        charge: what comes on top of the price for a bid, besides the policy's network fee.
        without_order: as in `OrderRules`.
    """
    low, high = bounds or Bounds(book.tariff.floor_utok_per_kwh, book.tariff.cap_utok_per_kwh)
    charge = _with_fee(charge, book.tariff.network_fee_utok_per_kwh)
    found = list(book.orders) or list(resting(book.memory, book.slot_ms))
    budget.spend(2 * len(found) + len(book.positions))
    dropped: list[Fate] = []
    if not book.is_bare:
        found, dropped = _at_meters(book, found, takes_tariff=without_order == "tariff")
    sides: dict[str, list[Order]] = {BID: [], ASK: []}
    for order in found:
        net, reason = _bounded(order, charge, low, high)
        if reason:
            dropped.append(fate(order, 0, reason))
            continue
        sides[order.side].append(
            order if net == order.price_utok_per_kwh else order._replace(price_utok_per_kwh=net)
        )
    sides[BID].sort(key=bid_rank)
    sides[ASK].sort(key=ask_rank)
    bids, asks = (_capped(book, sides[side], dropped, charge) for side in (BID, ASK))
    return Offered(tuple(bids), tuple(asks), tuple(dropped), charge)


def bid_rank(order: Order) -> tuple[int, int, str, str]:
    """Dearest first, then who came first, then by meter."""
    return (-order.price_utok_per_kwh, order.sequence, order.meter, order.order_id)


def ask_rank(order: Order) -> tuple[int, int, str, str]:
    """Cheapest first, then who came first, then by meter."""
    return (order.price_utok_per_kwh, order.sequence, order.meter, order.order_id)


def fate(order: Order, matched_uwh: int, reason: str, charge: Charge = no_charge) -> Fate:
    """Return what became of an order, at the price its member named."""
    price = order.price_utok_per_kwh + (charge(order) if order.side == BID else 0)
    is_served = matched_uwh > 0 and matched_uwh == order.energy_uwh
    return Fate(
        order.member,
        order.order_id,
        order.side,
        energy_of(order),
        price,
        matched_uwh,
        "" if is_served else reason,
    )


def energies(on_offer: Offered, pairs: Iterable[Pair]) -> tuple[list[int], list[int]]:
    """Return what pairs make of each bid and of each ask. [uWh]"""
    bids, asks = [0] * len(on_offer.bids), [0] * len(on_offer.asks)
    for bid, ask, energy in pairs:
        bids[bid] += energy
        asks[ask] += energy
    return bids, asks


def fates(on_offer: Offered, pairs: Iterable[Pair], why: Why) -> tuple[Fate, ...]:
    """Return what became of all orders."""
    sides = zip((on_offer.bids, on_offer.asks), energies(on_offer, pairs), strict=True)
    told = (
        fate(order, energy, why(order, place, energy), on_offer.charge)
        for orders, matched in sides
        for place, (order, energy) in enumerate(zip(orders, matched, strict=True))
    )
    return (*told, *on_offer.dropped)


def book_after(book: SlotBook) -> Mapping[str, Value]:
    """Return the rows of the order book that change when the slot is over."""
    return spent(book.memory, book.slot_ms, book.length_ms)


def _at_meters(
    book: SlotBook, orders: Iterable[Order], *, takes_tariff: bool
) -> tuple[list[Order], list[Fate]]:
    """Say of each order which meter it speaks of; members without a settled meter have none."""
    positions = {p.member: p for p in book.positions}
    found = [_placed(order, positions, book) for order in orders if order.member in positions]
    if takes_tariff:
        ordered = {order.member for order in found}
        rest = [p for p in book.positions if p.member not in ordered]
        found += [_placed(_by_tariff(p, book), positions, book) for p in rest]
    dropped = [
        Fate(member, order_id, SEALED, 0, 0, 0, "committed and not revealed in time")
        for member, order_id in unrevealed(book.memory, book.slot_ms)
        if member in positions
    ]
    return found, dropped


def _placed(order: Order, positions: Mapping[str, Position], book: SlotBook) -> Order:
    position = positions[order.member]
    meter = order.meter or (position.export_meter if order.side == ASK else position.import_meter)
    site = book.sites.get(meter)
    return order._replace(meter=meter, area=order.area or (site.area if site else ""))


def _by_tariff(position: Position, book: SlotBook) -> Order:
    """Return the order of a member who placed none; after those of all who did."""
    if position.surplus_uwh:
        return Order(position.member, ASK, None, book.tariff.feed_in_utok_per_kwh, _LAST)
    return Order(position.member, BID, None, book.tariff.price_utok_per_kwh, _LAST)


def _with_fee(charge: Charge, fee_utok_per_kwh: int) -> Charge:
    if not fee_utok_per_kwh:
        return charge
    return lambda bid: charge(bid) + fee_utok_per_kwh


def _bounded(order: Order, charge: Charge, low: int, high: int) -> tuple[int, str]:
    """Return the price that counts, a bid's net of its charge, and why the order cannot count."""
    price = order.price_utok_per_kwh
    if order.side == ASK:
        above = f"the ask is above the highest price that may be, {high}"
        return max(price, low), above if price > high else ""
    charged = charge(order)
    below = f"the bid is below the lowest price that may be, {low}"
    below += f", and {charged} on top" if charged else ""
    return min(price - charged, high), below if price - charged < low else ""


def _capped(
    book: SlotBook, orders: Sequence[Order], dropped: list[Fate], charge: Charge
) -> list[Order]:
    """Give each member's meter to his orders, best first; what it cannot bear falls out."""
    if book.is_bare:
        return [order for order in orders if energy_of(order) > 0]
    asks = bool(orders) and orders[0].side == ASK
    left = {p.member: p.surplus_uwh if asks else p.deficit_uwh for p in book.positions}
    reason = f"the meter shows nothing {'more to sell' if asks else 'more to buy'}"
    kept: list[Order] = []
    for order in orders:
        room = left[order.member]
        energy = room if order.energy_uwh is None else min(order.energy_uwh, room)
        left[order.member] = room - energy
        if energy > 0:
            kept.append(order._replace(energy_uwh=energy))
        else:
            dropped.append(fate(order._replace(energy_uwh=0), 0, reason, charge))
    return kept
