"""Charge controllers on real wires: their drivers' commands, and a program of somebody else."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from contextlib import ExitStack, suppress

import pytest

from hardware import catalog
from hardware.errors import BusTimeout, BusUnavailable
from hardware.mock.chargers.epever import TRACER_AN, EpeverController
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.chargers.tristar import TristarController
from hardware.mock.points import Plant
from hardware.mock.wires.modbus_pdu import ModbusDevice, answer
from hardware.mock.wires.modbus_server import ModbusRtuServer
from tests.support.hardware_bench import modbus
from tests.support.needs import needs

WIRES = ("modbus_tcp", "modbus_rtu", "modbus_rtu_tcp")


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_an_epever_is_limited_by_its_coil(wire, stack, tmp_path):
    controller = EpeverController(Plant(pv_power_mw=50_000), variant=TRACER_AN)
    bus = modbus(wire, controller, tmp_path, stack)
    meter = catalog.make_meter("epever_tracer", bus, {"address": 1})
    meter.limit(0)
    assert (controller.limit_mw, meter.limited_mw, meter.sample().power_mw) == (0, 0, 0)
    meter.limit(None)
    assert (controller.limit_mw, meter.limited_mw) == (None, None)


def test_an_epever_is_limited_by_its_voltages(wire, stack, tmp_path):
    controller = EpeverController(Plant(pv_power_mw=50_000, battery_mv=13_000))
    bus = modbus(wire, controller, tmp_path, stack)
    given = {"address": 1, "charge_voltages": "15.00 15.00 14.60 14.40 13.80 13.20"}
    meter = catalog.make_meter("epever_tracer", bus, given)
    meter.limit(0)
    assert (controller.limit_mw, meter.limited_mw) == (0, 0)
    meter.limit(None)
    assert (controller.limit_mw, meter.limited_mw) == (None, None)
    meter.switch_load(False)
    assert not controller.load_is_on


def test_a_tristar_is_limited_as_a_slave_and_by_its_coil(wire, stack, tmp_path):
    controller = TristarController(Plant(pv_power_mw=500_000, battery_mv=12_500))
    bus = modbus(wire, controller, tmp_path, stack)
    meter = catalog.make_meter("tristar_mppt", bus, {"address": 1})
    meter.limit(125_000)
    assert controller.limit_mw == pytest.approx(125_000, abs=60)
    meter.limit(None)
    assert controller.limit_mw is None
    other = catalog.make_meter("tristar_mppt", bus, {"address": 1, "limit_by": "charge_disconnect"})
    other.limit(0)
    assert controller.limit_mw == 0


def test_a_current_torn_between_two_moments_is_no_value(wire, stack, tmp_path):
    """As captured: low word 0000, high word FFFF, which would be -655.36 A."""
    plant = Plant(battery_ma=-10)
    controller = EpeverController(plant)
    bus = modbus(wire, controller, tmp_path, stack)
    meter = catalog.make_meter("epever_tracer", bus, {"address": 1})
    current = ("battery_net_current",)
    assert float(meter.values(current)["battery_net_current"]) == -0.01
    controller.faults.switch("torn", True)
    plant.battery_ma = 0
    assert meter.values(current) == {"battery_net_current": None}
    assert meter.values(current) == {"battery_net_current": 0}


class HangingUp:
    """A Modbus TCP server that closes the connection after each reply, as a TriStar's may."""

    def __init__(self, device: ModbusDevice) -> None:
        self.connections = 0
        self._device = device
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                self._serve_one(self._listener.accept()[0])

    def _serve_one(self, connection: socket.socket) -> None:
        self.connections += 1
        with connection, suppress(OSError):
            request = connection.recv(300)
            if request:
                reply = answer(self._device, request[7:])
                size = (len(reply) + 1).to_bytes(2, "big")
                connection.sendall(request[:4] + size + request[6:7] + reply)


def test_a_tristar_may_hang_up_after_each_reply(stack):
    server = HangingUp(TristarController(Plant(pv_power_mw=100_000)))
    stack.callback(server.close)
    bus = catalog.open_bus("modbus_tcp", {"host": "127.0.0.1", "port": server.port})
    stack.callback(bus.close)
    meter = catalog.make_meter("tristar_mppt", bus, {"address": 1})
    powers = []
    while len(powers) < 5:
        with suppress(BusUnavailable):  # it hung up on a request that was just sent
            powers.append(meter.sample().power_mw)
    assert powers == pytest.approx([-100_000] * 5, abs=60)
    assert server.connections >= 7, "each request on a connection of its own"


def test_a_rover_switches_its_load_on_the_third_try(wire, stack, tmp_path):
    controller = RenogyController(Plant())
    controller.faults.switch("load_sticks", True)
    bus = modbus(wire, controller, tmp_path, stack)
    meter = catalog.make_meter("renogy_rover", bus, {"address": 255})
    meter.switch_load(False)
    assert not controller.load_is_on


