"""Benches: one simulated device of each model on each wire it can have, for the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hardware import catalog
from hardware.buses.i2c import I2cBus
from hardware.chargers.vedirect import VeDirect, VeDirectOptions
from hardware.chargers.vedirect_hex import VeDirectHex, VeDirectHexOptions
from hardware.errors import BusTimeout, DeviceRefused
from hardware.mock.chargers.epever import EpeverController
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.chargers.tristar import TristarController
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.chips.ina226 import Ina226Chip
from hardware.mock.chips.ina3221 import Ina3221Chip
from hardware.mock.faults import FaultSwitches
from hardware.mock.meters.abb import AbbB21, AbbB23
from hardware.mock.meters.chint import Ddsu666, Dtsu666, Dtsu666H
from hardware.mock.meters.eastron import (
    Sdm72Meter,
    Sdm72V2Meter,
    Sdm120Meter,
    Sdm230Meter,
    Sdm630Meter,
)
from hardware.mock.meters.gavazzi import Em111, Em112
from hardware.mock.meters.gavazzi_em24 import Em24E1, Em24Rs485
from hardware.mock.meters.orno import OrnoWe504, OrnoWe514
from hardware.mock.meters.pzem import Pzem016Meter, Pzem017Meter
from hardware.mock.points import Feeder, Line, Plant, split
from hardware.mock.sunspec.device import SunSpecInverter
from hardware.mock.vedirect.mppt import VictronMppt
from hardware.mock.vedirect.port import VeDirectPty
from hardware.mock.wires.i2c_bus import I2cChip, SimulatedI2cBus
from hardware.mock.wires.modbus_pdu import ModbusDevice, answer
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusRtuTcpServer, ModbusTcpServer
from hardware.mock.wires.remote import RemoteI2c, WireLink, WireServer
from hardware.ports import EnergyMeter, Manners, Sample
from tests.support.vedirect_lines import AskedLine, HandClock, TalkingLine, TalkingPort

MODBUS = ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp")
"""Every wire that a Modbus device with a serial side may have."""


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
    """One meter on one simulated device, and the hand that moves what it measures.

    Attributes:
        gone: the fault that makes it silent.
        wrong: the fault that makes it another model; empty if nothing tells it from others.
        step_mw: how far the power it shows may be from the truth. [mW]
        step_uwh: how far a counter may. [uWh]
        has_direction: whether it tells export from import.
    """

    meter: EnergyMeter
    measure: Callable[..., None]
    faults: FaultSwitches
    gone: str
    wrong: str
    step_mw: int = 15
    step_uwh: int = 10**7
    has_direction: bool = True

    def near(self, power_mw: int) -> Any:
        """Return what the power shown must be close to when this is the true one."""
        shown = power_mw if self.has_direction else abs(power_mw)
        return pytest.approx(shown, abs=self.step_mw)

    def counted(self, sample: Sample) -> int | None:
        """Return the counter that counts exported energy."""
        return sample.energy_export_uwh if self.has_direction else sample.energy_import_uwh


@dataclass(frozen=True, slots=True)
class Mains:
    """A mains meter with a model file: how to simulate it, and how finely it shows what it sees."""

    build: Callable[[Feeder], ModbusDevice]
    wires: tuple[str, ...] = MODBUS
    wrong: str = "wrong_model"
    step_mw: int = 15
    step_uwh: int = 10**7
    has_direction: bool = True


MAINS: Mapping[str, Mains] = {
    "sdm120": Mains(Sdm120Meter),
    "sdm230": Mains(Sdm230Meter, wrong=""),
    "sdm630": Mains(lambda feeder: Sdm630Meter(split(feeder))),
    "sdm72": Mains(lambda feeder: Sdm72Meter(split(feeder))),
    "sdm72_v2": Mains(lambda feeder: Sdm72V2Meter(split(feeder))),
    "pzem016": Mains(Pzem016Meter, wrong="", step_mw=100, has_direction=False),
    "pzem017": Mains(Pzem017Meter, wrong="", step_mw=100, has_direction=False),
    "abb_b21": Mains(AbbB21),
    "abb_b23": Mains(lambda feeder: AbbB23(split(feeder)), step_mw=40),
    "em24": Mains(lambda feeder: Em24Rs485(split(feeder)), step_mw=100, step_uwh=10**8),
    "em24_e1": Mains(
        lambda feeder: Em24E1(split(feeder)),
        wires=("direct", "modbus_tcp"),
        step_mw=100,
        step_uwh=10**8,
    ),
    "em111": Mains(Em111, step_mw=100, step_uwh=10**8),
    "em112": Mains(Em112, step_mw=100, step_uwh=10**8),
    "dtsu666": Mains(lambda feeder: Dtsu666(split(feeder)), wrong=""),
    "dtsu666_h": Mains(lambda feeder: Dtsu666H(split(feeder))),
    "ddsu666": Mains(Ddsu666, wrong=""),
    "orno_we504": Mains(OrnoWe504, wrong="", step_mw=1_000, has_direction=False),
    "orno_we514": Mains(OrnoWe514, wrong="", step_mw=1_000, has_direction=False),
}
"""Mains meters with a model file; a new one is one line here."""


@dataclass(frozen=True, slots=True)
class Charger:
    """A charge controller on Modbus, and how finely it shows power."""

    build: Callable[[Plant], ModbusDevice]
    step_mw: int = 15


CHARGERS: Mapping[str, Charger] = {
    "epever_tracer": Charger(EpeverController),
    "tristar_mppt": Charger(TristarController, step_mw=60),
    "renogy_rover": Charger(RenogyController),
}
"""Charge controllers on Modbus; a new one is one line here."""

WIRES: Mapping[str, tuple[str, ...]] = {
    "ina219": ("direct", "i2c"),
    "ina226": ("direct", "i2c"),
    "ina3221": ("direct", "i2c"),
    **dict.fromkeys(CHARGERS, MODBUS),
    "sunspec": MODBUS,
    "vedirect": ("direct", "vedirect"),
    "vedirect_hex": ("direct", "vedirect"),
    **{model: row.wires for model, row in MAINS.items()},
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
            "vedirect": _vedirect,
            "vedirect_hex": _vedirect_hex,
            "sunspec": _sunspec,
        }
        if model in MAINS:
            yield _mains(model, wire, folder, stack)
        elif model in CHARGERS:
            yield _charger(model, wire, folder, stack)
        else:
            yield make[model](wire, folder, stack)


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


def _mains(model: str, wire: str, folder: Path, stack: ExitStack) -> Bench:
    row, feeder = MAINS[model], Feeder()
    device = row.build(feeder)

    def measure(power_mw: int = 0, import_uwh: int = 0, export_uwh: int = 0) -> None:
        feeder.power_mw = power_mw
        feeder.energy_import_uwh, feeder.energy_export_uwh = import_uwh, export_uwh

    meter = catalog.make_meter(model, modbus(wire, device, folder, stack), {"address": 1})
    return Bench(
        meter,
        measure,
        device.faults,
        "silent",
        row.wrong,
        step_mw=row.step_mw,
        step_uwh=row.step_uwh,
        has_direction=row.has_direction,
    )


def _charger(model: str, wire: str, folder: Path, stack: ExitStack) -> Bench:
    row, plant = CHARGERS[model], Plant()
    device = row.build(plant)
    meter = catalog.make_meter(model, modbus(wire, device, folder, stack), {"address": 1})
    return Bench(
        meter, _shining(plant), device.faults, "silent", "wrong_model", step_mw=row.step_mw
    )


def _sunspec(wire: str, folder: Path, stack: ExitStack) -> Bench:
    plant = Plant()
    device = SunSpecInverter(plant)

    def measure(power_mw: int = 0, import_uwh: int = 0, export_uwh: int = 0) -> None:
        plant.pv_power_mw, plant.generated_uwh = -power_mw, export_uwh

    meter = catalog.make_meter("sunspec", modbus(wire, device, folder, stack), {"address": 1})
    return Bench(meter, measure, device.faults, "silent", "wrong_model")


def _vedirect(wire: str, folder: Path, stack: ExitStack) -> Bench:
    """Return a bench on which a second passes at each sample: the device talks by itself."""
    plant, clock = Plant(), HandClock()
    twin = VictronMppt(plant, clock_s=clock)
    line: Any = TalkingLine(twin, clock)
    if wire == "vedirect":
        bus, far_end = _vedirect_port(twin, folder, stack)
        line = TalkingPort(bus, far_end, clock)
    meter = VeDirect(line, VeDirectOptions(), clock_s=clock, pause=clock.pause)
    return Bench(meter, _shining(plant), twin.faults, "silent", "wrong_model")


def _vedirect_hex(wire: str, folder: Path, stack: ExitStack) -> Bench:
    plant, clock = Plant(), HandClock()
    twin = VictronMppt(plant, clock_s=clock)
    if wire == "vedirect":
        bus, _ = _vedirect_port(twin, folder, stack)
        meter = catalog.make_meter("vedirect_hex", bus, {"timeout_ms": 250})
    else:
        line, given = AskedLine(twin), VeDirectHexOptions()
        meter = VeDirectHex(line, given, clock_s=clock, pause=clock.pause)
    return Bench(meter, _shining(plant), twin.faults, "silent", "wrong_model")


def _vedirect_port(twin: VictronMppt, folder: Path, stack: ExitStack) -> tuple[Any, VeDirectPty]:
    """Return a port, and its far end, where the device talks only when told to."""
    far_end = stack.enter_context(VeDirectPty(twin, link=folder / "ttyBENCH", period_s=None))
    bus = catalog.open_bus("vedirect", {"device": far_end.device})
    stack.callback(bus.close)
    return bus, far_end


def _shining(plant: Plant) -> Callable[..., None]:
    """Return the hand that lets panels give a power."""

    def measure(power_mw: int = 0, import_uwh: int = 0, export_uwh: int = 0) -> None:
        plant.pv_power_mw, plant.generated_uwh = -power_mw, export_uwh

    return measure


def modbus(wire: str, device: ModbusDevice, folder: Path, stack: ExitStack) -> Any:
    """Return a `ModbusPort` on a device over this wire, with timeouts short enough for a test."""
    if wire == "direct":
        return ModbusDirect(device)
    if wire == "modbus_tcp":
        server = stack.enter_context(ModbusTcpServer({1: device}))
        given = {"host": "127.0.0.1", "port": server.port, "timeout_ms": 300, "pause_ms": 0}
        bus = catalog.open_bus(wire, given)
    elif wire == "modbus_rtu_tcp":
        tunnel = stack.enter_context(ModbusRtuTcpServer({1: device}))
        given = {"host": "127.0.0.1", "port": tunnel.port, "baud": 115_200, "latency_ms": 60}
        bus = catalog.open_bus(wire, {**given, "pause_ms": 0})
    else:
        port = stack.enter_context(ModbusRtuServer({1: device}, link=folder / "ttyBENCH"))
        bus = catalog.open_bus(
            wire, {"device": port.device, "baud": 115_200, "latency_ms": 250, "pause_ms": 0}
        )
    stack.callback(bus.close)
    return bus
