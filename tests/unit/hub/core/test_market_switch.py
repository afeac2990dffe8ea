"""One market takes another's place at a slot: the first one's orders end and say so."""

from __future__ import annotations

from hub.core.effects import CallFailed, CallServed
from messages.orders import Wish, commitment
from tests.support.market import Market, order_id
from tests.support.village import HOUR, KWH

SALT = b"s" * 32


def test_orders_of_a_market_that_ends_are_dropped_and_their_members_told() -> None:
    market = Market(book="open")
    market.close()
    market.call("ann", "order", side="ask", price_utok_per_kwh=150_000)
    market.call("bob", "order", side="bid", price_utok_per_kwh=250_000, slot_ms=5 * HOUR)
    market.village.policy(4, contract="dep_balance")
    market.close()
    assert market.close().fates[0].reason != ""
    last = market.close()
    told = f"the market is dep_balance from slot {4 * HOUR} on"
    assert [(fate.member, fate.order_id, fate.reason) for fate in last.fates[-2:]] == [
        ("ann", order_id(1), told),
        ("bob", order_id(2), told),
    ]
    assert [key for key in market.village.state.memory if key[0] == "double_auction"] == []
    assert market.close().contract == "dep_balance"
    assert market.village.replay().root() == market.village.state.root()


def test_a_commitment_for_a_slot_of_another_market_ends_too() -> None:
    market = Market(book="sealed")
    market.close()
    sealed = commitment("ann", 3 * HOUR, Wish("ask", None, 150_000), SALT)
    market.call("ann", "commit", slot_ms=3 * HOUR, commitment=sealed)
    market.village.policy(3, contract="dep_balance")
    market.close()
    (fate,) = market.close().fates
    assert (fate.member, fate.side, fate.order_id) == ("ann", "sealed", order_id(1))


def test_an_order_for_a_slot_in_which_its_market_is_back_stays() -> None:
    market = Market()
    market.close()
    market.call("ann", "order", side="ask", price_utok_per_kwh=150_000, slot_ms=4 * HOUR)
    market.village.policy(2, contract="dep_balance")
    market.village.policy(4, contract="double_auction")
    for _ in range(3):
        assert market.close().fates == ()
    assert [fate.order_id for fate in market.close().fates] == [order_id(1)]


def test_the_first_slot_of_a_coming_market_can_be_ordered_for() -> None:
    market = Market("dep_balance")
    market.close()
    market.village.policy(3, contract="double_auction", parameters={})
    market.contract = "double_auction"
    early = market.call("ann", "order", side="ask", price_utok_per_kwh=1, slot_ms=2 * HOUR)
    assert isinstance(early, CallFailed)
    wanted = f"contract 'double_auction' is not in force in slot {2 * HOUR}: 'dep_balance' is"
    assert early.reason == wanted
    for name, side, price in (("ann", "ask", 150_000), ("bob", "bid", 250_000)):
        served = market.call(name, "order", side=side, price_utok_per_kwh=price, slot_ms=3 * HOUR)
        assert isinstance(served, CallServed)
    market.close()
    market.close()
    slot = market.close()
    assert (slot.contract, slot.matched_uwh) == ("double_auction", 3 * KWH)


def test_a_call_falls_under_the_rules_of_the_slot_it_names() -> None:
    market = Market(book="open")
    market.close()
    market.village.policy(3, contract="double_auction", parameters={"book": "sealed"})
    order = {"side": "ask", "price_utok_per_kwh": 150_000}
    assert isinstance(market.call("ann", "order", **order, slot_ms=2 * HOUR), CallServed)
    sealed = market.call("ann", "order", **order, slot_ms=3 * HOUR)
    assert isinstance(sealed, CallFailed)
    assert sealed.reason == "this book is sealed: commit to an order and reveal it later"


def test_rows_that_only_look_like_orders_stop_nobody() -> None:
    market = Market()
    market.close()
    market.village.state.memory["double_auction", "order.ann"] = (("x",) * 10, 7)
    market.village.policy(3, contract="dep_balance")
    market.close()
    assert market.close().failure != ""
    assert market.close().failure == ""
