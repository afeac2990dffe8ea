"""Dajie's: coins by producing, spent on energy or redeemed."""

from __future__ import annotations

import pytest

from hub.market.contract import BANK
from hub.market.errors import CallRefused, ImpossibleClearing
from tests.support.scheme_market import KWH, SchemeMarket, reasons, sales


def test_earn_spend_and_earn_again() -> None:
    market = SchemeMarket("generation_coin", coin_utok=200_000)
    found = market.clear(ann=3, bob=-1)
    assert found.matches == ()
    assert reasons(found) == {"ann": "no buyer with coins was left", "bob": "no coins are left"}
    assert market.memory == {"purse.ann": 3 * KWH}
    assert market.balances[BANK] == -600_000
    found = market.clear(ann=-4, bob=5)
    assert sales(found) == [("bob", "ann", 3)]
    assert reasons(found) == {"ann": "no coins are left", "bob": "no buyer with coins was left"}
    assert market.memory == {"purse.bob": 8 * KWH}
    assert market.balances[BANK] == -8 * 200_000


def test_coins_are_sent_and_redeemed() -> None:
    market = SchemeMarket("generation_coin")
    market.clear(ann=3, bob=0)
    market.call("ann", "send", to="bob", energy_uwh=2 * KWH)
    with pytest.raises(CallRefused, match="your purse holds coins for 1000000000 uWh, not 2"):
        market.call("ann", "redeem", coins=2)
    assert market.call("bob", "redeem", coins=1).answer == {"carbon_credits": 1}
    assert market.memory == {"purse.ann": KWH, "purse.bob": KWH, "carbon.bob": 1}
    assert market.balances["bob"] == 200_000
    with pytest.raises(ImpossibleClearing, match="there is no account 'nobody'"):
        market.call("ann", "send", to="nobody", energy_uwh=1)


def test_a_coin_buys_a_kwh_whatever_the_grid_costs() -> None:
    """The counter-example to limits, and to the best welfare."""
    market = SchemeMarket("generation_coin", coin_utok=900_000)
    market.clear(ann=1, bob=0)
    market.clear(ann=-1, bob=1)
    assert market.checks.losers == ("ann",)
    market.clear(cyd=-1, dan=1)
    assert not market.checks.passed["welfare_optimal"]
