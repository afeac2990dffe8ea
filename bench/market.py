"""How fast markets clear, each beside a plain piece of work in the same run.

The seeded books of `tests/support/order_books.py`, whose exact clearing four other programs agree
on: energy, price and welfare are compared before a figure is told. Times are the best of several
turns in which ours and the plain work take turns, so that both see the same machine.

- By columns (`hub.market.columns`): ranked, crossed, and both lines of every deal. Beside it stand
  numpy's sort of both sides and nothing else, and a short program in plain Python that yields the
  pairs alone.
- As a contract, an object an order, with what became of each: what a hub does.
- Partners: who prefers whom and who is near. Only pairing changes, so no welfare is given up.
- 300 members of the hybrid market of paper 004.

    python -m bench market
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.figure import Figure, Target
from hub.core.settlement import settlement
from hub.market.columns import Deals, Side, auction
from hub.market.contract import Clearing, Contract, Order, StepBudget
from hub.market.contracts.double_auction import DoubleAuction
from hub.market.contracts.hybrid_p2p import HybridP2P
from tests.support.order_books import WH, bare_book, columns, orders

VECTORS: Final = Path(__file__).parent.parent / "tests/vectors/market/order_books.json"
NEVER: Final = 2**62
STEPS: Final = 10**10
TURNS_S: Final = 4.0
NEAR: Final = {"partners": "preferred_area", "areas_beside": "0:1, 1:2"}
PARTICIPANTS: Final = 300
TARGET_FROM: Final = 10_000
"""Orders a side; a smaller book is cleared before anybody waits."""


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield ratios for growing books, then partners, then the hybrid market."""
    vectors = {(row["n"], row["tick"]): row for row in json.loads(VECTORS.read_text())["books"]}
    for count in (1_000, 10_000) if quick else (10_000, 100_000):
        yield from by_columns(count, vectors[count, 1])
    for count in (1_000,) if quick else (10_000, 50_000):
        yield from as_contract(count)
    yield hybrid("double_auction")
    yield hybrid("lowest_ask")


def by_columns(count: int, vector: Mapping[str, Any]) -> Iterator[Figure]:
    """Compare both roads with the plain work beside them."""
    bids, asks = sides(count)
    quick_bids, quick_asks = (Side(*(np.array(each) for each in side)) for side in (bids, asks))
    name = f"auction of {count:,} + {count:,} orders"
    sort_s, quick_s = in_turns(
        lambda: sort(quick_bids, quick_asks), lambda: auction(quick_bids, quick_asks, large=0)
    )
    check(auction(quick_bids, quick_asks, large=0), vector)
    told = f"{quick_s * 1000:.1f} ms with all matches and lines, the sort {sort_s * 1000:.1f} ms"
    target = Target("at most", 3.0) if count >= TARGET_FROM else None
    yield Figure(f"{name}, numpy", quick_s / sort_s, "of its sort", target, told)
    bare_s, plain_s = in_turns(
        lambda: two_pointers(bids, asks), lambda: auction(bids, asks, large=NEVER)
    )
    check(auction(bids, asks, large=NEVER), vector)
    told = f"{plain_s * 1000:.0f} ms, the pairs alone {bare_s * 1000:.0f} ms"
    target = Target("at most", 4.0)
    yield Figure(f"{name}, without numpy", plain_s / bare_s, "of the pairs alone", target, told)


def as_contract(count: int) -> Iterator[Figure]:
    """Time the contract as a hub calls it, plain and with partners."""
    found = orders(columns(count))
    plain_s, near_s = in_turns(lambda: clear(found), lambda: clear(found, **NEAR))
    plain, near = (
        settlement(bare_book(found, **parameters), clear(found, **parameters)).checks
        for parameters in ({}, NEAR)
    )
    given_up = plain.welfare_utok_uwh_per_kwh - near.welfare_utok_uwh_per_kwh
    name = f"double_auction of {count:,} + {count:,} orders, an object each"
    yield Figure(name, plain_s * 1000, "ms", None, "with what became of each order")
    told = f"welfare given up: {given_up}; {near_s * 1000:.0f} ms"
    target = Target("at most", 2.0)
    yield Figure(f"{name}, by partners and areas", near_s / plain_s, "of plain", target, told)


def hybrid(price_rule: str) -> Figure:
    """Clear the market of paper 004 for a village."""
    found = orders(columns(PARTICIPANTS // 2))
    took_s = min(in_turns(lambda: clear(found, HybridP2P(), price_rule=price_rule)))
    name = f"hybrid_p2p of {PARTICIPANTS} members, {price_rule}"
    return Figure(name, took_s * 1000, "ms", Target("at most", 10.0))


def sides(count: int, tick: int = 1) -> tuple[Side, Side]:
    """Return the bids and asks of a seeded book."""
    bid_wh, bid_price, _, _, ask_wh, ask_price, _ = columns(count, tick)
    return Side([wh * WH for wh in bid_wh], bid_price), Side([wh * WH for wh in ask_wh], ask_price)


def clear(
    found: tuple[Order, ...], contract: Contract | None = None, **parameters: Any
) -> Clearing:
    """Clear a book with no meters behind it."""
    return (contract or DoubleAuction()).clear(bare_book(found, **parameters), StepBudget(STEPS))


def sort(bids: Side, asks: Side) -> tuple[Any, Any]:
    """Rank both sides by numpy, equal prices as they came; the least that any auction must do."""
    dearest_first = np.argsort(-bids.price_utok_per_kwh, kind="stable")
    return dearest_first, np.argsort(asks.price_utok_per_kwh, kind="stable")


def two_pointers(bids: Side, asks: Side) -> list[tuple[int, int, int]]:
    """Return (bid, ask, energy) of all deals, by the shortest plain Python there is."""
    dear = sorted(range(len(bids.energy_uwh)), key=lambda place: -bids.price_utok_per_kwh[place])
    cheap = sorted(range(len(asks.energy_uwh)), key=lambda place: asks.price_utok_per_kwh[place])
    pairs = []
    at = to = 0
    wanted, left = bids.energy_uwh[dear[0]], asks.energy_uwh[cheap[0]]
    while bids.price_utok_per_kwh[dear[at]] >= asks.price_utok_per_kwh[cheap[to]]:
        energy = min(wanted, left)
        pairs.append((dear[at], cheap[to], energy))
        wanted, left = wanted - energy, left - energy
        if not wanted:
            at += 1
            wanted = bids.energy_uwh[dear[at]]
        if not left:
            to += 1
            left = asks.energy_uwh[cheap[to]]
    return pairs


def check(deals: Deals, vector: Mapping[str, Any]) -> None:
    """End the measurement unless a seeded book came to what it must."""
    found = (sum(map(int, deals.energy_uwh)), *deals[3::2], sum(map(int, deals.lines.amount_utok)))
    if found != (vector["energy_wh"] * WH, vector["price"], vector["welfare"] * WH, 0):
        raise SystemExit(f"the book of {vector['n']} + {vector['n']} orders clears to {found}")


def in_turns(*works: Callable[[], object], for_s: float = TURNS_S) -> list[float]:
    """Return the best time of each work, one after the other again and again. [s]"""
    best = [float("inf")] * len(works)
    end_s = time.perf_counter() + for_s * len(works)
    turns = 0
    while turns < 3 or time.perf_counter() < end_s:
        for place, work in enumerate(works):
            start_s = time.perf_counter()
            found = work()
            best[place] = min(best[place], time.perf_counter() - start_s)
            del found
        turns += 1
    return best
