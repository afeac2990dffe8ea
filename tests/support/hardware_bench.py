"""Benches: one simulated device of each model on each wire it can have, for the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware import catalog
from hardware.buses.i2c import I2cBus
from hardware.errors import BusTimeout, DeviceRefused
from hardware.mock.eastron_meter import Sdm120Meter
from hardware.mock.epever_controller import EpeverController
from hardware.mock.faults import FaultSwitches
from hardware.mock.i2c_bus import I2cChip, SimulatedI2cBus
from hardware.mock.ina219_chip import Ina219Chip
from hardware.mock.ina226_chip import Ina226Chip
from hardware.mock.ina3221_chip import Ina3221Chip
from hardware.mock.modbus_pdu import ModbusDevice, answer
from hardware.mock.modbus_server import ModbusRtuServer, ModbusTcpServer
from hardware.mock.points import Feeder, Line, Plant
from hardware.mock.remote import RemoteI2c, WireLink, WireServer
from hardware.ports import EnergyMeter, Manners


class ModbusDirect:
    """A `ModbusPort` on one simulated device, without a wire: request bytes in, reply bytes out."""

    def __init__(self, device: ModbusDevice, device_id: int = 1) -> None:
        self.requests: list[bytes] = []
        self._device = device
        self._device_id = device_id

    def heed(self, device: int, manners: Manners) -> None:
        """There is no line here."""

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        reply = self._ask(device, function, address, count.to_bytes(2, "big"))
        return tuple(int.from_bytes(reply[at : at + 2], "big") for at in range(2, len(reply), 2))

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        reply = self._ask(device, function, address, count.to_bytes(2, "big"))
        return tuple(bool(reply[2 + bit // 8] >> bit % 8 & 1) for bit in range(count))

    def write_bit(self, device: int, address: int, energised: bool) -> None:
        self._ask(device, 5, address, b"\xff\0" if energised else b"\0\0")

    def write_word(self, device: int, address: int, word: int) -> None:
        self._ask(device, 6, address, word.to_bytes(2, "big"))

    def write_bits(self, device: int, address: int, bits: tuple[bool, ...]) -> None:
        packed = sum(bit << place for place, bit in enumerate(bits))
        size = (len(bits) + 7) // 8
        body = len(bits).to_bytes(2, "big") + bytes([size]) + packed.to_bytes(size, "little")
        self._ask(device, 15, address, body)

    def call(self, device: int, function: int, body: bytes, reply_bytes: int) -> bytes:
        return self._exchange(device, bytes([function]) + body)[1:]

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        body = b"".join(word.to_bytes(2, "big") for word in words)
        self._ask(device, 16, address, len(words).to_bytes(2, "big") + bytes([len(body)]) + body)

    def identify(self, device: int) -> Mapping[int, str]:
        reply = self._exchange(device, bytes([0x2B, 0x0E, 1, 0]))
        objects, rest = {}, reply[7:]
        while rest:
            key, size = rest[0], rest[1]
            objects[key] = rest[2 : 2 + size].decode("latin-1")
            rest = rest[2 + size :]
        return objects

    def close(self) -> None:
        """Nothing to close."""

    def _ask(self, device: int, function: int, address: int, body: bytes) -> bytes:
        return self._exchange(device, bytes([function]) + address.to_bytes(2, "big") + body)

    def _exchange(self, device: int, request: bytes) -> bytes:
        self.requests.append(request)
        reply = answer(self._device, request) if device == self._device_id else b""
        if not reply:
            raise BusTimeout(f"device {device}: no reply")
        if reply[0] & 0x80:
            raise DeviceRefused(f"exception {reply[1]}", reply[1])
        return reply


@dataclass(frozen=True, slots=True)
class Bench:
    """One meter on one simulated device, and the hand that moves what it measures."""

    meter: EnergyMeter
    measure: Callable[..., None]
    faults: FaultSwitches
    gone: str
    wrong: str


WIRES: Mapping[str, tuple[str, ...]] = {
    "ina219": ("direct", "i2c"),
    "ina226": ("direct", "i2c"),
    "ina3221": ("direct", "i2c"),
    "sdm120": ("direct", "modbus_tcp", "modbus_rtu"),
    "epever_tracer": ("direct", "modbus_tcp", "modbus_rtu"),
}
"""Model -> wires; `direct` has no wire, the others are the catalog's bus kinds."""


