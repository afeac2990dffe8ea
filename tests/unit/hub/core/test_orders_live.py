"""Orders on the ledger: calls, gates and seals through the fold, and the same root again."""

from __future__ import annotations

from hub.core.effects import CallFailed
from hub.core.results import result_rows
from messages.orders import Wish, commitment
from tests.support.market import Market, order_id
from tests.support.village import HOUR, KWH

SALT = b"s" * 32


def test_standing_orders_trade_in_every_slot_whose_gate_they_met() -> None:
    market = Market()
    market.close()
    market.call("ann", "order", side="ask", price_utok_per_kwh=150_000)
    market.call("bob", "order", side="bid", price_utok_per_kwh=250_000)
    assert market.close().matches == ()
    slot = market.close()
    assert slot.failure == ""
    assert [(row.match.energy_uwh, row.amount_utok) for row in slot.matches] == [(3 * KWH, 600_000)]
    assert [(fate.member, fate.matched_uwh) for fate in slot.fates] == [
        ("bob", 3 * KWH),
        ("ann", 3 * KWH),
    ]
    assert all(slot.checks.passed.values())
    bills = [row for row in result_rows(slot, lambda _: 0) if row[0] == "bill"]
    assert [len(bill[10]) for bill in bills] == [0, 1, 1]
    again = market.village.replay()
    assert again.root() == market.village.state.root()
    assert [key for key in market.village.state.memory if key[0] == "double_auction"] == [
        ("double_auction", "order.ann"),
        ("double_auction", "order.bob"),
    ]


def test_a_call_that_is_refused_changes_nothing_and_says_why() -> None:
    market = Market()
    market.close()
    failed = market.call("ann", "order", side="ask", price_utok_per_kwh=1, slot_ms=HOUR)
    assert isinstance(failed, CallFailed)
    assert failed.reason == f"the gate of slot {HOUR} is closed: the first open one is {2 * HOUR}"
    assert market.village.state.memory == {}


def test_sealed_through_commit_gate_reveal_and_close() -> None:
    market = Market(book="sealed")
    market.close()
    wishes = {"ann": Wish("ask", None, 150_000), "bob": Wish("bid", None, 250_000)}
    for name, wish in wishes.items():
        sealed = commitment(name, 2 * HOUR, wish, SALT)
        market.call(name, "commit", slot_ms=2 * HOUR, commitment=sealed)
    market.close()
    market.call(
        "ann", "reveal", order=order_id(1), salt=SALT, side="ask", price_utok_per_kwh=150_000
    )
    slot = market.close()
    assert slot.matches == ()
    assert [(fate.member, fate.order_id, fate.reason) for fate in slot.fates] == [
        ("ann", order_id(1), "no bid reaches any ask"),
        ("bob", order_id(2), "committed and not revealed in time"),
    ]
    assert market.village.state.memory == {}
    assert market.village.replay().root() == market.village.state.root()


def test_who_has_no_meter_may_order_and_stops_nobody() -> None:
    market = Market(call_fee_utok=7)
    market.people["eve"] = market.village.person("eve")
    market.close()
    market.call("eve", "order", side="bid", price_utok_per_kwh=250_000, fee_utok=7)
    market.call("ann", "order", side="ask", price_utok_per_kwh=150_000, fee_utok=7)
    market.close()
    slot = market.close()
    assert slot.failure == ""
    assert [fate.member for fate in slot.fates] == ["ann"]
    assert market.village.state.accounts["@community"] == 14


def test_registry_places_pair_by_distance() -> None:
    market = Market("hybrid_p2p", match_by="distance", other_areas="grid", book="open")
    market.close()
    market.call("ann", "order", side="ask", price_utok_per_kwh=150_000)
    market.call("bob", "order", side="bid", price_utok_per_kwh=250_000)
    market.close()
    slot = market.close()
    assert slot.failure == ""
    assert slot.matched_uwh == 3 * KWH
