"""The simulated meters serve a program that nobody here wrote: mbpoll."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.mock.chargers.epever import EpeverController
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder, Plant
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusTcpServer
from tests.support.needs import needs

FEEDER = Feeder(
    voltage_mv=231_500,
    power_mw=-463_000,
    frequency_mhz=49_980,
    energy_import_uwh=1_234_500_000_000,
    energy_export_uwh=67_250_000_000,
)
ONE_FLOAT = ("-0", "-t", "3:float", "-B", "-c", "1", "-1")


@pytest.fixture
def mbpoll() -> str:
    return needs("mbpoll")


@pytest.fixture(params=["tcp", "rtu"])
def sdm120(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    meter = Sdm120Meter(FEEDER, serial=7_654_321)
    if request.param == "tcp":
        with ModbusTcpServer({1: meter}) as server:
            yield ["-m", "tcp", "-p", str(server.port), "127.0.0.1"]
    else:
        with ModbusRtuServer({1: meter}) as server:
            yield ["-m", "rtu", "-b", "9600", "-P", "none", server.device]


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "-q", *options], check=False, capture_output=True, text=True, timeout=20
    )


def poll(program: str, *options: str) -> list[str]:
    """Return the values that mbpoll prints, as `[address]: value` lines."""
    done = run(program, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x00, 231.5),
        (0x06, 2.0),
        (0x0C, -463.0),
        (0x46, 49.98),
        (0x48, 1234.5),
        (0x4A, 67.25),
        (0x156, 1301.75),
    ],
)
def test_mbpoll_reads_an_sdm120(mbpoll, sdm120, address, value):
    (got,) = poll(mbpoll, "-a", "1", *ONE_FLOAT, "-r", str(address), *sdm120)
    assert float(got) == pytest.approx(value, rel=1e-5)


def test_mbpoll_reads_the_meter_code(mbpoll, sdm120):
    got = poll(mbpoll, "-a", "1", "-0", "-t", "4:hex", "-r", str(0xFC00), "-c", "4", "-1", *sdm120)
    assert got == ["0x0074", "0xCBB1", "0x0020", "0x0204"]


def test_mbpoll_is_told_that_an_odd_address_is_illegal(mbpoll, sdm120):
    done = run(mbpoll, "-a", "1", *ONE_FLOAT, "-r", "1", *sdm120)
    assert "Illegal data address" in done.stdout + done.stderr


def test_mbpoll_reads_a_tracer(mbpoll):
    with ModbusRtuServer({1: EpeverController(Plant(pv_power_mw=123_450))}) as server:
        line = ["-m", "rtu", "-b", "115200", "-P", "none", server.device]
        got = poll(mbpoll, "-a", "1", "-0", "-t", "3", "-r", str(0x3100), "-c", "4", "-1", *line)
        assert got == ["3600", "342", "12345", "0"]
        coil = poll(mbpoll, "-a", "1", "-0", "-t", "0", "-r", "2", "-c", "1", "-1", *line)
        assert coil == ["1"]
