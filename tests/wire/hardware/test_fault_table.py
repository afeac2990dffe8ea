"""What goes wrong on a real testbed, one test a row of the fault table, named after the row.

`tests/vectors/fault_table.json` has every row, the switch that makes it, and the tests that prove
it; rows that no wire shows are proven elsewhere. Devices are read as an agent reads them.
"""

from __future__ import annotations

import queue
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from edge.inbound import Event, Sampled
from edge.observing import observe
from edge.register import Meter, Register
from edge.sampler import BusThread, Device, Rhythm
from edge.sweep import Devices
from hardware import catalog, errors
from hardware.buses.i2c import I2cBus
from hardware.buses.modbus import ModbusBus
from hardware.errors import HardwareError
from hardware.mock.chargers.epever import EpeverController
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.meters.abb import AbbB21
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder, Line, Plant
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.mock.wires.modbus_pdu import ModbusDevice, RefusingDevice
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusRtuTcpServer, ModbusTcpServer
from hardware.ports import Sample

INA219 = {"shunt_mohm": 100, "current_max_ma": 3200}
LATENCY_MS = 150
TIMEOUT_S = 0.22


class Agent:
    """The sampler of one bus, with a clock that a test moves."""

    def __init__(self, bus: Any, meters: Mapping[str, Any]) -> None:
        self.now_s = 0.0
        self.heard: list[Event] = []
        devices = [Device(name, meter) for name, meter in meters.items()]
        self.thread = BusThread("bus", bus, devices, self.heard.append, clock_s=lambda: self.now_s)
        self._token = 0

    def sweep(self, after_s: float = 1.0) -> dict[str, Sample | HardwareError | None]:
        """Ask once; return a sample, an error, or None for what is left alone."""
        self.now_s += after_s
        self._token += 1
        self.heard.clear()
        self.thread.sweep(self._token)
        sampled = [each for each in self.heard if isinstance(each, Sampled)]
        return {each.meter_id: each.sample or each.error for each in sampled}


class Chips:
    """Two INA219 on one I2C bus."""

    def __init__(self) -> None:
        self.lines = [Line(current_ua=1_000_000), Line(current_ua=2_000_000)]
        self.chips = [Ina219Chip(line) for line in self.lines]
        self.wires = SimulatedI2cBus({0x40: self.chips[0], 0x41: self.chips[1]}, seed=5)
        bus = I2cBus(lambda: self.wires, "i2c1")
        meters = {
            name: catalog.make_meter("ina219", bus, {**INA219, "address": address})
            for name, address in (("a", 0x40), ("b", 0x41))
        }
        self.agent = Agent(bus, meters)

    def powers(self) -> list[int | type[HardwareError] | None]:
        """Return the power of both, or why there is none."""
        swept = self.agent.sweep()
        return [
            each.power_mw if isinstance(each, Sample) else None if each is None else type(each)
            for each in (swept["a"], swept["b"])
        ]


@pytest.fixture
def chips() -> Chips:
    return Chips()


def sdm120s(number: int) -> dict[int, Sdm120Meter]:
    """Return meters by id, each with a power that names it."""
    return {
        n: Sdm120Meter(Feeder(power_mw=1_000 * n, energy_import_uwh=n * 10**9), serial=7_000 + n)
        for n in range(1, number + 1)
    }


@contextmanager
def rs485(devices: Mapping[int, ModbusDevice], baud: int | None = None) -> Iterator[ModbusBus]:
    with ModbusRtuServer(devices, baud=baud) as server:
        given = {"device": server.device, "baud": baud or 115_200, "latency_ms": LATENCY_MS}
        bus: ModbusBus = catalog.open_bus("modbus_rtu", {**given, "pause_ms": 10})
        yield bus
        bus.close()


@contextmanager
def gateway(devices: Mapping[int, ModbusDevice]) -> Iterator[tuple[ModbusTcpServer, ModbusBus]]:
    with ModbusTcpServer(devices) as server:
        given = {"host": "127.0.0.1", "port": server.port, "timeout_ms": 200, "pause_ms": 0}
        bus: ModbusBus = catalog.open_bus("modbus_tcp", given)
        yield server, bus
        bus.close()


