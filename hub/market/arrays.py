"""What `hub.market.columns` does, by numpy: the same integers, sooner.

numpy is never needed. Where it is not installed, or where a number or a sum could leave 64 bits,
the answer is None and plain Python does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from hub.market.rounding import KWH_UWH

Columns: TypeAlias = "tuple[Any, Any, Any, Any]"
"""Energies and prices of the bids, then of the asks."""

ROOM: Final = 2**62
"""What sums and products stay below, so that no step between them overflows."""
_HALF_BITS: Final = 31


class Sides(NamedTuple):
    """Both sides as arrays of 64-bit integers."""

    bid_uwh: Any
    bid_price: Any
    ask_uwh: Any
    ask_price: Any


@cache
def numpy() -> Any:
    """Return the library; None where there is none. Loaded when a book is large, not before."""
    try:
        import numpy as found  # noqa: PLC0415
    except ImportError:
        return None
    return found


def meet(columns: Columns) -> tuple[Any, Any, Any] | None:
    """Cross ranked sides; see `hub.market.columns.meet`."""
    sides = _sides(columns)
    return None if sides is None else _meet(sides)


def auction(columns: Columns) -> tuple[Any, Any, Any, int | None, tuple[Any, ...], int] | None:
    """Rank, cross and settle; see `hub.market.columns.auction`."""
    sides = _sides(columns)
    if sides is None:
        return None
    np = numpy()
    bid_rank = np.argsort(-sides.bid_price, kind="stable")
    ask_rank = np.argsort(sides.ask_price, kind="stable")
    ranked = Sides(
        sides.bid_uwh[bid_rank],
        sides.bid_price[bid_rank],
        sides.ask_uwh[ask_rank],
        sides.ask_price[ask_rank],
    )
    bid, ask, energy = _meet(ranked)
    price, amounts, welfare = None, energy[:0], 0
    if len(energy):
        bid_prices, ask_prices = ranked.bid_price[bid], ranked.ask_price[ask]
        price = (int(bid_prices[-1]) + int(ask_prices[-1])) // 2
        amounts = _half_even(energy * price)
        welfare = _sum(energy * (bid_prices - ask_prices))
    bid, ask = bid_rank[bid], ask_rank[ask]
    is_sale = np.zeros(2 * len(energy), dtype=bool)
    is_sale[: len(energy)] = True
    lines = (is_sale, *(np.concatenate(pair) for pair in _both(bid, ask, energy, amounts)))
    return bid, ask, energy, price, lines, welfare


def _both(bid: Any, ask: Any, energy: Any, amounts: Any) -> Sequence[tuple[Any, Any]]:
    return (ask, bid), (energy, energy), (amounts, -amounts)


def _sides(columns: Columns) -> Sides | None:
    """Return the columns as arrays, if there is numpy and nothing can overflow."""
    np = numpy()
    if np is None:
        return None
    try:
        sides = Sides(*(np.asarray(column, dtype=np.int64) for column in columns))
    except OverflowError:
        return None
    if not (len(sides.bid_uwh) and len(sides.ask_uwh)):
        return None
    highest = max(abs(int(bound)) for side in (1, 3) for bound in _bounds(sides[side]))
    for energies in (sides.bid_uwh, sides.ask_uwh):
        most = int(energies.max())
        if max(most * len(energies), most * 2 * highest) >= ROOM:
            return None
    return sides


def _bounds(column: Any) -> tuple[Any, Any]:
    return column.min(), column.max()


def _meet(sides: Sides) -> tuple[Any, Any, Any]:
    """Lay both sides along one axis of energy: between two ends of orders one pair deals."""
    np = numpy()
    bids, asks = len(sides.bid_uwh), len(sides.ask_uwh)
    ends = np.concatenate((sides.bid_uwh.cumsum(), sides.ask_uwh.cumsum()))
    order = ends.argsort(kind="stable")  # two runs that are sorted: a merge
    ends_bid = order < bids
    bid = ends_bid.cumsum() - ends_bid
    ask = np.arange(bids + asks) - bid
    stop = min(int(bid.searchsorted(bids)), int(ask.searchsorted(asks)))
    bid, ask = bid[:stop], ask[:stop]
    stop = int(np.count_nonzero(sides.bid_price[bid] >= sides.ask_price[ask]))
    energy = np.diff(ends[order[:stop]], prepend=0)
    deals = energy > 0
    return bid[:stop][deals], ask[:stop][deals], energy[deals]


def _half_even(products: Any) -> Any:
    """Divide by a kWh, halves to the even neighbour, as `hub.market.rounding.half_even`."""
    quotients = products // KWH_UWH
    twice = 2 * (products - quotients * KWH_UWH)
    return quotients + ((twice > KWH_UWH) | ((twice == KWH_UWH) & (quotients % 2 == 1)))


def _sum(products: Any) -> int:
    """Return an exact sum, whatever its size: of the upper and of the lower halves."""
    upper = products >> _HALF_BITS
    return (int(upper.sum()) << _HALF_BITS) + int((products - (upper << _HALF_BITS)).sum())