def test_a_rover_that_does_not_hear_hasty_requests_is_asked_slowly_enough(stack):
    controller = RenogyController(Plant(pv_power_mw=50_000))
    controller.faults.switch("hurried", True)
    server = stack.enter_context(ModbusRtuServer({1: controller}))
    bus = catalog.open_bus("modbus_rtu", {"device": server.device, "baud": 9_600})
    stack.callback(bus.close)
    meter = catalog.make_meter("renogy_rover", bus, {"address": 1})
    assert [meter.sample().power_mw for _ in range(5)] == [-50_000] * 5
    controller.haste_s = 60.0
    with pytest.raises(BusTimeout):
        meter.sample()


# mbpoll


@pytest.fixture
def mbpoll() -> str:
    return needs("mbpoll")


class Poll:
    """mbpoll on one simulated controller behind a pseudo-terminal."""

    def __init__(self, program: str, port: str, *, baud: int = 9_600) -> None:
        self._head = (program, "-q", "-0", "-1", "-m", "rtu", "-b", str(baud), "-P", "none")
        self._port = port

    def run(self, *options: str, values: tuple[str, ...] = ()) -> str:
        done = subprocess.run(
            [*self._head, *options, self._port, *values],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.stdout + done.stderr

    def read(self, kind: str, address: int, count: int) -> list[str]:
        options = ("-a", "1", "-t", kind, "-r", str(address), "-c", str(count))
        return re.findall(r"^\[\d+\]:\s+(\S+)", self.run(*options), re.MULTILINE)

    def write(self, kind: str, address: int, *values: str) -> str:
        return self.run("-a", "1", "-t", kind, "-r", str(address), values=values)


def test_mbpoll_uses_a_tracer(mbpoll):
    controller = EpeverController(Plant(pv_power_mw=123_450, battery_ma=-10), variant=TRACER_AN)
    with ModbusRtuServer({1: controller}) as server:
        poll = Poll(mbpoll, server.device, baud=115_200)
        assert poll.read("3", 0x3100, 4) == ["3600", "342", "12345", "0"]
        assert poll.read("3:hex", 0x331B, 2) == ["0xFFFF", "0xFFFF"]
        assert poll.read("1", 0x200C, 1) == ["0"]
        assert poll.read("0", 0, 4) == ["1", "0", "1", "0"]
        assert "Written" in poll.write("0", 0, "0")
        assert controller.limit_mw == 0
        own = ["1260", "1220", "1200", "1110", "1060"]
        lowered = ["1600", "1262", "1500", "1262", "1262", "1262", "1261", *own]
        assert "Written 12" in poll.write("4", 0x9003, *lowered)
        assert poll.read("4", 0x9003, 12) == lowered
        assert "server failure" in poll.write("4", 0x9007, "1440")
        assert "Illegal data address" in poll.run("-a", "1", "-t", "3", "-r", "0", "-c", "1")


def test_mbpoll_uses_a_tristar(mbpoll):
    controller = TristarController(Plant(pv_power_mw=500_000, battery_mv=12_500))
    with ModbusRtuServer({1: controller}) as server:
        poll = Poll(mbpoll, server.device)
        assert poll.read("4", 0, 4) == ["180", "0", "80", "0"]
        assert poll.read("3", 0x32, 1) == poll.read("4", 0x32, 1) == ["5"]
        assert "Written" in poll.write("4", 0x58, "4096")
        assert controller.limit_mw == 125_000
        assert poll.read("4", 0x32, 1) == ["9"]
        assert "Written" in poll.write("0", 2, "1")
        assert (controller.limit_mw, poll.read("0", 2, 1)) == (0, ["1"])
        assert "Illegal function" in poll.write("4", 0x58, "1", "2")


def test_mbpoll_uses_a_rover(mbpoll):
    controller = RenogyController(Plant(pv_power_mw=55_000, generated_uwh=100_000 * 10**6))
    with ModbusRtuServer({1: controller}) as server:
        poll = Poll(mbpoll, server.device)
        name = poll.read("4:hex", 0x000C, 8)
        assert name[:3] == ["0x2020", "0x524E", "0x472D"]
        assert poll.read("4", 0x0107, 3) == ["360", "152", "55"]
        assert poll.read("4", 0x011C, 2) == ["1", "34464"]
        assert "Written" in poll.write("4", 0x010A, "0")
        assert not controller.load_is_on
        assert "Written 2" in poll.write("4", 0xE008, "144", "138")
        assert "Illegal data address" in poll.run("-a", "1", "-t", "4", "-r", "256", "-c", "36")
