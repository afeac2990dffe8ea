"""Paper 003's listing: a price is set, and a call that offers as much takes it at that price."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import (
    ASK,
    BID,
    COMMUNITY,
    GRID,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    Order,
    Position,
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
    Value,
)
from hub.market.contracts.listing import Listing
from hub.market.errors import CallRefused
from tests.support.order_books import bare_book, columns, orders

KWH = 1_000_000_000
SLOT = 900_000
TARIFF = Tariff(300_000, 100_000)


class Board:
    """Listings as the fold keeps them."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters
        self.memory: dict[str, Value] = {}
        self.calls = 0

    def call(self, member: str, method: str, **arguments: Any) -> CallResult:
        self.calls += 1
        request = CallRequest(
            member,
            self.calls.to_bytes(8, "big"),
            method,
            arguments,
            0,
            self.memory,
            SLOT,
            self.calls,
            (),
            self.parameters,
            TARIFF,
        )
        result = Listing().call(request, StepBudget())
        self._keep(result)
        return result

    def clear(self, **kwh: int) -> Clearing:
        """Settle the first slot; energy of each member, above 0 is made. [kWh]"""
        positions = tuple(
            Position(name, name, name, max(net, 0) * KWH, max(-net, 0) * KWH)
            for name, net in sorted(kwh.items())
        )
        book = SlotBook(0, SLOT, positions, TARIFF, self.parameters, self.memory)
        clearing = Listing().clear(book, StepBudget())
        check_clearing(book, clearing)
        assert settlement(book, clearing).checks.limits_kept
        self._keep(clearing)
        return clearing

    def _keep(self, result: CallResult | Clearing) -> None:
        self.memory.update(result.memory)
        self.memory = {key: value for key, value in self.memory.items() if value is not None}


def offer(board: Board, member: str, method: str, price: int, kwh: int, **more: Any) -> Any:
    result = board.call(
        member, method, price_utok_per_kwh=price, energy_uwh=kwh * KWH, slot_ms=0, **more
    )
    return result.answer


def test_the_events_of_the_figure() -> None:
    board = Board()
    assert offer(board, "ann", "list", 150_000, 4)["event"] == "price set"
    assert offer(board, "bob", "buy", 149_999, 1) == {"event": "trade not matched", "energy_uwh": 0}
    assert offer(board, "bob", "buy", 150_000, 1) == {"event": "trade matched", "energy_uwh": KWH}
    found = board.clear(ann=4, bob=-1)
    assert found.matches == (Match("ann", "bob", "ann", "bob", KWH, 150_000),)
    assert found.remainders == (Remainder("ann", GRID, 3 * KWH, 100_000),)
    assert board.memory == {}


