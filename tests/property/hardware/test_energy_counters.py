"""Counters of Eastron and PZEM meters over a whole life, through simulated meter, driver and edge.

A single in kWh knows seven digits: at a million kWh it moves in steps of 62.5 Wh. That may delay
energy by a step and never lose or invent any. A PZEM counter is exact, and is reset by anybody.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.observing import observe
from edge.register import Meter, Register
from hardware import catalog
from hardware.mock.meters.eastron import (
    Sdm72Meter,
    Sdm72V2Meter,
    Sdm120Meter,
    Sdm230Meter,
    Sdm630Meter,
)
from hardware.mock.meters.pzem import Pzem016Meter, Pzem017Meter
from hardware.mock.points import Feeder, split
from hardware.mock.wires.modbus_pdu import answer
from hardware.ports import EnergyMeter
from tests.support.hardware_bench import ModbusDirect

KWH, WH = 10**9, 10**6
RATED_MW = 20_000_000
METER = Meter("bench", "m1", True, False, RATED_MW, 5_000)
SECOND_MS = 1_000
EASTRON = {
    "sdm120": Sdm120Meter,
    "sdm230": Sdm230Meter,
    "sdm630": lambda feeder: Sdm630Meter(split(feeder)),
    "sdm72": lambda feeder: Sdm72Meter(split(feeder)),
    "sdm72_v2": lambda feeder: Sdm72V2Meter(split(feeder)),
}
PZEM = {"pzem016": Pzem016Meter, "pzem017": Pzem017Meter}
TOTALS = st.integers(0, 9_990_000 * KWH)
POWERS = st.lists(st.integers(0, RATED_MW), min_size=1, max_size=40)


def step_of_single(uwh: int) -> int:
    """Return the distance of neighbouring singles at this total, at most. [uWh]"""
    return max(uwh >> 22, 1)


def energy(power_mw: int) -> int:
    """Return what flows in a second. [uWh]"""
    return power_mw * SECOND_MS // 3_600


def driver(model: str, meter: object) -> EnergyMeter:
    return catalog.make_meter(model, ModbusDirect(meter), {"address": 1})


@pytest.mark.parametrize("model", EASTRON)
@settings(max_examples=60, deadline=None)
@given(TOTALS, TOTALS, POWERS, POWERS)
def test_a_counter_of_singles_never_falls_and_is_never_a_step_off(
    model, imported, exported, drawn, fed
):
    feeder = Feeder(energy_import_uwh=imported, energy_export_uwh=exported)
    meter = driver(model, EASTRON[model](feeder))
    before = (0, 0)
    for in_mw, out_mw in zip(drawn, fed, strict=False):
        feeder.energy_import_uwh += energy(in_mw)
        feeder.energy_export_uwh += energy(out_mw)
        sample = meter.sample()
        told = (sample.energy_import_uwh, sample.energy_export_uwh)
        true = (feeder.energy_import_uwh, feeder.energy_export_uwh)
        assert told[0] >= before[0]
        assert told[1] >= before[1]
        assert all(
            abs(seen - is_so) <= step_of_single(is_so)
            for seen, is_so in zip(told, true, strict=True)
        )
        before = told


@settings(max_examples=60, deadline=None)
@given(TOTALS, st.lists(st.integers(0, RATED_MW), min_size=20, max_size=120))
def test_the_steps_of_a_high_counter_begin_no_epoch_and_raise_no_doubt(imported, powers):
    feeder = Feeder(energy_import_uwh=imported)
    meter = driver("sdm120", Sdm120Meter(feeder))
    register, first = Register(), None
    for second, power_mw in enumerate(powers):
        feeder.power_mw = power_mw
        seen = observe(METER, register, meter.sample(), second * SECOND_MS)
        register = seen.register
        first = register.import_uwh if first is None else first
        assert seen.sample.quality == ""
        feeder.energy_import_uwh += energy(power_mw)
    assert register.epoch == 0
    flowed = feeder.energy_import_uwh - imported - energy(powers[-1])
    assert abs((register.import_uwh or 0) - (first or 0) - flowed) <= 2 * step_of_single(
        feeder.energy_import_uwh
    )


LIVES = st.lists(
    st.tuples(st.sampled_from(["run", "run", "run", "reset", "dark"]), st.integers(0, RATED_MW)),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize("model", PZEM)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9_999_999 * WH), LIVES)
def test_a_pzem_is_read_to_the_watt_hour_through_resets_and_the_end_of_its_display(
    model, counted, story
):
    feeder = Feeder(energy_import_uwh=counted)
    simulated = PZEM[model](feeder)
    meter = driver(model, simulated)
    reset_at = 0
    for what, power_mw in story:
        feeder.energy_import_uwh += 3_600 * energy(power_mw)
        if what == "reset":
            answer(simulated, b"\x42")
            reset_at = feeder.energy_import_uwh
        shown = (feeder.energy_import_uwh - reset_at) // WH % 10_000_000
        assert meter.sample().energy_import_uwh == shown * WH


@pytest.mark.parametrize("model", PZEM)
@settings(max_examples=60, deadline=None)
@given(st.integers(1_000 * WH, 2**32 * WH), LIVES)
def test_a_reset_of_a_pzem_is_a_new_epoch_and_never_negative_energy(model, counted, story):
    """What is lost is what flowed between the reset and the second sample after it."""
    feeder = Feeder(energy_import_uwh=counted)
    simulated = PZEM[model](feeder)
    meter = driver(model, simulated)
    register, rises, at_ms, resets = Register(), 0, 0, 0
    for what, power_mw in [("run", 0), *story]:
        at_ms += SECOND_MS
        feeder.power_mw = power_mw
        feeder.energy_import_uwh += energy(power_mw)
        if what == "dark":
            continue
        if what == "reset":
            answer(simulated, b"\x42")
        for _ in range(2):
            at_ms += SECOND_MS
            before = register
            seen = observe(METER, before, meter.sample(), at_ms)
            register = seen.register
            if seen.reset is not None:
                resets += 1
                assert register.epoch == before.epoch + 1
            elif before.import_uwh is not None and register.import_uwh is not None:
                assert register.import_uwh >= before.import_uwh
                rises += register.import_uwh - before.import_uwh
    assert resets <= sum(what == "reset" for what, _power_mw in story) + 1
    assert rises <= feeder.energy_import_uwh - counted + WH
