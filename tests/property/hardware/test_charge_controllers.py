"""Statistics of charge controllers over random days, through simulated device, driver and edge.

An EPEver clears its counters of the day at midnight of its own clock, wherever that clock is, and
all of them when somebody clears its statistics. Its total knows only the latter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.observing import observe
from edge.register import Meter, Register
from hardware import catalog
from hardware.mock.chargers.epever import TRACER_AN, EpeverController
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.chargers.tristar import TristarController
from hardware.mock.points import Plant
from hardware.mock.wires.modbus_pdu import answer
from hardware.ports import EnergyMeter
from tests.support.hardware_bench import ModbusDirect

WH = 10**6
STEP_UWH = 10 * WH
RATED_MW = 1_000_000
METER = Meter("bench", "pv", True, False, RATED_MW, 5_000)
BEGIN = datetime(2026, 12, 30, 20, 0, 0, tzinfo=UTC)
BEGIN_MS = int(BEGIN.timestamp() * 1_000)
CLEAR = bytes.fromhex("050014ff00")
COUNTERS = ("generated_today", "generated_this_month", "generated_this_year", "generated_total")

DAYS = st.lists(
    st.tuples(
        st.sampled_from(["sun", "sun", "sun", "sun", "clock", "clear"]),
        st.integers(1, 30 * 3_600),
        st.integers(0, RATED_MW),
    ),
    min_size=1,
    max_size=25,
)
"""What happens, how long before [s], and how much the panels give meanwhile [mW]."""


@dataclass
class Truth:
    """What an EPEver should show, told from what happened to it."""

    shown: datetime = BEGIN
    total_uwh: int = 0
    newest_uwh: int = 0
    begun: dict[str, tuple[object, int]] = field(default_factory=dict)

    def look(self) -> tuple[int, ...]:
        """Return the four counters at a read. [steps]"""
        periods = {
            "day": self.shown.date(),
            "month": (self.shown.year, self.shown.month),
            "year": self.shown.year,
        }
        told = []
        for name, period in periods.items():
            if self.begun.get(name, (None,))[0] != period:
                self.begun[name] = (period, self.newest_uwh)
            told.append((self.total_uwh - self.begun[name][1]) // STEP_UWH)
        self.newest_uwh = self.total_uwh
        return (*told, self.total_uwh // STEP_UWH)

    def clear(self) -> None:
        self.total_uwh = self.newest_uwh = 0
        self.begun = {name: (period, 0) for name, (period, _) in self.begun.items()}


class Life:
    """One controller, its driver, and the edge's register of it."""

    def __init__(self) -> None:
        self.now_s = 0
        self.plant = Plant()
        self.controller = EpeverController(
            self.plant, variant=TRACER_AN, starts_at_ms=BEGIN_MS, clock_s=lambda: self.now_s
        )
        self.port = ModbusDirect(self.controller)
        self.meter = catalog.make_meter("epever_tracer", self.port, {"address": 1})
        self.truth = Truth()
        self.register = Register()
        self.flowed_uwh = self.risen_uwh = self.resets = 0

    def go_on(self, seconds: int, power_mw: int) -> None:
        self.now_s += seconds
        flowed_uwh = power_mw * seconds * 1_000 // 3_600
        self.plant.pv_power_mw = power_mw
        self.plant.generated_uwh += flowed_uwh
        self.flowed_uwh += flowed_uwh
        self.truth.shown += timedelta(seconds=seconds)
        self.truth.total_uwh += flowed_uwh

    def look(self) -> None:
        """Read every counter, and let the edge believe the total or not."""
        values = self.meter.values(COUNTERS)
        told = tuple(int(values[name] * 100) for name in COUNTERS)
        assert told == self.truth.look()
        assert list(told) == sorted(told), "a day is in its month, a month in its year"
        before = self.register
        seen = observe(METER, before, self.meter.sample(), BEGIN_MS + self.now_s * 1_000)
        self.register = seen.register
        if seen.reset is not None:
            self.resets += 1
        elif before.export_uwh is not None:
            rise_uwh = (seen.register.export_uwh or 0) - before.export_uwh
            assert rise_uwh >= 0, "a register fell within an epoch"
            self.risen_uwh += rise_uwh

    def set_clock(self, seconds: int) -> None:
        now = BEGIN + timedelta(seconds=1_000 * seconds)
        words = (
            (now.minute << 8 | now.second),
            (now.day << 8 | now.hour),
            (now.year - 2000 << 8 | now.month),
        )
        self.port.write_words(1, 0x9013, words)
        self.truth.shown = now

    def happen(self, what: str, seconds: int, power_mw: int) -> None:
        self.go_on(seconds, power_mw)
        self.look()
        if what == "clock":
            self.set_clock(seconds)
        elif what == "clear":
            assert answer(self.controller, CLEAR) == CLEAR
            self.truth.clear()
        self.look()


@settings(max_examples=60, deadline=None)
@given(DAYS)
def test_an_epevers_counters_are_those_of_its_own_days(story):
    life = Life()
    life.look()
    for what, seconds, power_mw in story:
        life.happen(what, seconds, power_mw)


@settings(max_examples=40, deadline=None)
@given(DAYS)
def test_no_midnight_and_no_clock_begins_an_epoch(story):
    life = Life()
    life.look()
    for what, seconds, power_mw in story:
        life.happen("clock" if what == "clear" else what, seconds, power_mw)
    assert (life.register.epoch, life.resets) == (0, 0)
    assert life.flowed_uwh - life.risen_uwh < STEP_UWH


@settings(max_examples=40, deadline=None)
@given(DAYS)
def test_cleared_statistics_never_become_energy(story):
    life = Life()
    life.look()
    for what, seconds, power_mw in story:
        life.happen(what, seconds, power_mw)
        life.look()
    assert life.resets <= sum(what == "clear" for what, _, _ in story)
    assert life.risen_uwh <= life.flowed_uwh + STEP_UWH


@pytest.mark.parametrize("build", [EpeverController, TristarController, RenogyController])
@settings(max_examples=30, deadline=None)
@given(
    story=st.lists(
        st.tuples(st.integers(0, 800_000), st.integers(0, 100_000), st.integers(10_500, 14_300)),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_shown_never_exceeds_what_is_let_through(build, story):
    plant = Plant()
    controller = build(plant)
    model = {
        EpeverController: "epever_tracer",
        TristarController: "tristar_mppt",
        RenogyController: "renogy_rover",
    }[build]
    meter: EnergyMeter = catalog.make_meter(model, ModbusDirect(controller), {"address": 1})
    for plant.pv_power_mw, plant.pv_voltage_mv, plant.battery_mv in story:
        limit_mw = controller.limit_mw
        shown_mw = -(meter.sample().power_mw or 0)
        through_mw = plant.pv_power_mw if limit_mw is None else min(plant.pv_power_mw, limit_mw)
        assert through_mw - 1_000 <= shown_mw <= through_mw + 60


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=40), st.integers(1, 900_000_000))
def test_a_rovers_total_is_exact_to_the_watt_hour(powers, before_wh):
    plant = Plant(generated_uwh=before_wh * WH)
    meter = catalog.make_meter(
        "renogy_rover", ModbusDirect(RenogyController(plant)), {"address": 1}
    )
    for power_mw in powers:
        plant.generated_uwh += power_mw * 1_000
        assert meter.sample().energy_export_uwh == plant.generated_uwh // WH * WH