def volts(bus: ModbusBus, device: int = 1) -> float:
    words = bus.read_words(device, 4, 0x0000, 2)
    got: float = struct.unpack(">f", struct.pack(">HH", *words))[0]
    return got


def watts(bus: ModbusBus, device: int = 1) -> float:
    words = bus.read_words(device, 4, 0x000C, 2)
    got: float = struct.unpack(">f", struct.pack(">HH", *words))[0]
    return got


def test_i2c_device_unplugged_or_wrong_address(chips):
    """Absent after three tries, then asked ever more seldom; its neighbour never misses."""
    chips.chips[0].faults.switch("unplugged", True)
    seen = [chips.powers() for _ in range(20)]
    assert [a for a, _ in seen[:3]] == [errors.DeviceAbsent] * 3
    assert sum(a is not None for a, _ in seen) == 7
    assert {b for _, b in seen} == {24_000}
    chips.chips[0].faults.switch("unplugged", False)
    chips.chips[0].power_cycle()
    chips.agent.now_s += 30
    assert chips.powers() == [12_000, 24_000]


def test_i2c_bus_stuck_sda_low(chips):
    """Every device is lost and named; when it is free all of them are set up anew."""
    assert chips.powers() == [12_000, 24_000]
    chips.wires.faults.switch("stuck", True)
    assert chips.powers() == [errors.BusStuck] * 2
    for chip in chips.chips:
        chip.power_cycle()
    chips.wires.faults.switch("stuck", False)
    assert chips.powers() == [12_000, 24_000]


def test_intermittent_wiring(chips):
    """One transfer in fifty fails, a try or two more do not; what is sampled is right."""
    chips.powers()
    chips.wires.faults.switch("flaky", True)
    seen = [power for _ in range(300) for power in chips.powers()]
    good = [power for power in seen if isinstance(power, int)]
    assert set(good) == {12_000, 24_000}
    assert len(good) >= 590


def test_ina_brown_out(chips):
    """The chip forgot its settings: this sample is dropped, never a current of nothing."""
    assert chips.powers() == [12_000, 24_000]
    meter = chips.agent.thread._devices[0].meter
    chips.chips[0].faults.switch("brown_out", True)
    with pytest.raises(errors.SensorReset):
        meter.sample()
    assert chips.powers() == [12_000, 24_000]


def test_ina_overflow(chips):
    chips.chips[0].faults.switch("overflow", True)
    sample = chips.agent.sweep()["a"]
    assert isinstance(sample, Sample)
    assert (sample.power_mw, sample.current_ma) == (None, None)
    assert (sample.voltage_mv, sample.quality) == (12_000, "overflow")
    chips.chips[0].faults.switch("overflow", False)
    assert chips.powers() == [12_000, 24_000]


def test_rs_485_timeout():
    """With one of ten devices silent the other nine keep their instants, through the agent's own
    sampler, on a line that has the pace of a wire."""
    meters = sdm120s(10)
    meters[4].faults.switch("silent", True)
    events: queue.Queue[Event] = queue.Queue()
    with rs485(meters, baud=38_400) as bus:
        devices = [
            Device(str(n), catalog.make_meter("sdm120", bus, {"address": n})) for n in meters
        ]
        thread = BusThread("rs485", bus, devices, events.put, rhythm=Rhythm(period_s=1.0))
        sweeps = Devices([thread], frozenset())
        sweeps.start()
        answered = []
        begun_s = time.monotonic()
        for instant in range(6):
            sweep = sweeps.begin(instant * 1_000, 0)
            while (left_s := begun_s + instant + 1 - time.monotonic()) > 0:
                try:
                    sampled = events.get(timeout=left_s)
                except queue.Empty:
                    break
                assert isinstance(sampled, Sampled)
                sweeps.take(sampled, sweep)
            answered.append({key: each.power_mw for key, each in sweep.answered.items()})
        sweeps.stop()
    nine = {str(n): 1_000 * n for n in meters if n != 4}
    assert answered == [nine] * 6
    assert bus.health()[4].timeouts >= 1