@contextmanager
def open_bench(model: str, wire: str, folder: Path) -> Iterator[Bench]:
    """Build a bench and take it down."""
    with ExitStack() as stack:
        make = {
            "ina219": _ina219,
            "ina226": _ina226,
            "ina3221": _ina3221,
            "sdm120": _sdm120,
            "epever_tracer": _epever,
        }[model]
        yield make(wire, folder, stack)


def _ina219(wire: str, folder: Path, stack: ExitStack) -> Bench:
    line = Line()
    chip = Ina219Chip(line)
    meter = catalog.make_meter(
        "ina219", _i2c(wire, chip, folder, stack), {"shunt_mohm": 100, "current_max_ma": 3200}
    )
    return Bench(meter, _through(line), chip.faults, "unplugged", "")


def _ina226(wire: str, folder: Path, stack: ExitStack) -> Bench:
    line = Line()
    chip = Ina226Chip(line, shunt_mohm=20)
    meter = catalog.make_meter(
        "ina226", _i2c(wire, chip, folder, stack), {"shunt_mohm": 20, "current_max_ma": 3200}
    )
    return Bench(meter, _through(line), chip.faults, "unplugged", "wrong_model")


def _ina3221(wire: str, folder: Path, stack: ExitStack) -> Bench:
    line = Line()
    chip = Ina3221Chip((Line(), line, Line()), shunts_mohm=(100, 40, 100))
    meter = catalog.make_meter(
        "ina3221", _i2c(wire, chip, folder, stack), {"shunt_mohm": 40, "channel": 2}
    )
    return Bench(meter, _through(line), chip.faults, "unplugged", "wrong_model")


def _through(line: Line) -> Callable[..., None]:
    """Return the hand that lets a power flow through a line of 12 V."""

    def measure(power_mw: int = 0, import_uwh: int = 0, export_uwh: int = 0) -> None:
        line.bus_mv, line.current_ua = 12_000, power_mw * 1_000 // 12

    return measure


def _i2c(wire: str, chip: I2cChip, folder: Path, stack: ExitStack) -> I2cBus:
    """Return a bus with a chip at 0x40, here or behind the simulated wire's socket."""
    wires: Any = SimulatedI2cBus({0x40: chip})
    if wire == "i2c":
        stack.enter_context(
            WireServer(folder / "wire.sock", {"dep1/i2c1": wires}, lambda *_pin: None)
        )
        link = WireLink(folder / "wire.sock")
        stack.callback(link.close)
        wires = RemoteI2c(link, "dep1/i2c1")
    return I2cBus(lambda: wires, "i2c1")


def _sdm120(wire: str, folder: Path, stack: ExitStack) -> Bench:
    feeder = Feeder()
    device = Sdm120Meter(feeder)

    def measure(power_mw: int = 0, import_uwh: int = 0, export_uwh: int = 0) -> None:
        feeder.power_mw = power_mw
        feeder.energy_import_uwh, feeder.energy_export_uwh = import_uwh, export_uwh

    meter = catalog.make_meter("sdm120", modbus(wire, device, folder, stack), {"address": 1})
    return Bench(meter, measure, device.faults, "silent", "wrong_model")


def _epever(wire: str, folder: Path, stack: ExitStack) -> Bench:
    plant = Plant()
    device = EpeverController(plant)

    def measure(power_mw: int = 0, import_uwh: int = 0, export_uwh: int = 0) -> None:
        plant.pv_power_mw, plant.generated_uwh = -power_mw, export_uwh

    meter = catalog.make_meter("epever_tracer", modbus(wire, device, folder, stack), {"address": 1})
    return Bench(meter, measure, device.faults, "silent", "wrong_model")


def modbus(wire: str, device: ModbusDevice, folder: Path, stack: ExitStack) -> Any:
    """Return a `ModbusPort` on a device over this wire, with timeouts short enough for a test."""
    if wire == "direct":
        return ModbusDirect(device)
    if wire == "modbus_tcp":
        server = stack.enter_context(ModbusTcpServer({1: device}))
        bus = catalog.open_bus(wire, {"host": "127.0.0.1", "port": server.port, "timeout_ms": 300})
    else:
        port = stack.enter_context(ModbusRtuServer({1: device}, link=folder / "ttyBENCH"))
        bus = catalog.open_bus(
            wire, {"device": port.device, "baud": 115_200, "latency_ms": 250, "pause_ms": 0}
        )
    stack.callback(bus.close)
    return bus
