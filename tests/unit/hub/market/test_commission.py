"""Power Ledger's: the operator earns by the kWh, and one token is locked to mint the other."""

from __future__ import annotations

import pytest

from hub.market.contract import BANK, OPERATOR, Transfer
from hub.market.errors import CallRefused
from tests.support.scheme_market import SchemeMarket, reasons, sales


def test_buyers_pay_price_and_commission_and_never_more_than_the_tariff() -> None:
    market = SchemeMarket("commission", commission_utok_per_kwh=20_000, price_percent=100)
    found = market.clear(ann=3, bob=-1, cyd=-5)
    assert sales(found) == [("ann", "bob", 0.5), ("ann", "cyd", 2.5)]
    assert {match.price_utok_per_kwh for match in found.matches} == {280_000}
    assert found.transfers == (
        Transfer("bob", OPERATOR, 10_000, "commission"),
        Transfer("cyd", OPERATOR, 50_000, "commission"),
    )
    assert market.balances["bob"] == -300_000
    assert market.checks.limits_kept
    assert market.checks.passed["welfare_optimal"]


def test_a_commission_above_the_spread_ends_all_trade_and_says_so() -> None:
    """The counter-example to the best welfare."""
    market = SchemeMarket("commission", commission_utok_per_kwh=200_001)
    found = market.clear(ann=3, bob=-1)
    assert found.matches == ()
    why = "with the commission no price suits both sides"
    assert reasons(found) == {"ann": why, "bob": why}
    assert not market.checks.passed["welfare_optimal"]


def test_what_is_minted_is_locked_and_comes_free_when_it_is_redeemed() -> None:
    market = SchemeMarket("commission", tokens="two", minted_utok=500)
    market.clear(ann=0, bob=0)
    with pytest.raises(CallRefused, match="credit takes a key with the office of bank"):
        market.call("ann", "credit", member="ann", tokens=10)
    market.call("bank", "credit", "bank", member="ann", tokens=10)
    with pytest.raises(CallRefused, match="you have 10 tokens to lock, not 11"):
        market.call("ann", "lock", tokens=11)
    market.call("ann", "lock", tokens=4)
    market.call("ann", "lock", tokens=6)
    assert (market.balances["ann"], market.balances[BANK]) == (5_000, -5_000)
    assert market.call("ann", "redeem", amount_utok=2_600).answer == {"redeemed_utok": 2_600}
    # The first lock is free, and of the second what 600 utok were minted against, rounded down.
    assert market.memory["tokens.ann"] == 5
    with pytest.raises(CallRefused, match="your balance of 2400 utok does not pay 2401"):
        market.call("ann", "redeem", amount_utok=2_401)
    market.call("ann", "redeem", amount_utok=2_400)
    assert market.memory == {"tokens.ann": 10}
    assert market.balances[BANK] == 0


def test_nothing_is_redeemed_that_was_not_minted_here() -> None:
    market = SchemeMarket("commission", tokens="two")
    market.clear(ann=1, bob=-1)
    with pytest.raises(CallRefused, match="0 utok were minted against tokens, not 5"):
        market.call("ann", "redeem", amount_utok=5)


def test_one_token_has_no_calls() -> None:
    market = SchemeMarket("commission")
    with pytest.raises(CallRefused, match="commission has no call 'lock'; there are: none"):
        market.call("ann", "lock", tokens=1)
