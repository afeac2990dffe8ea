"""One simulated device alone on a wire, for people who develop their own software against it."""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from hardware.catalog import RELAYS
from hardware.mock.catalog import SIMULATORS, Simulator
from hardware.mock.faults import FaultSwitches, UnknownFault
from hardware.mock.points import split
from hardware.mock.vedirect.port import VeDirectPty, VeDirectTcp
from hardware.mock.wires.loop import LoopThread
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusRtuTcpServer, ModbusTcpServer
from testbed.errors import BadDevice, PortTaken
from testbed.in_python import ON_PINS, python_lines
from testbed.live_points import LiveFeeder, LivePlant
from testbed.supervisor import stop_on_signals

LOOPBACK: Final = "127.0.0.1"
DEFAULT_PORT: Final = 5020
MW_PER_W: Final = 1000
DIRECT_MV: Final = 48_000


class Measured(Protocol):
    """What a person may change while the device runs."""

    def set_load(self, power_mw: int) -> None:
        """Let the load take this much."""

    def set_pv(self, power_mw: int) -> None:
        """Let the sun offer this much."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the device is to be reached; exactly one is not empty.

    Attributes:
        tcp: "host:port", Modbus TCP.
        rtu_tcp: "host:port", RTU frames over TCP.
        pty: a path that becomes a link to a pseudo-terminal.
        baud: let a serial line take the time of this speed; 0: none.
    """

    tcp: str = ""
    rtu_tcp: str = ""
    pty: str = ""
    baud: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be simulated. [W, Wh]"""

    model: str
    wire: Wire
    address: int = 0
    load_w: int = 0
    pv_w: int = 0
    energy_wh: int = 0
    faults: tuple[str, ...] = ()


def find(model: str) -> Simulator:
    """Return a line of the simulators' catalog; of a part the device that it is a part of.

    Raises:
        BadDevice: there is none of this name.
    """
    relay = RELAYS.get(model)
    name = relay.part_of if relay is not None and model not in SIMULATORS else model
    if name not in SIMULATORS:
        names = ", ".join((*SIMULATORS, *ON_PINS))
        raise BadDevice(f"{model}: no such simulator, want one of {names}")
    return SIMULATORS[name]


class Running:
    """A device on its wire, until it is closed."""

    def __init__(self, wanted: Wanted, clock_ms: Callable[[], int] | None = None) -> None:
        """Serve at once.

        Raises:
            BadDevice: no such model, wire or fault.
            PortTaken: the port is in use.
        """
        self.wanted = wanted
        self.entry = find(wanted.model)
        point, self.point = _points(self.entry, wanted, clock_ms or _monotonic_ms)
        self.device: Any = self.entry.build(point)
        if isinstance(self.point, LivePlant):
            self.point.limit_mw = lambda: self.device.limit_mw
        self.address = wanted.address or self.entry.address
        self.point.set_load(wanted.load_w * MW_PER_W)
        self.point.set_pv(wanted.pv_w * MW_PER_W)
        for name in wanted.faults:
            self.switch(name, True)
        self._loop = LoopThread()
        try:
            self.server: Any = self._serve()
        except OSError as error:
            self._loop.close()
            raise PortTaken(f"{self._asked}: {error.strerror or error}") from None
        except BadDevice:
            self._loop.close()
            raise

    @property
    def where(self) -> str:
        """Where it is reached: "127.0.0.1:5020", or the path of a port."""
        wire = self.wanted.wire
        if wire.pty:
            return str(self.server.device)
        host = _host_port(wire.tcp or wire.rtu_tcp)[0]
        return f"{host}:{self.server.port}"

    def switch(self, fault: str, on: bool) -> None:
        """Turn a fault on or off.

        Raises:
            BadDevice: this device has no such fault.
        """
        faults: FaultSwitches = self.device.faults
        try:
            faults.switch(fault, on)
        except UnknownFault as error:
            raise BadDevice(str(error)) from None

    def obey(self, line: str) -> str:
        """Do what a line from the terminal says, and return an answer.

        Raises:
            BadDevice: it says nothing that is known.
        """
        match line.split():
            case ["load", watts] if _is_number(watts):
                self.point.set_load(int(watts) * MW_PER_W)
            case ["pv", watts] if _is_number(watts):
                self.point.set_pv(int(watts) * MW_PER_W)
            case ["fault", name, ("on" | "off") as state]:
                self.switch(name, state == "on")
            case ["faults"]:
                return ", ".join(self.device.faults.names)
            case _:
                raise BadDevice(
                    f'"{line.strip()}": want load W, pv W, fault NAME on|off, or faults'
                )
        return "ok"

    def close(self) -> None:
        """Take the device off its wire."""
        self.server.close()
        self._loop.close()

    @property
    def _asked(self) -> str:
        wire = self.wanted.wire
        return wire.tcp or wire.rtu_tcp or wire.pty

    def _serve(self) -> Any:
        wire, devices = self.wanted.wire, {self.address: self.device}
        if "vedirect" in self.entry.wires:
            return self._serve_vedirect()
        if "rtu" not in self.entry.wires and not wire.tcp:
            raise BadDevice(f"{self.wanted.model}: it has no serial side, want --tcp")
        baud = wire.baud or None
        if wire.pty:
            return ModbusRtuServer(devices, link=Path(wire.pty), baud=baud, loop=self._loop)
        host, port = _host_port(wire.tcp or wire.rtu_tcp)
        if wire.rtu_tcp:
            return ModbusRtuTcpServer(devices, host=host, port=port, baud=baud, loop=self._loop)
        return ModbusTcpServer(devices, host=host, port=port, loop=self._loop)

    def _serve_vedirect(self) -> Any:
        wire = self.wanted.wire
        if wire.rtu_tcp:
            raise BadDevice(f"{self.wanted.model}: it speaks no RTU, want --tcp or --pty")
        if wire.pty:
            return VeDirectPty(self.device, link=Path(wire.pty), loop=self._loop)
        host, port = _host_port(wire.tcp)
        return VeDirectTcp(self.device, host=host, port=port, loop=self._loop)


def obey_lines(running: Running, lines: TextIO | None) -> None:
    """Obey lines from the terminal while there are any, and go on serving when there are no more.

    None is a standard input that was closed before the program began.

    It returns only by KeyboardInterrupt, or when a signal ends it.
    """
    stop_on_signals()
    for line in lines or ():
        try:
            print(running.obey(line), flush=True)
        except BadDevice as error:
            print(error, file=sys.stderr)
    while True:
        signal.pause()


def wire_for(tcp: str, rtu_tcp: str, pty: str, baud: int) -> Wire:
    """Return the wire that was asked for; without one, Modbus TCP at port 5020.

    Raises:
        BadDevice: more than one: a device sits on one wire.
    """
    given = [each for each in (tcp, rtu_tcp, pty) if each]
    if len(given) > 1:
        raise BadDevice("--tcp, --rtu-tcp and --pty: want one of them, a device sits on one wire")
    if not given:
        tcp = f"{LOOPBACK}:{DEFAULT_PORT}"
    return Wire(tcp=tcp, rtu_tcp=rtu_tcp, pty=pty, baud=baud)


def _points(
    entry: Simulator, wanted: Wanted, clock_ms: Callable[[], int]
) -> tuple[Any, LiveFeeder | LivePlant]:
    """Return what the device measures, and the hand that moves it."""
    start_uwh = wanted.energy_wh * 1_000_000
    if entry.point == "plant":
        plant = LivePlant(clock_ms, start_generated_uwh=start_uwh)
        return plant, plant
    feeder = LiveFeeder(clock_ms, start_import_uwh=start_uwh)
    if entry.point == "direct":
        feeder.voltage_mv = DIRECT_MV
    if entry.point == "three_phase":
        return split(feeder), feeder
    if entry.point in ("feeder", "direct"):
        return feeder, feeder
    if entry.point == "relays":
        return (), feeder  # no contact is wired to it
    raise BadDevice(python_lines(wanted.model) or entry.title)


def _host_port(text: str) -> tuple[str, int]:
    """Return host and port of "HOST:PORT", ":PORT" or "PORT".

    Raises:
        BadDevice: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise BadDevice(f'"{text}": want HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}')
    return host.strip("[]") or LOOPBACK, int(port)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdigit()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
