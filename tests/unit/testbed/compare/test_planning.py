"""Days planned ahead in a comparison: batteries do as planned, and forecasts count."""

from __future__ import annotations

import pytest

from hub.market.catalog import CONTRACTS
from testbed.compare import optimum
from testbed.compare.battery import Battery
from testbed.compare.community import Community, community
from testbed.compare.forecasting import PERFECT, PERSISTENCE
from testbed.compare.members import Member
from testbed.compare.playing import settings_of, staged
from testbed.compare.running import GRID_ONLY, Run, run_contract
from testbed.compare.tariff import Prices, load_prices
from testbed.homes import Home, Homes

KWH = 1_000_000_000
DAYS = 3


@pytest.fixture(scope="module")
def prices() -> Prices:
    return load_prices(None)


@pytest.fixture(scope="module")
def homes() -> Community:
    """Ann has sun at noon and a battery; bob uses a little more each day."""
    hours = [(day, hour) for day in range(DAYS) for hour in range(24)]
    sun = [4 * KWH if 10 <= hour < 15 else 0 for _, hour in hours]
    ann = Home("ann", [KWH // 2] * len(hours), sun)
    bob = Home("bob", [KWH + day * KWH // 10 for day, _ in hours], [0] * len(hours))
    found = Homes((ann, bob), len(hours), 3_600_000)
    battery = Battery(6 * KWH, 3_000_000)
    return community(found, (Member("ann", battery=battery), Member("bob", has_pv=False)))


def ran(homes: Community, prices: Prices, forecast: str) -> Run:
    (settings,) = (each for each in settings_of("day_ahead", prices) if each.forecast == forecast)
    return run_contract(homes, prices, settings, CONTRACTS, lambda _: None)


def test_with_perfect_foresight_nobody_leaves_his_plan(homes: Community, prices: Prices) -> None:
    run = ran(homes, prices, PERFECT)
    assert not [reason for reason in run.tally.reasons if "refused" in reason]
    assert run.tally.failures == {}
    assert len(run.tally.community.plans) == DAYS
    paid = sum(run.tally.cost_utok[name] for name in ("ann", "bob")) / 1e6
    tariffs = [prices.at(homes.at_ms(slot)) for slot in range(homes.slots)]
    best = optimum.least_cost(homes, tariffs)
    assert best is not None
    # Each day by itself empties the battery at its end, which three days at once would not.
    assert best.cost_tokens <= paid + 1e-6
    assert paid == pytest.approx(best.cost_tokens, rel=0.02)


def test_by_persistence_the_first_day_has_no_plan_and_errors_cost(
    homes: Community, prices: Prices
) -> None:
    foreseen, expected = ran(homes, prices, PERFECT), ran(homes, prices, PERSISTENCE)
    assert sorted(expected.tally.community.plans) == [24, 48]
    assert expected.tally.cost_utok["bob"] > foreseen.tally.cost_utok["bob"]
    stored = expected.tally.community.households[0].stored
    assert stored is not None
    assert not any(stored.charged_uwh[:24])
    assert any(stored.charged_uwh[24:])


def test_a_battery_goes_on_as_the_day_before_left_it(homes: Community, prices: Prices) -> None:
    settings = settings_of("day_ahead", prices)[0]
    found = staged(homes, settings, prices)
    stored, plans = found.households[0].stored, found.plans
    assert stored is not None
    for slot in (24, 48):
        assert plans[slot].plans["ann"].level_uwh == stored.level_uwh[slot - 1]
    assert all(0 <= level <= 6 * KWH for level in stored.level_uwh)
    assert staged(homes, settings_of(GRID_ONLY, prices)[0], prices) is homes


def test_days_begin_at_midnight_wherever_the_file_does(prices: Prices) -> None:
    late = Home("ann", [KWH] * 30, [0] * 30)
    homes = community(Homes((late,), 30, 3_600_000, start_minute=20 * 60), (Member("ann"),))
    run = ran(homes, prices, PERFECT)
    assert sorted(run.tally.community.plans) == [4]
    assert not [reason for reason in run.tally.reasons if "refused" in reason]
