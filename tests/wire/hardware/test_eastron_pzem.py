"""Simulated Eastron and PZEM meters before programs that nobody here wrote, and on one line.

mbpoll, minimalmodbus and python-pzem know nothing of this project; what they read is what any
other program would.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import minimalmodbus
import pytest
from pzem import PZEM_016

from hardware import catalog
from hardware.errors import BusTimeout, DeviceRefused, TransientHardwareError
from hardware.mock.meters.eastron import Sdm72V2Meter, Sdm120Meter, Sdm630Meter
from hardware.mock.meters.pzem import Pzem016Meter, Pzem017Meter
from hardware.mock.points import Feeder, ThreePhase, split
from hardware.mock.wires.modbus_server import ModbusRtuServer
from tests.support.needs import needs
from tests.support.scripted_line import ScriptedLine
from tests.support.vectors import vectors

MAINS = ThreePhase(
    (
        Feeder(230_000, 460_000, 50_000),
        Feeder(231_000, -924_000, 50_000),
        Feeder(229_000, 0, 50_000),
    ),
    energy_import_uwh=160 * 10**9,
    energy_export_uwh=110 * 10**9,
)


def instrument(line: ModbusRtuServer, device_id: int = 1) -> minimalmodbus.Instrument:
    made = minimalmodbus.Instrument(line.device, device_id, close_port_after_each_call=True)
    made.serial.baudrate = 9_600
    made.serial.timeout = 0.5
    return made


@pytest.mark.parametrize(
    ("address", "value"),
    [(0x02, 231.0), (0x0E, -924.0), (0x34, -464.0), (0x48, 160.0), (0xC8, 399.238), (0x156, 270.0)],
)
def test_mbpoll_reads_an_sdm630(address, value):
    mbpoll = needs("mbpoll")
    with ModbusRtuServer({1: Sdm630Meter(MAINS)}) as line:
        form = ["-m", "rtu", "-b", "9600", "-P", "none", "-a", "1", "-0", "-t", "3:float", "-B"]
        done = subprocess.run(
            [mbpoll, "-q", *form, "-c", "1", "-1", "-r", str(address), line.device],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
    (got,) = re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)
    assert float(got) == pytest.approx(value, rel=1e-5)


def test_minimalmodbus_reads_an_sdm630_and_is_told_its_type():
    with ModbusRtuServer({1: Sdm630Meter(MAINS, serial=123_456)}) as line:
        meter = instrument(line)
        assert meter.read_float(0x34, functioncode=4) == -464.0
        assert meter.read_long(0xFC00) == 123_456
        assert meter.read_register(0x00, functioncode=4) == 0x0070
        with pytest.raises(minimalmodbus.IllegalRequestError):
            meter.read_registers(0x00, 3, functioncode=4)


def test_minimalmodbus_sets_up_an_sdm120():
    meter = Sdm120Meter(Feeder(power_mw=-512_500))
    with ModbusRtuServer({1: meter}) as line:
        first = instrument(line)
        with pytest.raises(minimalmodbus.SlaveReportedException):
            first.write_float(0x14, 7)
        meter.is_in_setup = True
        first.write_float(0x14, 7)
        meter.restart()
        assert instrument(line, 7).read_float(0x0C, functioncode=4) == -512.5
        with pytest.raises(minimalmodbus.NoResponseError):
            first.read_float(0x0C, functioncode=4)


@pytest.fixture
def feeder() -> Feeder:
    return Feeder(231_500, 463_000, 49_980, 12 * 10**9, 3 * 10**9)


@pytest.fixture
def pzem(feeder: Feeder) -> Iterator[ModbusRtuServer]:
    with ModbusRtuServer({1: Pzem016Meter(feeder)}) as line:
        yield line


def test_a_library_for_pzem_meters_reads_one(pzem):
    meter = PZEM_016(pzem.device)
    assert (meter.voltage, meter.frequency) == (231.5, 50.0)
    assert (meter.current, meter.power) == (2.0, 463.0)
    assert (meter.power_factor, meter.has_alarm) == (1.0, False)


def test_a_library_for_pzem_meters_sets_alarm_and_id(pzem):
    meter = PZEM_016(pzem.device)
    assert meter.set_alarm_threshold(400)
    assert (meter.alarm_threshold, meter.has_alarm) == (400, True)
    assert meter.set_slave_address(9)
    assert PZEM_016(pzem.device, 9).voltage == 231.5


def test_minimalmodbus_reads_energy_low_word_first_and_resets_it(pzem, feeder):
    feeder.energy_import_uwh = 130_772 * 10**6 - feeder.energy_export_uwh
    meter = instrument(pzem)
    low_word_first = minimalmodbus.BYTEORDER_LITTLE_SWAP
    assert meter.read_long(5, functioncode=4, byteorder=low_word_first) == 130_772
    assert meter._perform_command(0x42, b"") == b""
    assert meter.read_long(5, functioncode=4, byteorder=low_word_first) == 0


def test_any_id_reaches_a_pzem_that_is_alone_on_its_line(pzem):
    assert instrument(pzem, 0xF8).read_register(0, 1, functioncode=4) == 231.5


def test_any_id_is_answered_by_all_at_once_where_there_are_two(feeder):
    two = {1: Pzem016Meter(feeder), 2: Pzem016Meter(Feeder(110_000, 1_234_000))}
    with ModbusRtuServer(two) as line, pytest.raises(minimalmodbus.ModbusException):
        instrument(line, 0xF8).read_registers(0, 10, functioncode=4)


def test_a_broadcast_is_obeyed_by_all_and_answered_by_none(feeder):
    two = {1: Pzem016Meter(feeder), 2: Pzem016Meter(feeder)}
    with ModbusRtuServer(two) as line:
        instrument(line, 0).write_register(1, 55, functioncode=6)
        told = [instrument(line, each).read_register(1) for each in (1, 2)]
    assert told == [55, 55]


def test_a_pzem_of_direct_current_gives_eight_registers(feeder):
    feeder.voltage_mv, feeder.power_mw = 13_440, 1_344
    with ModbusRtuServer({1: Pzem017Meter(feeder)}) as line:
        meter = instrument(line)
        assert meter.read_registers(0, 8, functioncode=4)[:3] == [1344, 10, 13]
        with pytest.raises(minimalmodbus.IllegalRequestError):
            meter.read_registers(0, 9, functioncode=4)


def resets(kind: str) -> list[dict[str, str]]:
    found = [row for model in ("pzem016", "pzem017") for row in vectors(model)[kind]]
    return [row for row in found if row["request"].split()[1] == "42"]


def reset_energy(row: dict[str, str]) -> bytes:
    request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
    with ScriptedLine({request: reply}) as line:
        bus = catalog.open_bus("modbus_rtu", {"device": line.device, "baud": 9_600})
        try:
            return bus.call(1, 0x42, b"", 0)
        finally:
            bus.close()
            assert line.heard == request


@pytest.mark.parametrize("row", resets("calls"))
def test_an_energy_reset_is_asked_for_as_documented(row):
    assert reset_energy(row) == b""


@pytest.mark.parametrize("row", resets("negative"))
def test_a_refused_energy_reset_is_told(row):
    with pytest.raises(DeviceRefused, match="exception 1"):
        reset_energy(row)


def test_our_driver_says_that_a_pzem_without_mains_is_gone_and_finds_it_again(pzem, feeder):
    given = {"device": pzem.device, "baud": 9_600, "latency_ms": 200, "pause_ms": 0}
    bus = catalog.open_bus("modbus_rtu", given)
    meter = catalog.make_meter("pzem016", bus, {"address": 1})
    assert meter.sample().power_mw == 463_000
    feeder.voltage_mv = 0
    with pytest.raises(BusTimeout):
        meter.sample()
    feeder.voltage_mv = 230_000
    assert meter.sample().voltage_mv == 230_000
    bus.close()


def test_our_driver_reads_a_meter_on_the_wire_that_is_silent_to_long_requests(tmp_path: Path):
    meter = Sdm72V2Meter(split(Feeder(power_mw=-690_000)), words_max=10)
    with ModbusRtuServer({1: meter}, link=tmp_path / "ttyBENCH") as line:
        given = {"device": line.device, "baud": 115_200, "latency_ms": 200, "pause_ms": 0}
        bus = catalog.open_bus("modbus_rtu", given)
        driver = catalog.make_meter("sdm72_v2", bus, {"address": 1})
        assert driver.sample().power_mw == -690_000
        meter.faults.switch("silent", True)
        with pytest.raises(TransientHardwareError):
            driver.sample()
        meter.faults.switch("silent", False)
        assert driver.sample().power_mw == -690_000
        bus.close()
