"""The double auction on columns of numbers: one sequence an amount, not one object an order.

Both roads lead to the same integers: plain Python, and `hub.market.arrays` for large books where
numpy is installed and all numbers fit into 64 bits. Contracts cross their orders by `meet`. Whoever
clears a million orders off the ledger calls `auction`, which ranks them and books the money too:

    deals = auction(Side(bid_energies, bid_prices), Side(ask_energies, ask_prices))
    deals.price_utok_per_kwh, sum(deals.energy_uwh), deals.welfare_utok_uwh_per_kwh
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from hub.market import arrays
from hub.market.rounding import amount_utok

Column: TypeAlias = "Sequence[int] | Any"
"""Whole numbers, one an order: a list, an array, or one of numpy's."""

LARGE: Final = 2_000
"""Orders from which on numpy is worth loading."""


class Side(NamedTuple):
    """All bids or all asks. `auction` takes them as they came, `meet` the best first."""

    energy_uwh: Column
    price_utok_per_kwh: Column


class Met(NamedTuple):
    """Which bid met which ask, by their places, and for how much; in the order of their rank."""

    bid: Column
    ask: Column
    energy_uwh: Column


class Lines(NamedTuple):
    """Both lines of every deal, sellers' first: the order's place on its side, and the money.

    Below 0 is paid. They sum to zero.
    """

    is_sale: Column
    place: Column
    energy_uwh: Column
    amount_utok: Column


class Deals(NamedTuple):
    """What an auction came to. `price_utok_per_kwh` None: nothing crossed."""

    bid: Column
    ask: Column
    energy_uwh: Column
    price_utok_per_kwh: int | None
    lines: Lines
    welfare_utok_uwh_per_kwh: int


def meet(bids: Side, asks: Side, large: int = LARGE) -> Met:
    """Cross two ranked sides, until a bid is worth less than the ask that is next.

    Args:
        bids: dearest first.
        asks: cheapest first.
        large: from how many orders on numpy may do it.
    """
    if len(bids.energy_uwh) + len(asks.energy_uwh) >= large:
        found = arrays.meet((*bids, *asks))
        if found is not None:
            return Met(*(column.tolist() for column in found))
    return _meet(bids, asks)


def auction(bids: Side, asks: Side, large: int = LARGE) -> Deals:
    """Rank both sides by price, then by who came first; cross them; settle at one price.

    The price is the floor of the mean of the two marginal prices. Columns of numpy come back where
    it did the work, else lists.
    """
    if len(bids.energy_uwh) + len(asks.energy_uwh) >= large:
        found = arrays.auction((*bids, *asks))
        if found is not None:
            bid, ask, energy, price, lines, welfare = found
            return Deals(bid, ask, energy, price, Lines(*lines), welfare)
    return _auction(bids, asks)


def _meet(bids: Side, asks: Side) -> Met:
    met: tuple[list[int], list[int], list[int]] = ([], [], [])
    note_bid, note_ask, note_energy = (column.append for column in met)
    next_bid = zip(*bids, strict=True).__next__
    next_ask = zip(*asks, strict=True).__next__
    bid = ask = 0
    try:
        (wanted, bid_price), (left, ask_price) = next_bid(), next_ask()
        while bid_price >= ask_price:
            energy = min(wanted, left)
            if energy:
                note_bid(bid)
                note_ask(ask)
                note_energy(energy)
            wanted, left = wanted - energy, left - energy
            if not wanted:
                bid += 1
                wanted, bid_price = next_bid()
            if not left:
                ask += 1
                left, ask_price = next_ask()
    except StopIteration:
        pass
    return Met(*met)


def _auction(bids: Side, asks: Side) -> Deals:
    bid_prices, ask_prices = bids.price_utok_per_kwh, asks.price_utok_per_kwh
    bid_rank = sorted(range(len(bid_prices)), key=bid_prices.__getitem__, reverse=True)
    ask_rank = sorted(range(len(ask_prices)), key=ask_prices.__getitem__)
    met = _meet(_ranked(bids, bid_rank), _ranked(asks, ask_rank))
    bid, ask = [bid_rank[place] for place in met.bid], [ask_rank[place] for place in met.ask]
    energy, price = list(met.energy_uwh), None
    amounts: list[int] = []
    if bid:
        price = (bid_prices[bid[-1]] + ask_prices[ask[-1]]) // 2
        amounts = [amount_utok(each, price) for each in energy]
    lines = Lines(
        [True] * len(bid) + [False] * len(bid),
        ask + bid,
        energy + energy,
        amounts + [-amount for amount in amounts],
    )
    deals = zip(bid, ask, energy, strict=True)
    welfare = sum(part * (bid_prices[one] - ask_prices[other]) for one, other, part in deals)
    return Deals(bid, ask, energy, price, lines, welfare)


def _ranked(side: Side, rank: Sequence[int]) -> Side:
    return Side(*([column[place] for place in rank] for column in side))
