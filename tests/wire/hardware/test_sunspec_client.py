"""The simulated SunSpec devices serve a program that nobody here wrote: pysunspec2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sunspec2.modbus.client import (
    SunSpecModbusClientDevice,
    SunSpecModbusClientDeviceRTU,
    SunSpecModbusClientDeviceTCP,
)
from sunspec2.modbus.modbus import ModbusClientException

from hardware.mock.points import Feeder, Plant, split
from hardware.mock.sunspec.device import (
    InverterMake,
    MeterMake,
    SolarEdgeSite,
    SunSpecDevice,
    SunSpecInverter,
    SunSpecMeter,
)
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusTcpServer

PLANT = Plant(pv_power_mw=1_234_500, generated_uwh=5 * 10**12)
FEEDER = split(Feeder(power_mw=-900_000, energy_import_uwh=10**12, energy_export_uwh=7 * 10**12))
Scan = Callable[[SunSpecDevice], SunSpecModbusClientDevice]


@pytest.fixture(params=["tcp", "rtu"])
def scan(request: pytest.FixtureRequest) -> Iterator[Scan]:
    """Return a hand that serves a device and lets pysunspec2 scan it."""
    over = _over_tcp if request.param == "tcp" else _over_rtu
    with ExitStack() as stack:

        def scanned(device: SunSpecDevice) -> SunSpecModbusClientDevice:
            client = stack.enter_context(over(device))
            client.scan()
            return client

        yield scanned


@contextmanager
def _over_tcp(device: SunSpecDevice) -> Iterator[SunSpecModbusClientDevice]:
    with ModbusTcpServer({1: device}) as server:
        client = SunSpecModbusClientDeviceTCP(1, "127.0.0.1", server.port, timeout=5)
        client.connect()
        try:
            yield client
        finally:
            client.disconnect()


@contextmanager
def _over_rtu(device: SunSpecDevice) -> Iterator[SunSpecModbusClientDevice]:
    with ModbusRtuServer({1: device}) as server:
        client = SunSpecModbusClientDeviceRTU(1, server.device, baudrate=115_200, timeout=5)
        try:
            yield client
        finally:
            client.close()


def listed(client: SunSpecModbusClientDevice) -> list[tuple[int, int]]:
    """Return (address, model) of every model found, and demand that none is in error."""
    models = client.model_list
    assert [each.error_info for each in models] == [""] * len(models)
    return [(each.model_addr, each.model_id) for each in models]


def point(client: SunSpecModbusClientDevice, model: int, name: str) -> float | int | str | None:
    return client.models[model][0].points[name].cvalue


@pytest.mark.parametrize(
    ("phases", "floats", "base"), [(1, False, 40_000), (3, False, 0), (3, True, 50_000)]
)
def test_an_inverter_is_scanned_and_read(scan, phases, floats, base):
    client = scan(SunSpecInverter(PLANT, InverterMake(phases=phases, floats=floats, base=base)))
    model = (110 if floats else 100) + phases
    assert [each for _, each in listed(client)] == [1, model, 120, 123, 160]
    assert client.base_addr == base
    assert point(client, 1, "SN") == "10000001"
    assert point(client, model, "W") == 1234.5
    assert point(client, model, "WH") == 5_000_000
    assert point(client, model, "St") == 4
    assert point(client, model, "PhVphB") == (230 if phases == 3 else None)
    assert point(client, 120, "WRtg") == 3000
    trackers = client.models[160][0].groups["module"]
    assert [each.points["DCW"].cvalue for each in trackers] == [617.2, 617.2]


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("wiring", [1, 2, 3, 4])
def test_a_meter_is_scanned_and_read(scan, wiring, floats):
    client = scan(SunSpecMeter(FEEDER, MeterMake(wiring=wiring, floats=floats)))
    model = (210 if floats else 200) + wiring
    assert [each for _, each in listed(client)] == [1, model]
    part = min(wiring, 3)
    assert point(client, model, "W") == -300 * part
    assert point(client, model, "TotWhExp") == pytest.approx(part * 7_000_000 / 3, abs=3)
    assert point(client, model, "TotWhImp") == pytest.approx(part * 1_000_000 / 3, abs=3)


def test_a_solaredge_with_its_meter_is_scanned(scan):
    client = scan(SolarEdgeSite(PLANT, FEEDER))
    assert listed(client) == [(40_002, 1), (40_069, 101), (40_121, 1), (40_188, 203)]
    assert (point(client, 101, "W"), point(client, 203, "W")) == (1234.5, 900)


def test_a_list_whose_end_has_no_length_is_scanned(scan):
    device = SunSpecMeter(FEEDER)
    device.faults.switch("lone_end", True)
    assert [each for _, each in listed(scan(device))] == [1, 203]


def test_a_limit_is_written_and_obeyed(scan):
    device = SunSpecInverter(PLANT)
    client = scan(device)
    controls = client.models[123][0]
    controls.points["WMaxLimPct"].cvalue = 20
    controls.points["WMaxLimPct_RvrtTms"].cvalue = 300
    controls.points["WMaxLim_Ena"].cvalue = 1
    controls.write()
    assert device.limit_mw == 600_000
    client.models[101][0].read()
    assert (point(client, 101, "W"), point(client, 101, "St")) == (600, 5)
    controls.points["WMaxLim_Ena"].cvalue = 0
    controls.points["WMaxLim_Ena"].write()
    assert device.limit_mw is None


def test_a_measurement_cannot_be_written(scan):
    client = scan(SunSpecInverter(PLANT))
    power = client.models[101][0].points["W"]
    power.value = 1
    with pytest.raises(ModbusClientException, match="exception"):
        power.write()