def test_late_reply_taken_for_the_next_one():
    """Late by 1.2 timeouts: neither the next device nor the next quantity gets its values."""
    meters = sdm120s(3)
    with rs485(meters) as bus:
        for late in (1, 2, 3, 1):
            meters[late].faults.switch("late", True)
            meters[late].delay_s = 1.2 * TIMEOUT_S
            with pytest.raises(errors.BusTimeout):
                volts(bus, late)
            meters[late].faults.switch("late", False)
            others = [n for n in meters if n != late]
            for _ in range(8):
                assert [watts(bus, n) for n in others] == others
            assert (watts(bus, late), volts(bus, late)) == (late, 230.0)


def test_crc_error():
    """A reply with a flipped bit is discarded and counted; many of them are the wiring."""
    meters = sdm120s(2)
    with rs485(meters) as bus:
        for _ in range(20):
            volts(bus)
            volts(bus, 2)
        assert bus.health()[1].hint == ""
        meters[1].faults.switch("bit_flip", True)
        for _ in range(4):
            with pytest.raises(errors.TransientHardwareError, match="device 1"):
                volts(bus)
        meters[1].faults.switch("bit_flip", False)
        assert volts(bus) == 230.0
    damaged = bus.health()[1].bad_checksums
    assert damaged >= 3
    assert bus.health()[1].hint.startswith(f"{damaged} of 25 replies were damaged: check wiring")
    assert bus.health()[2].hint == ""


@pytest.mark.parametrize("fault", ["stray_zero", "echo", "garbage"])
def test_stray_0x00_or_echo(fault):
    meters = sdm120s(1)
    with rs485(meters) as bus:
        meters[1].faults.switch(fault, True)
        assert [(volts(bus), watts(bus)) for _ in range(5)] == [(230.0, 1.0)] * 5


def test_partial_frame():
    """Two parts with a gap are one reply; half a reply is waited for, then named."""
    meters = sdm120s(1)
    with rs485(meters) as bus:
        meters[1].faults.switch("split", True)
        assert [volts(bus) for _ in range(5)] == [230.0] * 5
        meters[1].faults.switch("split", False)
        meters[1].faults.switch("half", True)
        begun_s = time.monotonic()
        with pytest.raises(errors.BadChecksum, match="4 bytes but no valid reply"):
            volts(bus)
        assert time.monotonic() - begun_s >= LATENCY_MS / 1000
        meters[1].faults.switch("half", False)
        assert volts(bus) == 230.0


def test_two_devices_with_one_id():
    """Who has a serial number in its configuration is told from its twin, and not sampled."""
    meters = sdm120s(2)
    with rs485(meters) as bus:
        given = {"address": 1, "serial": "7001"}
        agent = Agent(bus, {"a": catalog.make_meter("sdm120", bus, given)})
        sample = agent.sweep()["a"]
        assert isinstance(sample, Sample)
        assert sample.power_mw == 1_000
        meters[2].device_id = 1
        seen = [agent.sweep(after_s=30)["a"] for _ in range(3)]
        assert all(isinstance(each, HardwareError) for each in seen), seen
        meters[1].device_id = 9
        assert isinstance(agent.sweep(after_s=30)["a"], errors.WrongDevice)
        meters[1].device_id, meters[2].device_id = 1, 2
        assert agent.sweep(after_s=30)["a"] == sample


def test_two_devices_that_take_turns_are_told_too():
    meters = sdm120s(1)
    with rs485(meters) as bus:
        meters[1].faults.switch("two_devices", True)
        meter = catalog.make_meter("sdm120", bus, {"address": 1, "serial": "7001"})
        agent = Agent(bus, {"a": meter})
        seen = [agent.sweep(after_s=30)["a"] for _ in range(6)]
    assert all(isinstance(each, HardwareError) for each in seen), seen
    assert any(isinstance(each, errors.WrongDevice) for each in seen)


