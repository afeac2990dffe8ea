"""A day planned by ADMM: near the optimum of the whole, whole numbers, and possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.market.planned import net_uwh, plan_fault
from hub.scheduling.homes import Home
from hub.scheduling.rounds import Day, Schedule, schedule
from messages.scheduling import Battery, Devices, Task
from tests.support import planned_days
from tests.support.vectors import vectors

KWH = 1_000_000_000
VECTORS = vectors("market/day_ahead")
CASES = {case["homes"]: case for case in VECTORS["cases"]}


def tokens(homes: tuple[Home, ...], *, pooled: bool) -> float:
    """What the day costs without any device, each alone or all as one."""
    prices = planned_days.day(1)
    rows = [home.base_uwh for home in homes]
    if pooled:
        rows = [tuple(sum(slot) for slot in zip(*rows, strict=True))]
    return sum(
        (tariff if net > 0 else feed_in) * net / 1e15
        for row in rows
        for net, tariff, feed_in in zip(
            row, prices.tariff_utok_per_kwh, prices.feed_in_utok_per_kwh, strict=True
        )
    )


@pytest.mark.parametrize("count", sorted(CASES))
def test_the_cases_are_those_that_the_optimum_was_found_for(count: int) -> None:
    homes, case = planned_days.homes(count), CASES[count]
    assert tokens(homes, pooled=False) == pytest.approx(case["alone_without_battery"], abs=1e-6)
    assert tokens(homes, pooled=True) == pytest.approx(case["pooled_without_battery"], abs=1e-6)


@pytest.mark.timeout(180)  # 300 homes on one core
@pytest.mark.parametrize("count", sorted(CASES))
def test_cost_is_near_the_optimum_of_the_whole(count: int) -> None:
    homes, day = planned_days.homes(count), planned_days.day(count)
    found = schedule(homes, day)
    optimum = CASES[count]["optimum"]
    assert is_possible(homes, day, found)
    assert found.proposal.cost_utok / 1e6 == pytest.approx(
        optimum, rel=VECTORS["gap_ppm_max"] / 1e6
    )
    assert found.proposal.rounds < VECTORS["rounds_below"]
    assert found.proposal.cost_utok / 1e6 * (1 - found.gap_ppm / 1e6) < optimum + 1e-6


def is_possible(homes: tuple[Home, ...], day: Day, found: Schedule) -> bool:
    """Add everything up once more, from each home's own figures and with floats for levels."""
    total = [0] * len(day.tariff_utok_per_kwh)
    for home in homes:
        plan, battery = found.plans[home.member], home.devices.battery
        assert plan_fault(home.devices, plan, len(total), day.slot_ms) == ""
        level, most = float(home.level_uwh), 0.0
        if battery is not None:
            most = battery.power_mw * day.slot_ms / 3600
        for slot in range(len(total)):
            into, out = plan.charged_uwh[slot], plan.discharged_uwh[slot]
            cut = plan.curtailed_uwh[slot]
            assert 0 <= into <= most
            assert 0 <= out <= most
            assert 0 <= cut <= home.spare_uwh[slot]
            if battery is not None:
                keeps = battery.efficiency_percent / 100
                level += into * keeps - out / keeps
                assert -100 <= level <= battery.capacity_uwh + 100
            total[slot] += home.base_uwh[slot] + cut + into - out
        assert level >= home.end_uwh
        for task, start in zip(home.devices.tasks, plan.starts, strict=True):
            assert task.earliest <= start <= task.latest
            for place, energy in enumerate(task.energy_uwh):
                total[start + place] += energy
    flows = zip(found.proposal.import_uwh, found.proposal.export_uwh, strict=True)
    return [taken - given for taken, given in flows] == total


def hours(*homes: Home, **changes: Any) -> Schedule:
    """Plan a day of four hours: dear, cheap, cheap, dear."""
    day = Day(0, 3_600_000, (400_000, 200_000, 200_000, 400_000), (50_000,) * 4)
    found = schedule(homes, replace(day, **changes))
    assert is_possible(homes, replace(day, **changes), found)
    return found


def test_a_task_runs_once_when_energy_is_cheap() -> None:
    washer = Task("ann/washer", 0, 2, (KWH, KWH // 2))
    ann = Home("ann", Devices(None, (washer,)), (KWH // 10,) * 4, (0,) * 4)
    found = hours(ann)
    assert found.plans["ann"].starts == (1,)
    assert found.proposal.cost_utok == 10 * 12_000 + 300_000
    assert net_uwh(ann.devices, found.plans["ann"])[1:3] == (KWH * 11 // 10, KWH * 6 // 10)


def test_a_task_goes_where_a_neighbour_has_energy_over() -> None:
    sunny = Home("bob", Devices(), (0, 0, -2 * KWH, 0), (0, 0, 2 * KWH, 0))
    pump = Devices(None, (Task("ann/pump", 0, 3, (2 * KWH,)),))
    found = hours(Home("ann", pump, (1,) * 4, (0,) * 4), sunny)
    assert found.plans["ann"].starts == (2,)


def test_batteries_that_keep_different_shares_plan_together() -> None:
    ann = Home("ann", Devices(Battery(2 * KWH, 10**6, 90, 0)), (KWH,) * 4, (0,) * 4)
    bob = Home("bob", Devices(Battery(2 * KWH, 10**6, 100, 0)), (KWH,) * 4, (0,) * 4)
    found = hours(ann, bob)
    # bob fills up with 2 kWh and gives 1; ann fills with 10/9 of what she gives.
    assert found.plans["bob"].discharged_uwh[3] == pytest.approx(KWH, rel=1e-3)
    assert found.plans["ann"].charged_uwh[1] + found.plans["ann"].charged_uwh[2] == pytest.approx(
        KWH / 0.81, rel=1e-3
    )
    assert found.gap_ppm <= 1000


def test_curtailing_pays_when_feeding_in_costs() -> None:
    bob = Home("bob", Devices(), (KWH, -KWH, -KWH, KWH), (0, KWH, KWH // 2, 0))
    found = hours(bob, feed_in_utok_per_kwh=(-100_000,) * 4)
    assert found.plans["bob"].curtailed_uwh == pytest.approx((0, KWH, KWH // 2, 0), abs=KWH // 1000)


def test_the_grid_bears_no_more_than_it_can() -> None:
    bob = Home("bob", Devices(), (KWH, -KWH, -KWH, KWH), (0, KWH, KWH, 0))
    found = hours(bob, grid_mw_max=2_000_000)
    assert max(found.proposal.export_uwh) == KWH


def test_a_battery_that_cannot_end_as_it_should_is_named() -> None:
    ann = Home("ann", Devices(Battery(2 * KWH, 1000, 90, 0)), (KWH,) * 4, (0,) * 4, 0, 2 * KWH)
    with pytest.raises(ValueError, match="ann"):
        hours(ann)


def test_two_rounds_are_too_few() -> None:
    homes, day = planned_days.homes(30), planned_days.day(30)
    found = schedule(homes, day, rounds_max=2)
    assert found.proposal.rounds == 2
    assert is_possible(homes, day, found)
    assert found.gap_ppm > 1000
