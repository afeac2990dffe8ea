"""VE.Direct over real ports: a pseudo-terminal, a serial server on TCP, and others' programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware import catalog
from hardware.errors import BusUnavailable, HardwareError, TransientHardwareError
from hardware.mock.points import Plant
from hardware.mock.vedirect.bmv import VictronBmv
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.mock.vedirect.port import VeDirectPty, VeDirectTcp
from hardware.mock.wires.loop import LoopThread
from hardware.ports import Sample
from hardware.vedirect.quantity import COUNTING

DEADLINE_S = 20.0
PERIOD_S = 0.05


@pytest.fixture
def plant() -> Plant:
    return Plant(pv_power_mw=55_000, battery_mv=12_500, generated_uwh=123 * 10**7)


@pytest.fixture
def twin(plant: Plant) -> VictronMppt:
    return VictronMppt(plant)


@pytest.fixture(params=["pty", "tcp"])
def device(request: pytest.FixtureRequest, twin: VictronMppt, tmp_path: Path) -> Iterator[str]:
    """Yield the name of a port on which the device talks, much faster than each second."""
    if request.param == "pty":
        with VeDirectPty(twin, link=tmp_path / "ttyMPPT", period_s=PERIOD_S) as port:
            yield port.device
    else:
        with VeDirectTcp(twin, period_s=PERIOD_S) as server:
            yield f"socket://127.0.0.1:{server.port}"


@pytest.fixture
def bus(device: str) -> Iterator[Any]:
    bus = catalog.open_bus("vedirect", {"device": device})
    yield bus
    bus.close()


def until(wanted: Callable[[Sample], bool], meter: Any) -> Sample:
    """Return the first sample that is as wanted; what fails for a moment is passed over."""
    until_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            sample = meter.sample()
        except TransientHardwareError:
            sample = None
        if sample is not None and wanted(sample):
            return sample
        assert time.monotonic() < until_s, sample
        time.sleep(PERIOD_S)


def test_a_device_that_talks_is_sampled(bus, plant):
    meter = catalog.make_meter("vedirect", bus, {})
    assert meter.sample() == Sample(
        -55_000, None, 123 * 10**7, 36_000, None, None, counting=COUNTING
    )
    plant.pv_power_mw = 77_000
    until(lambda sample: sample.power_mw == -77_000, meter)


def test_a_monitor_is_sampled(plant, tmp_path):
    plant.battery_ma = -8_000
    with VeDirectPty(VictronBmv(plant), period_s=PERIOD_S) as port:
        bus = catalog.open_bus("vedirect", {"device": port.device})
        sample = catalog.make_meter("vedirect", bus, {"serial": "HQ1328MBJ7P"}).sample()
        bus.close()
    assert (sample.power_mw, sample.current_ma, sample.quality) == (-100_000, -8_000, "")
    assert sample.energy_import_uwh == 0
    assert sample.energy_export_uwh is not None


@pytest.mark.parametrize("fault", ["hex_behind_checksum", "hex_in_block", "two_blocks"])
def test_what_devices_do_on_the_line_changes_nothing(bus, twin, fault):
    twin.faults.switch(fault, True)
    meter = catalog.make_meter("vedirect", bus, {})
    meter.sample()
    assert until(lambda sample: not sample.quality, meter).power_mw == -55_000


def test_a_device_is_measured_and_limited_while_it_talks(bus, twin):
    meter = catalog.make_meter("vedirect_hex", bus, {"timeout_ms": 5_000})
    assert meter.sample().power_mw == -55_000
    meter.limit(25_000)
    assert (meter.limited_mw, twin.limit_mw) == (25_000, 25_000)
    assert meter.sample().power_mw == -25_000
    meter.limit(None)
    assert meter.sample().power_mw == -55_000


def test_a_load_output_is_switched_while_the_device_talks(bus, twin):
    meter = catalog.make_meter("vedirect_hex", bus, {"timeout_ms": 5_000})
    meter.switch_load(False)
    assert (meter.load_is_on, twin.load_is_on) == (False, False)


def test_a_port_may_be_absent_at_first_and_vanish_and_return(twin, tmp_path):
    link = tmp_path / "ttyMPPT"
    bus = catalog.open_bus("vedirect", {"device": str(link)})
    meter = catalog.make_meter("vedirect", bus, {})
    with pytest.raises(BusUnavailable, match=r"ttyMPPT: no such port; is the adapter plugged in"):
        meter.sample()
    for _ in range(2):
        with VeDirectPty(twin, link=link, period_s=PERIOD_S):
            until(lambda sample: sample.power_mw == -55_000, meter)
        with pytest.raises(BusUnavailable, match="no such port"):
            meter.sample()
    bus.close()


def test_a_server_that_hangs_up_is_named(twin):
    server = VeDirectTcp(twin, period_s=PERIOD_S)
    bus = catalog.open_bus("vedirect", {"device": f"socket://127.0.0.1:{server.port}"})
    meter = catalog.make_meter("vedirect", bus, {})
    assert meter.sample().power_mw == -55_000
    server.close()
    with pytest.raises(BusUnavailable, match="socket"):
        meter.sample()
    bus.close()


@pytest.mark.parametrize("device", ["pty"], indirect=True)
def test_a_port_that_another_program_holds_is_not_shared(bus, device):
    catalog.make_meter("vedirect", bus, {}).sample()
    second = catalog.open_bus("vedirect", {"device": device})
    with pytest.raises(BusUnavailable, match="does another program hold it"):
        second.read()


def test_a_url_of_no_known_kind_is_named():
    bus = catalog.open_bus("vedirect", {"device": "pigeon://roof"})
    with pytest.raises(BusUnavailable, match="pigeon"):
        bus.read()


def test_one_loop_serves_many_ports(twin, plant):
    with (
        LoopThread() as loop,
        VeDirectPty(twin, loop=loop, period_s=None) as first,
        VeDirectTcp(VictronBmv(plant), loop=loop, period_s=None) as second,
    ):
        assert first.emit().startswith(b"\r\nPID\t0xA056")
        assert second.emit().startswith(b"\r\nPID\t0x0203")


def test_clients_of_a_server_hear_the_same_line(twin):
    with VeDirectTcp(twin, period_s=None) as server:
        name = f"socket://127.0.0.1:{server.port}"
        buses = [catalog.open_bus("vedirect", {"device": name}) for _ in range(2)]
        heard = [bus.read() for bus in buses]
        until_s = time.monotonic() + DEADLINE_S
        while not all(b":55941B6\n" in each for each in heard):
            assert time.monotonic() < until_s, heard
            buses[0].write(b":154\n")  # again: the server may not know the second one yet
            time.sleep(PERIOD_S)
            heard = [each + bus.read() for each, bus in zip(heard, buses, strict=True)]
        for bus in buses:
            bus.close()


def test_every_trouble_of_a_port_is_a_hardware_error(tmp_path):
    folder = catalog.open_bus("vedirect", {"device": str(tmp_path)})
    with pytest.raises(HardwareError):
        folder.read()
    with pytest.raises(HardwareError):
        folder.write(b":154\n")


def test_a_program_that_nobody_here_wrote_reads_the_text(twin, plant, tmp_path):
    from vedirect import MPPTState, VEDirect  # python-vedirect of Frank Villaro-Dixon

    plant.pv_power_mw = 44_000
    with VeDirectPty(twin, link=tmp_path / "ttyMPPT", period_s=PERIOD_S) as port:
        read = VEDirect(port.device)
    assert (read.battery_volts, read.solar_volts, read.solar_power) == (12.5, 36.0, 44.0)
    assert (read.device_serial, read.device_MPPT_state) == ("HQ2132QY2KR", MPPTState.Active)