def test_wrong_meter_behind_the_id():
    meters = sdm120s(1)
    with rs485(meters) as bus:
        meters[1].faults.switch("wrong_model", True)
        agent = Agent(bus, {"a": catalog.make_meter("sdm120", bus, {"address": 1})})
        with pytest.raises(errors.WrongDevice, match="sdm120 at address 1"):
            raise agent.sweep()["a"] or AssertionError


@pytest.mark.parametrize("fault", ["gateway", "gateway_path"])
def test_tcp_gateway_alive_meter_dead(fault):
    """The meter is at fault, not the connection: its neighbours are read over the same one."""
    meters = sdm120s(2)
    meters[1].faults.switch(fault, True)
    with gateway(meters) as (server, bus):
        assert watts(bus, 2) == 2.0
        connections = set(server.sessions)
        for _ in range(3):
            with pytest.raises(errors.DeviceAbsent, match=r"device 1: .*exception 1[01], gateway"):
                watts(bus, 1)
            assert watts(bus, 2) == 2.0
        assert server.sessions == connections


def test_tcp_half_open_after_cable_pull():
    """Each request has its deadline, and the next one a new connection."""
    meters = sdm120s(1)
    with gateway(meters) as (_server, bus):
        assert watts(bus) == 1.0
        meters[1].faults.switch("half_open", True)
        for _ in range(2):
            with pytest.raises(errors.BusTimeout, match="no reply in 200 ms"):
                watts(bus)
        meters[1].faults.switch("half_open", False)
        assert watts(bus) == 1.0


def test_second_tcp_client_refused():
    """Somebody else has the only connection: asked again ever more seldom, then at once."""
    meters = sdm120s(1)
    meters[1].faults.switch("second_client", True)
    with gateway(meters) as (_server, bus):
        tries = 0
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            with pytest.raises(errors.BusUnavailable, match="does somebody else hold it") as raised:
                watts(bus)
            tries += "next try in" not in str(raised.value)
            time.sleep(0.01)
        assert 2 <= tries <= 5
        meters[1].faults.switch("second_client", False)
        for wait in count():
            try:
                assert watts(bus) == 1.0
                break
            except errors.BusUnavailable:
                assert wait < 300
                time.sleep(0.01)


def test_pzem_without_mains_epever_at_night(caplog):
    """Silence that is expected is no warning; the meter beside it is read, and it comes back."""
    caplog.set_level("INFO")
    plant = Plant(pv_power_mw=50_000)
    controller = EpeverController(plant)
    controller.faults.switch("night_silence", True)
    controller.write_bit(2, False)
    with rs485({1: controller, 2: Sdm120Meter(Feeder(power_mw=7_000))}) as bus:
        meters = {
            "pv": catalog.make_meter("epever_tracer", bus, {"address": 1}),
            "load": catalog.make_meter("sdm120", bus, {"address": 2}),
        }
        agent = Agent(bus, meters)
        devices = Devices([agent.thread], frozenset({"pv"}))
        evening = agent.sweep()
        plant.pv_voltage_mv = 0
        night = agent.sweep()
        for sampled in agent.heard:
            assert isinstance(sampled, Sampled)
            devices.take(sampled, None)
        plant.pv_voltage_mv = 36_000
        morning = agent.sweep(after_s=30)
    assert isinstance(night["pv"], errors.BusTimeout)
    assert evening["load"] == night["load"] == morning["load"]
    assert morning["pv"] == evening["pv"]
    assert [record.levelname for record in caplog.records] == ["INFO"]


class WideCounter(RefusingDevice):
    """One 32-bit counter of watt hours, high word first."""

    def __init__(self) -> None:
        super().__init__()
        self.count_wh = 0

    def read_words(self, function: int, address: int, count: int) -> list[int]:
        return [self.count_wh >> 16, self.count_wh & 0xFFFF]


