"""What a market has scheduled: when a load waits, what a battery does, which rule comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.balancing.agenda import SHIFTED, Agenda, agendas_of
from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.policy import Order, View
from tests.support.bench import house, kept, view
from tests.support.sunny import battery, stored

HOUR_MS = 3_600_000
ROW: dict[str, Any] = {
    "from_ms": 2 * HOUR_MS,
    "slot_ms": HOUR_MS,
    "runs": {"pi/washer": (1, 3)},
    "battery_uwh": (2 * 10**9, 0, -(10**9), 0),
}


def test_a_load_waits_outside_of_its_run_on_that_day_alone() -> None:
    (agenda,) = agendas_of({("m", "schedule.7.ann"): ROW}, "m", 2 * HOUR_MS).values()
    hours = [hour for hour in range(8) if agenda.shifts("pi/washer", hour * HOUR_MS)]
    assert hours == [2, 5]
    assert not agenda.shifts("pi/other", 2 * HOUR_MS)


def test_a_battery_has_a_power_in_each_slot() -> None:
    agenda = Agenda(**ROW)
    powers = [agenda.battery_mw(hour * HOUR_MS + 5) for hour in range(1, 7)]
    assert powers == [None, 2_000_000, 0, -1_000_000, 0, None]
    assert agenda._replace(battery_uwh=(0, 0, 0, 0)).battery_mw(2 * HOUR_MS) is None


def test_the_memory_of_one_contract_and_the_day_of_now_count() -> None:
    memory = {
        ("m", "schedule.7.ann"): ROW,
        ("m", "schedule.6.bob"): {**ROW, "from_ms": 6 * HOUR_MS},
        ("other", "schedule.7.cyd"): ROW,
        ("m", "net.7.dan"): (1, 2),
    }
    assert set(agendas_of(memory, "m", 3 * HOUR_MS)) == {"ann"}
    assert set(agendas_of(memory, "m", 6 * HOUR_MS)) == {"bob"}
    assert agendas_of(memory, "m", HOUR_MS) == {}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_load_that_waits_is_cut_and_nothing_is_kept_from_anybody(name: str) -> None:
    shown = view(house("ann", 100, {"a1": 20, "a2": 30}))
    relays = tuple(
        replace(each, withheld=SHIFTED) if each.relay == "a1" else each for each in shown.relays
    )
    verdict = decide(POLICIES[name](), replace(shown, relays=relays))
    (order,) = [each for each in verdict.orders if each.cut]
    assert (order.relay, order.reason, order.power_mw) == ("a1", SHIFTED, None)


def told(shown: View) -> Order:
    (order,) = [
        each for each in decide(POLICIES["priority"](), shown).orders if each.relay == "ann-battery"
    ]
    return order


def bench(sun_w: int, gives_w: int = 0, **changes: Any) -> View:
    """Ann wants 50 W; her battery has 100 W, and is to take or give what her plan says."""
    shown = view(house("ann", sun_w, {"a1": 20, "a2": 30}), battery_first=1)
    return stored(shown, "ann", gives_w, battery("ann", 100, **changes))


def test_a_battery_does_what_is_scheduled_as_far_as_its_rating_goes() -> None:
    for planned_mw, told_mw in ((-30_000, -30_000), (0, 0), (250_000, 100_000)):
        order = told(bench(300, planned_mw=planned_mw))
        assert (order.setpoint_mw, order.reason) == (told_mw, "as the day's schedule says")


def test_a_deficit_comes_before_the_schedule_and_the_schedule_after_it() -> None:
    charging = {"planned_mw": 40_000, "is_cut": True, "since_ms": 10_000}
    order = told(bench(60, -40, setpoint_mw=40_000, **charging))
    assert (order.setpoint_mw, order.reason) == (0, "does not charge now")
    # with 60 W of sun there is no room for 40 W into the battery, so it waits without flutter
    assert told(bench(60, 0, setpoint_mw=0, **charging)).setpoint_mw == 0
    assert told(bench(100, 0, setpoint_mw=0, **charging)).setpoint_mw == 40_000


def test_a_schedule_is_said_in_the_reason_and_binds_no_limit() -> None:
    verdict = decide(POLICIES["priority"](), bench(300, planned_mw=40_000))
    assert "batteries take 40.0 W: ann-battery" in verdict.reason
    assert verdict.limit == "none"
    assert kept(verdict) >= {"a1", "a2"}
