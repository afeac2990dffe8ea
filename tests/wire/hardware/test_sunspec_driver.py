"""The SunSpec driver over real wires: two devices behind one id, floats, and a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hardware import catalog
from hardware.mock.points import Feeder, Plant, split
from hardware.mock.sunspec.device import (
    InverterMake,
    MeterMake,
    SolarEdgeSite,
    SunSpecInverter,
    SunSpecMeter,
)
from tests.support.hardware_bench import modbus

FEEDER = Feeder(power_mw=-900_000, energy_import_uwh=3 * 10**12, energy_export_uwh=6 * 10**12)


@pytest.fixture(params=["modbus_tcp", "modbus_rtu"])
def bus_to(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    """Return a hand that serves a device with id 1 and opens a bus to it."""
    with ExitStack() as stack:
        yield lambda device: modbus(request.param, device, tmp_path, stack)


def test_inverter_and_meter_behind_one_id_share_a_bus(bus_to):
    bus = bus_to(SolarEdgeSite(Plant(pv_power_mw=1_000_000, generated_uwh=10**12), split(FEEDER)))
    inverter = catalog.make_meter("sunspec", bus, {"address": 1, "device_index": 1})
    given = {"address": 1, "device_index": 2, "meter_sign": -1, "serial": "30000001"}
    meter = catalog.make_meter("sunspec", bus, given)
    for _ in range(2):
        assert inverter.sample().power_mw == -1_000_000
        sample = meter.sample()
        assert sample.power_mw == -900_000
        assert (sample.energy_import_uwh, sample.energy_export_uwh) == (3 * 10**12, 6 * 10**12)


@pytest.mark.parametrize("floats", [False, True])
def test_a_meter_with_short_reads_is_read_in_parts(bus_to, floats):
    make = MeterMake(floats=floats, words_max=30, base=0)
    meter = catalog.make_meter("sunspec", bus_to(SunSpecMeter(split(FEEDER), make)), {"address": 1})
    sample = meter.sample()
    assert (sample.power_mw, sample.voltage_mv, sample.quality) == (-900_000, 230_000, "")
    assert (sample.energy_import_uwh, sample.energy_export_uwh) == (3 * 10**12, 6 * 10**12)


@pytest.mark.parametrize("takes_blocks", [True, False])
def test_a_limit_goes_over_the_wire_and_back(bus_to, takes_blocks):
    device = SunSpecInverter(
        Plant(pv_power_mw=2_400_000), InverterMake(takes_blocks=takes_blocks, phases=3)
    )
    meter: Any = catalog.make_meter("sunspec", bus_to(device), {"address": 1, "revert_ms": 300_000})
    meter.limit(750_000)
    assert (meter.limited_mw, device.limit_mw) == (750_000, 750_000)
    assert meter.sample().power_mw == -750_000
    meter.limit(None)
    assert (meter.limited_mw, device.limit_mw) == (None, None)
    assert meter.sample().power_mw == -2_400_000