def test_counter_jumps_ahead():
    """A read that tears at the carry shows 65 536 too much: it is held back, and forgotten."""
    device = WideCounter()
    meter = Meter("bench", "a", True, False, 100_000, 5_000)
    register, seen = Register(), []
    with rs485({1: device}) as bus:
        steps = [(0xFFFE, False), (0xFFFF, False), (0x1_0000, True), (0x1_0001, False)]
        for second, (count_wh, is_torn) in enumerate(steps):
            device.count_wh = count_wh
            device.faults.switch("torn", is_torn)
            high, low = bus.read_words(1, 4, 0, 2)
            total_uwh = (high << 16 | low) * 10**6
            sample = Sample(0, total_uwh, 0, 230_000, 0, 50_000)
            observed = observe(meter, register, sample, second * 60_000)
            register = observed.register
            seen.append((high << 16 | low, observed.sample.quality, register.totals[0]))
    assert seen == [
        (0xFFFE, "", 0xFFFE * 10**6),
        (0xFFFF, "", 0xFFFF * 10**6),
        (0x1_FFFF, "jump", 0xFFFF * 10**6),
        (0x1_0001, "", 0x1_0001 * 10**6),
    ]


def test_not_available_codes():
    """A word that means "not available" is no value, and never a big number."""
    device = AbbB21(Feeder(power_mw=-5_000))
    with rs485({1: device}) as bus:
        agent = Agent(bus, {"a": catalog.make_meter("abb_b21", bus, {"address": 1})})
        before = agent.sweep()["a"]
        device.faults.switch("not_available", True)
        sample = agent.sweep()["a"]
    assert isinstance(before, Sample)
    assert before.power_mw == -5_000
    assert isinstance(sample, Sample)
    assert (sample.power_mw, sample.current_ma, sample.voltage_mv) == (None, None, None)
    assert "unavailable" in sample.quality


@pytest.mark.parametrize("wire", ["rs485", "i2c"])
def test_sign_or_ct_reversed(wire, chips):
    """A known load that shows as export: the one option `reversed` sets it right."""
    with ExitStack() as stack:
        if wire == "rs485":
            device = Sdm120Meter(Feeder(power_mw=5_000, energy_import_uwh=10**9))
            bus = stack.enter_context(rs485({1: device}))
            agent = Agent(bus, {"a": catalog.make_meter("sdm120", bus, {"address": 1})})
        else:
            device, agent = chips.chips[0], chips.agent
        right = agent.sweep()["a"]
        device.faults.switch("turned", True)
        turned = agent.sweep()["a"]
    assert isinstance(right, Sample)
    assert isinstance(turned, Sample)
    assert right.power_mw is not None
    assert turned.power_mw == -right.power_mw
    meter = Meter("bench", "a", wire == "rs485", False, 100_000, 5_000)
    plain = observe(meter, Register(), right, 0)
    mended = observe(replace(meter, reversed=True), Register(), turned, 0)
    assert mended.register.power_mw == plain.register.power_mw
    assert mended.register.totals == plain.register.totals


@pytest.mark.parametrize("fault", ["silent", "half", "late", "wrong_id"])
def test_a_serial_server_bears_what_a_line_bears(fault):
    """RTU frames over TCP: what the line says late reaches the next connection too."""
    meters = sdm120s(2)
    with ModbusRtuTcpServer(meters) as server:
        given = {"host": "127.0.0.1", "port": server.port, "baud": 115_200, "latency_ms": 50}
        bus: ModbusBus = catalog.open_bus("modbus_rtu_tcp", {**given, "pause_ms": 0})
        meters[1].delay_s = 1.2 * 0.302
        for _ in range(3):
            meters[1].faults.switch(fault, True)
            with pytest.raises(errors.TransientHardwareError, match="modbus_rtu_tcp 127"):
                volts(bus)
            meters[1].faults.switch(fault, False)
            assert [watts(bus, 2) for _ in range(6)] == [2.0] * 6
            assert (watts(bus), volts(bus)) == (1.0, 230.0)
        bus.close()
