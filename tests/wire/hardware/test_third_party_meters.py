"""The simulated DIN rail meters serve programs that nobody here wrote: mbpoll and minimalmodbus.

What they are asked is what published programs for these meters ask: their addresses, types and
word orders, not those of our model files.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import minimalmodbus
import pytest

from hardware.mock.meters.abb import AbbB21, AbbB23
from hardware.mock.meters.chint import Ddsu666, Dtsu666, Dtsu666H
from hardware.mock.meters.gavazzi import EASY, Em111, Em112
from hardware.mock.meters.gavazzi_em24 import Em24E1, Em24Rs485
from hardware.mock.meters.orno import OrnoWe504, OrnoWe514
from hardware.mock.points import Feeder, split
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusTcpServer
from tests.support.needs import needs

FEEDER = Feeder(
    voltage_mv=231_500,
    power_mw=-463_000,
    frequency_mhz=50_000,
    energy_import_uwh=1_234_500_000_000,
    energy_export_uwh=67_200_000_000,
)
THREE = split(FEEDER)


def mbpoll(*options: str) -> list[str]:
    """Return the values that mbpoll prints."""
    program = needs("mbpoll")
    done = subprocess.run(
        [program, "-q", "-0", "-1", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("device", "options", "values"),
    [
        (AbbB23(THREE), "-t 4:hex -r 0x8960 -c 2", ["0x4232", "0x3320"]),
        (AbbB23(THREE), "-t 4:int -B -r 0x5B14 -c 1", ["-46300"]),
        (AbbB21(FEEDER), "-t 4:hex -r 0x5000 -c 4", ["0x0000", "0x0000", "0x0001", "0xE23A"]),
        (AbbB21(FEEDER), "-t 4:hex -r 0x5B16 -c 2", ["0x7FFF", "0xFFFF"]),
        (Em24Rs485(THREE), "-t 3:int -r 0x28 -c 1", ["-4630"]),
        (Em24Rs485(THREE), "-t 3:int -r 0x42 -c 1", ["12345"]),
        (Em24E1(THREE), "-t 4 -r 0x0B -c 1", ["1648"]),
        (Em24E1(THREE), "-t 3:int -r 0x4E -c 1", ["672"]),
        (Em112(FEEDER), "-t 3:int -r 0x00 -c 3", ["2315", "-2000", "-4630"]),
        (Dtsu666(THREE), "-t 4:float -B -r 0x2012 -c 1", ["-4630"]),
        (Dtsu666(THREE), "-t 3:float -B -r 0x101E -c 1", ["1234.5"]),
        (Dtsu666H(THREE), "-t 4 -r 0x07D1 -c 1", ["16256"]),
        (Ddsu666(FEEDER), "-t 4:float -B -r 0x2004 -c 1", ["-0.463"]),
        (OrnoWe504(FEEDER), "-t 4 -r 0x00 -c 4", ["2315", "20", "500", "463"]),
        (OrnoWe514(FEEDER), "-t 4 -r 0x0130 -c 2", ["5000", "23150"]),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "feeder") else None,
)
def test_mbpoll_reads_over_tcp(device, options, values):
    with ModbusTcpServer({1: device}) as server:
        line = ["-m", "tcp", "-p", str(server.port), "-a", "1", *options.split(), "127.0.0.1"]
        assert mbpoll(*line) == values


Open = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def opened() -> Iterator[Open]:
    @contextmanager
    def instrument(device: Any, device_id: int = 1) -> Iterator[minimalmodbus.Instrument]:
        with ModbusRtuServer({device_id: device}) as server:
            found = minimalmodbus.Instrument(server.device, device_id)
            found.serial.timeout = 1.0
            try:
                yield found
            finally:
                found.serial.close()

    return instrument


def test_minimalmodbus_reads_an_abb_as_a_published_class_does(opened):
    with opened(AbbB23(THREE, serial=4_711)) as meter:
        assert meter.read_long(0x8900) == 4_711
        assert meter.read_string(0x8960, 6).rstrip("\0") == "B23 112-100"
        assert meter.read_registers(0x5000, 4) == [0, 0, 0x1, 0xE23A]
        assert meter.read_long(0x5B00) == 2_315
        assert meter.read_long(0x5B14, signed=True) == -46_300
        assert meter.read_register(0x5B2C, 2) == 50.0
        with pytest.raises(minimalmodbus.IllegalRequestError):
            meter.read_register(0x4000)


LOW_FIRST = minimalmodbus.BYTEORDER_LITTLE_SWAP


def test_minimalmodbus_reads_and_sets_an_em112(opened):
    with opened(Em112(FEEDER, measurement=EASY)) as meter:
        assert meter.read_register(0x0B, functioncode=4) == 104
        assert meter.read_long(0x04, 4, signed=True, byteorder=LOW_FIRST) == 4_630
        meter.write_register(0x1103, 1, functioncode=6)
        assert meter.read_long(0x04, 4, signed=True, byteorder=LOW_FIRST) == -4_630
        assert meter.read_long(0x20, 3, signed=True, byteorder=LOW_FIRST) == 672


def test_minimalmodbus_sets_the_application_of_an_em24_unless_it_is_locked(opened):
    with opened(Em24E1(THREE, application=1)) as meter:
        meter.write_register(0xA000, 7, functioncode=6)
        assert meter.read_register(0xA000) == 7
    with (
        opened(Em24Rs485(THREE, application=1, switch_position=3)) as meter,
        pytest.raises(minimalmodbus.SlaveReportedException),
    ):
        meter.write_register(0x1101, 7, functioncode=6)


def test_minimalmodbus_reads_the_floats_of_chint(opened):
    with opened(Dtsu666(THREE)) as meter:
        assert meter.read_float(0x2006) / 10 == pytest.approx(231.5)
        assert meter.read_float(0x401E) == 1234.5
        meter.write_registers(0x0006, [40])
        assert meter.read_register(0x0006) == 40
    with opened(Dtsu666H(THREE), 11) as meter:
        assert meter.read_register(0x07D1) == 0x3F80
        assert meter.read_float(0x0836 + 24) == -463.0


def test_minimalmodbus_reads_an_orno_as_a_published_script_does(opened):
    with opened(OrnoWe514(FEEDER)) as meter:
        assert meter.read_register(304, 2, 3, True) == 50.0
        assert meter.read_register(305, 2, 3, True) == 231.5
        assert meter.read_long(313, 3) / 1000 == 2.0
        assert meter.read_long(320, 3) == 463
        assert meter.read_long(40960, 3) == 130_170
    with opened(OrnoWe504(FEEDER)) as meter:
        assert meter.read_long(0x07) == 1_301_700


def test_minimalmodbus_meets_the_limit_of_an_em111(opened):
    with opened(Em111(FEEDER)) as meter:
        assert len(meter.read_registers(0x00, 0x24, functioncode=4)) == 0x24
        with pytest.raises(minimalmodbus.IllegalRequestError):
            meter.read_registers(0x00, 51, functioncode=4)
