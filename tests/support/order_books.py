"""Seeded order books: the same integers in any language, so that markets can be compared.

splitmix64 draws seven numbers a pair: the bid's energy (100 to 5000 Wh), price (60 000 to 360 000
utok/kWh), area (0 to 2) and preferred seller, then the ask's energy, price (40 000 to 300 000) and
area. With a tick prices are rounded down to its multiples, which makes ties.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from hub.market.contract import ASK, BID, Order, SlotBook, Tariff

SEED = 20240601
WH = 1_000_000
_BITS = (1 << 64) - 1
RANGES = ((100, 5000), (60_000, 360_000), (0, 2), None, (100, 5000), (40_000, 300_000), (0, 2))
"""What each draw is picked from; None: a seller's number."""


def splitmix64(seed: int, count: int) -> Iterator[int]:
    """Yield the first numbers of the stream."""
    state = seed
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & _BITS
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _BITS
        yield mixed ^ (mixed >> 31)


def columns(count: int, tick: int = 1, seed: int = SEED) -> list[list[int]]:
    """Return the seven columns of a book of `count` bids and `count` asks."""
    drawn = list(splitmix64(seed, 7 * count))
    found = []
    for place, bounds in enumerate(RANGES):
        low, high = bounds or (0, count - 1)
        found.append([low + (each >> 11) % (high - low + 1) for each in drawn[place::7]])
    for place in (1, 5):
        found[place] = [price // tick * tick for price in found[place]]
    return found


def digest(found: Iterable[list[int]]) -> str:
    """Return the first 16 hex digits of SHA-256 over the named columns, in the order of names."""
    names = ("bid_wh", "bid_price", "bid_area", "bid_pref", "offer_wh", "offer_price", "offer_area")
    named = dict(zip(names, found, strict=True))
    hashed = hashlib.sha256()
    for name in sorted(named):
        hashed.update(name.encode())
        hashed.update(array("q", named[name]).tobytes())
    return hashed.hexdigest()[:16]


def orders(found: list[list[int]]) -> tuple[Order, ...]:
    """Return bids b0, b1, ... and asks s0, s1, ... of a book; their sequence is their number."""
    bid_wh, bid_price, bid_area, prefers, ask_wh, ask_price, ask_area = found
    bids = (
        Order(f"b{n}", BID, wh * WH, price, n, f"b{n}", str(area), (f"s{wanted}",))
        for n, (wh, price, area, wanted) in enumerate(
            zip(bid_wh, bid_price, bid_area, prefers, strict=True)
        )
    )
    asks = (
        Order(f"s{n}", ASK, wh * WH, price, n, f"s{n}", str(area))
        for n, (wh, price, area) in enumerate(zip(ask_wh, ask_price, ask_area, strict=True))
    )
    return (*bids, *asks)


def bare_book(found: tuple[Order, ...], **parameters: Any) -> SlotBook:
    """Return a book of orders with no meters behind them."""
    return SlotBook(0, 900_000, (), Tariff(360_000, 40_000), parameters, {}, found)
