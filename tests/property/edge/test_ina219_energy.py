"""What an INA219 board at 1 Hz makes of known profiles, from its registers to the signed total.

Two errors have a bound that needs no luck: the chip's steps (10 uV over the shunt, 4 mV of bus
voltage), and the straight line between two samples where power bends. The test holds the sum to
both bounds, sample by sample; docs/devices/ina219.md states them.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.observing import observe
from edge.register import Meter, Register
from hardware import catalog
from hardware.buses.i2c import I2cBus
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus

SHUNT_MOHM = 100
SHUNT_STEP_MA = Fraction(10, SHUNT_MOHM)  # 10 uV
BUS_STEP_MV = 4
METER = Meter("bench", "pv", False, False, 60_000, 5_000)
MS_PER_HOUR = 3_600_000


def measured_uwh(profile: list[tuple[int, int]]) -> tuple[int, int]:
    """Return (import, export) after sampling (current in uA, bus in mV) once a second. [uWh]"""
    line, wire = Line(), SimulatedI2cBus()
    wire.attach(0x40, Ina219Chip(line, shunt_mohm=SHUNT_MOHM))
    options = {"shunt_mohm": SHUNT_MOHM, "current_max_ma": 3_200}
    meter = catalog.make_meter("ina219", I2cBus(lambda: wire, "i2c"), options)
    register = Register()
    for second, (line.current_ua, line.bus_mv) in enumerate(profile):
        register = observe(METER, register, meter.sample(), second * 1_000).register
    return register.import_uwh or 0, register.export_uwh or 0


def true_power_mw(current_ua: int, bus_mv: int) -> Fraction:
    return Fraction(current_ua * bus_mv, 1_000_000)


def step_error_mw(current_ua: int, bus_mv: int) -> Fraction:
    """Return how far a sample's power may be off by the steps of both converters. [mW]"""
    amps_off, volts_off = SHUNT_STEP_MA, BUS_STEP_MV
    milliamps = Fraction(abs(current_ua), 1000)
    off = milliamps * volts_off + bus_mv * amps_off + amps_off * volts_off
    return off / 1000 + 1


def pump(second: float) -> float:
    """Return 36 W for 20.13 s of every 40.37 s."""
    return 36.0 if second % 40.37 < 20.13 else 0.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3_000_000, 3_000_000), st.integers(3_000, 26_000)),
        min_size=2,
        max_size=120,
    )
)
def test_net_energy_is_off_by_no_more_than_the_steps_of_the_chip(profile):
    into, out = measured_uwh(profile)
    true = allowed = Fraction(0)
    for first, last in pairwise(profile):
        true += (true_power_mw(*first) + true_power_mw(*last)) * 500
        allowed += (step_error_mw(*first) + step_error_mw(*last)) * 500
    off = abs((into - out) - true * 1_000 / MS_PER_HOUR)
    assert off <= allowed * 1_000 / MS_PER_HOUR + 2


@pytest.mark.parametrize(
    ("name", "watts", "percent"),
    [
        ("a constant load of 24 W", lambda s: 24.0, 0.05),
        ("a sunny quarter of an hour", lambda s: 30 * math.sin(math.pi * s / 900), 0.06),
        ("a pump, 20 s on and 20 s off, in no step with the samples", pump, 0.5),
        ("a load of 60 mW", lambda s: 0.06, 1.0),
    ],
)
def test_a_known_profile_comes_out_within_the_stated_error(name, watts, percent):
    """The truth is the integral in steps of 10 ms; the board is asked once a second."""
    powers = [watts(second) for second in range(901)]
    into, out = measured_uwh([(round(power / 12 * 1e6), 12_000) for power in powers])
    true_uwh = sum(watts(step / 100) for step in range(90_000)) / 100 / 3600 * 1e6
    assert out == 0
    assert abs(into - true_uwh) / true_uwh * 100 < percent, name