def test_the_cheapest_first_in_parts_at_the_price_that_was_set() -> None:
    board = Board()
    offer(board, "ann", "list", 170_000, 4)
    offer(board, "bea", "list", 150_000, 2)
    offer(board, "cyd", "list", 150_000, 2)
    assert offer(board, "dan", "buy", 200_000, 5)["energy_uwh"] == 5 * KWH
    found = board.clear(ann=4, bea=2, cyd=2, dan=-5)
    assert [(m.seller, m.energy_uwh // KWH, m.price_utok_per_kwh) for m in found.matches] == [
        ("bea", 2, 150_000),
        ("cyd", 2, 150_000),
        ("ann", 1, 170_000),
    ]
    assert [(fate.member, fate.matched_uwh // KWH, fate.reason) for fate in found.fates] == [
        ("ann", 1, "trade matched in part"),
        ("bea", 2, ""),
        ("cyd", 2, ""),
        ("dan", 5, ""),
    ]


def test_a_call_can_name_its_listing() -> None:
    board = Board()
    offer(board, "ann", "list", 150_000, 1)
    dear = offer(board, "bea", "list", 160_000, 1)["listing"]
    offer(board, "dan", "buy", 200_000, 2, listing=dear)
    assert [m.seller for m in board.clear(ann=1, bea=1, dan=-2).matches] == ["bea"]


def test_buyers_list_what_they_want_and_sellers_answer() -> None:
    board = Board()
    offer(board, "bob", "want", 180_000, 2)
    offer(board, "cyd", "want", 220_000, 2)
    assert offer(board, "ann", "sell", 200_000, 3)["energy_uwh"] == 2 * KWH
    found = board.clear(ann=3, bob=-2, cyd=-2)
    assert [(m.buyer, m.price_utok_per_kwh) for m in found.matches] == [("cyd", 220_000)]
    assert [(fate.member, fate.side, fate.reason) for fate in found.fates] == [
        ("bob", BID, "trade not matched"),
        ("cyd", BID, ""),
        ("ann", ASK, ""),
    ]


def test_a_pseudonym_is_fresh_with_each_listing() -> None:
    board = Board()
    names = {offer(board, "bob", "want", 180_000, 1)["listing"] for _ in range(3)}
    assert len(names) == 3
    assert not any("bob" in name for name in names)


def test_meters_decide_how_much_of_a_trade_there_was() -> None:
    board = Board()
    offer(board, "ann", "list", 150_000, 4)
    offer(board, "bob", "buy", 150_000, 2)
    offer(board, "cyd", "buy", 150_000, 2)
    found = board.clear(ann=3, bob=-2, cyd=-5)
    assert [(m.buyer, m.energy_uwh // KWH) for m in found.matches] == [("bob", 2), ("cyd", 1)]
    lacking = "trade matched, but the meters did not show the energy"
    assert [(fate.member, fate.reason) for fate in found.fates] == [
        ("ann", lacking),
        ("bob", ""),
        ("cyd", lacking),
    ]


def test_nobody_trades_with_himself() -> None:
    board = Board()
    offer(board, "ann", "list", 150_000, 4)
    assert offer(board, "ann", "buy", 150_000, 1)["event"] == "trade not matched"


def test_what_is_left_of_a_listing_can_be_cancelled() -> None:
    board = Board()
    name = offer(board, "ann", "list", 150_000, 4)["listing"]
    offer(board, "bob", "buy", 150_000, 1)
    with pytest.raises(CallRefused, match="you have no listing"):
        board.call("bob", "cancel", listing=name)
    assert board.call("ann", "cancel", listing=name).answer == {"left_uwh": 3 * KWH}
    assert offer(board, "cyd", "buy", 150_000, 1)["event"] == "trade not matched"
    assert len(board.clear(ann=4, bob=-1, cyd=-1).matches) == 1
    lone = offer(board, "ann", "list", 150_000, 4)["listing"]
    board.call("ann", "cancel", listing=lone)
    assert board.memory == {}


def test_limits_and_fees() -> None:
    board = Board(listings_max=1, call_fee_utok=5)
    with pytest.raises(CallRefused, match="the call lacks its fee"):
        offer(board, "ann", "list", 150_000, 4)
    placed = board.call("ann", "list", price_utok_per_kwh=1, energy_uwh=1, slot_ms=0, fee_utok=5)
    assert placed.transfers == (Transfer("ann", COMMUNITY, 5, "fee of a call"),)
    with pytest.raises(CallRefused, match="you have 1 listings and trades in that slot, no more"):
        offer(board, "ann", "list", 150_000, 4, fee_utok=5)
    for wrong, text in (
        ({"slot_ms": 1}, "1 is no slot's start"),
        ({"slot_ms": 97 * SLOT}, "list is for one of the slots 0 to"),
        ({"energy_uwh": 0}, "energy_uwh is a whole number from 1"),
    ):
        arguments = {"price_utok_per_kwh": 1, "energy_uwh": 1, "slot_ms": 0, "fee_utok": 5}
        with pytest.raises(CallRefused, match=text):
            board.call("bob", "list", **(arguments | wrong))
    with pytest.raises(CallRefused, match="listing has no call 'bid'"):
        board.call("bob", "bid")


def test_off_the_ledger_asks_are_listed_and_bids_come_one_by_one() -> None:
    rows = (
        Order("s0", ASK, 3, 100, 0),
        Order("s1", ASK, 3, 50, 1),
        Order("b0", BID, 4, 120, 0),
        Order("b1", BID, 4, 60, 1),
    )
    book = bare_book(rows)
    found = Listing().clear(book, StepBudget())
    assert [(m.seller, m.buyer, m.energy_uwh, m.price_utok_per_kwh) for m in found.matches] == [
        ("s1", "b0", 3, 50),
        ("s0", "b0", 1, 100),
    ]
    assert [(fate.member, fate.reason) for fate in found.fates] == [
        ("s1", ""),
        ("s0", "trade matched in part"),
        ("b0", ""),
        ("b1", "trade not matched"),
    ]


def test_who_comes_first_takes_the_cheap_and_welfare_is_less() -> None:
    """The counter-example to the best welfare: calls come in their own order, not by worth."""
    book = bare_book(orders(columns(1000)))
    clearing = Listing().clear(book, StepBudget(10**9))
    checks = settlement(book, clearing).checks
    assert checks.limits_kept
    assert checks.energy_conserved
    assert checks.welfare_ppm is not None
    assert checks.welfare_ppm < 910_000
