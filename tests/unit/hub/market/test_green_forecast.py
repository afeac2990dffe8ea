"""GruenStromJeton's: coins for what is expected to be green, trued up by the registers."""

from __future__ import annotations

import pytest

from hub.market.contract import BANK
from hub.market.errors import CallRefused
from tests.support.scheme_market import KWH, SLOT_MS, SchemeMarket

HALF = ", ".join(["50"] * 36)


def test_given_by_forecast_and_trued_up_by_registers() -> None:
    market = SchemeMarket("green_forecast", jeton_utok=10_000)
    for _ in range(24):
        market.clear(ann=-2, bob=1)
    market.call("weather", "forecast", "service", slot_ms=24 * SLOT_MS, percents=HALF)
    before = market.balances.get(BANK, 0)
    market.clear(ann=-2, bob=1)
    # 36 hours of 2 kWh, half of it green: 36 coins of 0.01; bob uses nothing.
    assert market.balances[BANK] == before - 360_000
    with pytest.raises(CallRefused, match="a forecast runs until"):
        market.call("weather", "forecast", "service", slot_ms=25 * SLOT_MS, percents=HALF)
    for hour in range(1, 36):
        found = market.clear(ann=-1, bob=1)
        assert bool(found.transfers) == (hour == 35)
    # He used 37 kWh and not 72: half of 35 kWh is taken back.
    (move,) = found.transfers
    assert (move.payer, move.payee, move.amount_utok) == ("ann", BANK, 175_000)
    assert market.balances[BANK] == before - 185_000
    assert "forecast" not in market.memory
    assert not [key for key in market.memory if key.startswith("jetons.")]
    market.call("weather", "forecast", "service", slot_ms=market.slot_ms, percents=HALF)


def test_who_joins_later_is_trued_up_alone() -> None:
    market = SchemeMarket("green_forecast")
    market.call("weather", "forecast", "service", slot_ms=0, percents=HALF)
    for hour in range(36):
        market.clear(**({"ann": 0, "bob": -1} if hour > 33 else {"ann": 0}))
    assert market.balances[BANK] == -10_000
    assert market.memory["use.ann"] == (0,) * 24


def test_hours_of_the_day_are_counted_anew_each_day() -> None:
    market = SchemeMarket("green_forecast")
    for hour in range(25):
        market.clear(ann=-(hour + 1))
    use = market.memory["use.ann"]
    assert isinstance(use, tuple)
    assert use[:2] == (25 * KWH, 2 * KWH)


@pytest.mark.parametrize("wrong", ["", "1", HALF + ", 3", HALF.replace("50", "101", 1), "x" * 36])
def test_a_forecast_has_36_shares(wrong: str) -> None:
    market = SchemeMarket("green_forecast")
    with pytest.raises(CallRefused, match="percents are 36 whole numbers from 0 to 100"):
        market.call("weather", "forecast", "service", slot_ms=0, percents=wrong)


def test_a_service_signs_it() -> None:
    market = SchemeMarket("green_forecast")
    with pytest.raises(CallRefused, match="forecast takes a key with the office of service"):
        market.call("ann", "forecast", slot_ms=0, percents=HALF)
