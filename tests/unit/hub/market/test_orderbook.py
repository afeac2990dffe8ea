"""The book's calls: gates, seals, limits, fees; and what a slot leaves of the book."""

from __future__ import annotations

from typing import Any

import pytest

from hub.market.contract import (
    COMMUNITY,
    CallRequest,
    CallResult,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
    Value,
)
from hub.market.contracts.double_auction import DoubleAuction
from hub.market.errors import CallRefused
from messages.orders import Wish, commitment

SLOT = 900_000
NOW = 10 * SLOT
SALT = b"s" * 16


class Desk:
    """A market whose calls are kept in memory, as the fold keeps them."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters
        self.memory: dict[str, Value] = {}
        self.calls = 0
        self.now = NOW

    def call(self, method: str, member: str = "ann", **arguments: Any) -> CallResult:
        self.calls += 1
        request = CallRequest(
            member,
            self.calls.to_bytes(8, "big"),
            method,
            arguments,
            self.now,
            self.memory,
            SLOT,
            self.calls,
            (),
            self.parameters,
            Tariff(300, 100, 0, 1000),
        )
        result = DoubleAuction().call(request, StepBudget())
        self._keep(result.memory)
        return result

    def clear(self) -> dict[str, tuple[int, str]]:
        """Close the slot; ann made 5 and bob used 5. Energy and reason by order."""
        positions = (Position("ann", "a", "a", 5, 0), Position("bob", "b", "b", 0, 5))
        book = SlotBook(
            self.now, SLOT, positions, Tariff(300, 100, 0, 1000), self.parameters, self.memory
        )
        clearing = DoubleAuction().clear(book, StepBudget())
        self._keep(clearing.memory)
        self.now += SLOT
        return {fate.order_id: (fate.matched_uwh, fate.reason) for fate in clearing.fates}

    def _keep(self, changed: Any) -> None:
        for key, value in changed.items():
            if value is None:
                del self.memory[key]
            else:
                self.memory[key] = value


def key(number: int) -> str:
    return f"{number:016x}"


def test_a_standing_order_counts_from_the_first_open_gate_until_it_is_withdrawn() -> None:
    desk = Desk()
    placed = desk.call("order", side="ask", price_utok_per_kwh=150)
    assert placed.answer == {"order": key(1), "from_ms": NOW + SLOT, "until_ms": None}
    desk.call("order", "bob", side="bid", price_utok_per_kwh=250)
    assert desk.clear() == {}
    assert desk.clear() == {key(1): (5, ""), key(2): (5, "")}
    assert desk.call("withdraw", order=key(1)).answer["until_ms"] == desk.now + SLOT
    assert desk.clear()[key(1)] == (5, "")
    assert key(1) not in desk.clear()
    assert list(desk.memory) == ["order.bob"]


def test_an_order_for_one_slot_counts_there_and_is_gone() -> None:
    desk = Desk()
    slot = NOW + SLOT
    desk.call("order", side="ask", price_utok_per_kwh=150, slot_ms=slot, energy_uwh=3)
    desk.call("order", "bob", side="bid", price_utok_per_kwh=150, slot_ms=slot)
    assert desk.clear() == {}
    assert desk.clear() == {
        key(1): (3, ""),
        key(2): (3, "the last one served: in part"),
    }
    assert desk.memory == {}
    assert desk.clear() == {}


def test_withdrawn_before_its_gate_it_was_never_there() -> None:
    desk = Desk()
    desk.call("order", side="ask", price_utok_per_kwh=150, slot_ms=NOW + SLOT)
    desk.call("withdraw", order=key(1))
    assert desk.memory == {}
    desk.call("order", side="ask", price_utok_per_kwh=150, slot_ms=NOW + SLOT)
    desk.clear()
    with pytest.raises(CallRefused, match="is closed: the order stays"):
        desk.call("withdraw", order=key(3))
    with pytest.raises(CallRefused, match="you have no order"):
        desk.call("withdraw", "bob", order=key(3))


def sealed(member: str, slot: int, **wish: Any) -> bytes:
    return commitment(member, slot, Wish(wish["side"], None, wish["price_utok_per_kwh"]), SALT)


def test_sealed_orders_are_revealed_after_the_gate_and_keep_their_place() -> None:
    desk = Desk(book="sealed")
    slot = NOW + SLOT
    ask: dict[str, Any] = {"side": "ask", "price_utok_per_kwh": 150}
    bid: dict[str, Any] = {"side": "bid", "price_utok_per_kwh": 250}
    desk.call("commit", slot_ms=slot, commitment=sealed("ann", slot, **ask))
    desk.call("commit", "bob", slot_ms=slot, commitment=sealed("bob", slot, **bid))
    with pytest.raises(CallRefused, match="is open: others could answer"):
        desk.call("reveal", order=key(1), salt=SALT, **ask)
    desk.clear()
    with pytest.raises(CallRefused, match=f"order {key(1)} was committed to otherwise"):
        desk.call("reveal", order=key(1), salt=SALT, **(ask | {"price_utok_per_kwh": 151}))
    with pytest.raises(CallRefused, match="was committed to otherwise"):
        desk.call("reveal", order=key(1), salt=b"t" * 16, **ask)
    with pytest.raises(CallRefused, match="you have no sealed order"):
        desk.call("reveal", "bob", order=key(1), salt=SALT, **ask)
    desk.call("reveal", order=key(1), salt=SALT, **ask)
    desk.call("reveal", "bob", order=key(2), salt=SALT, **bid)
    rows: Any = desk.memory["order.ann"]
    assert rows[0][6] == 1  # the place in time of its commitment, not of its reveal
    assert desk.clear() == {key(1): (5, ""), key(2): (5, "")}
    assert desk.memory == {}


def test_what_is_not_revealed_is_dropped_and_says_so() -> None:
    desk = Desk(book="sealed")
    slot = NOW + SLOT
    desk.call("commit", slot_ms=slot, commitment=bytes(32))
    desk.clear()
    assert desk.clear() == {key(1): (0, "committed and not revealed in time")}
    assert desk.memory == {}
    with pytest.raises(CallRefused, match="you have no sealed order"):
        desk.call("reveal", order=key(1), salt=SALT, side="ask", price_utok_per_kwh=1)


def test_a_call_brings_its_fee_to_the_community() -> None:
    desk = Desk(call_fee_utok=70)
    order: dict[str, Any] = {"side": "ask", "price_utok_per_kwh": 150}
    with pytest.raises(CallRefused, match="lacks its fee: it offers 0 utok of 70"):
        desk.call("order", **order)
    with pytest.raises(CallRefused, match="lacks its fee: it offers 69 utok of 70"):
        desk.call("order", fee_utok=69, **order)
    assert desk.call("order", fee_utok=99, **order).transfers == (
        Transfer("ann", COMMUNITY, 70, "fee of a call"),
    )


def test_a_member_has_so_many_orders_in_a_slot_and_no_more() -> None:
    desk = Desk(orders_max=2)
    order: dict[str, Any] = {"side": "ask", "price_utok_per_kwh": 150}
    desk.call("order", **order)
    desk.call("order", slot_ms=NOW + 3 * SLOT, **order)
    desk.call("order", slot_ms=NOW + 2 * SLOT, **order)
    more: tuple[tuple[dict[str, Any], int], ...] = (
        ({}, NOW + 2 * SLOT),
        ({"slot_ms": NOW + 3 * SLOT}, NOW + 3 * SLOT),
    )
    for when, full_ms in more:
        with pytest.raises(CallRefused, match=f"you have 2 orders in slot {full_ms}, no more"):
            desk.call("order", **order, **when)
    desk.call("order", "bob", **order)


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no side": ("order", {"price_utok_per_kwh": 1}, "order needs side"),
    "odd side": (
        "order",
        {"side": "buy", "price_utok_per_kwh": 1},
        "side is one of bid, ask, not 'buy'",
    ),
    "no energy": (
        "order",
        {"side": "bid", "price_utok_per_kwh": 1, "energy_uwh": 0},
        "energy_uwh is a whole number from 1",
    ),
    "too dear": (
        "order",
        {"side": "bid", "price_utok_per_kwh": 1001},
        "price_utok_per_kwh is a whole number from 0 to 1000, not 1001",
    ),
    "unknown": ("order", {"side": "bid", "price_utok_per_kwh": 1, "x": 1}, "no argument 'x'"),
    "no slot's start": (
        "order",
        {"side": "bid", "price_utok_per_kwh": 1, "slot_ms": NOW + 1},
        "is no slot's start",
    ),
    "gate closed": (
        "order",
        {"side": "bid", "price_utok_per_kwh": 1, "slot_ms": NOW},
        f"the gate of slot {NOW} is closed: the first open one is {NOW + SLOT}",
    ),
    "far ahead": (
        "order",
        {"side": "bid", "price_utok_per_kwh": 1, "slot_ms": NOW + 98 * SLOT},
        "96 slots ahead, not more",
    ),
    "wishing ask": (
        "order",
        {"side": "ask", "price_utok_per_kwh": 1, "fuels": "solar"},
        "an ask has no wishes",
    ),
    "odd fuel": (
        "order",
        {"side": "bid", "price_utok_per_kwh": 1, "fuels": "sun"},
        "no fuel 'sun'",
    ),
    "open book": ("commit", {"slot_ms": NOW, "commitment": bytes(32)}, "this book is open"),
    "unknown call": ("buy", {}, "double_auction has no call 'buy'"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_refusal_names_call_and_argument(name: str) -> None:
    method, arguments, text = BAD[name]
    desk = Desk()
    with pytest.raises(CallRefused, match=text):
        desk.call(method, **arguments)
    assert desk.memory == {}


def test_a_sealed_book_takes_no_open_order_for_a_slot() -> None:
    desk = Desk(book="sealed")
    with pytest.raises(CallRefused, match="this book is sealed"):
        desk.call("order", side="ask", price_utok_per_kwh=1, slot_ms=NOW + SLOT)
    with pytest.raises(CallRefused, match="a commitment has 32 bytes, this one 31"):
        desk.call("commit", slot_ms=NOW + SLOT, commitment=bytes(31))
