"""Benches: each relay model on everything it can sit on, and the contact that it really moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware import catalog
from hardware.mock.chargers.epever import EpeverController
from hardware.mock.chargers.renogy import RenogyController
from hardware.mock.points import Plant
from hardware.mock.relays.board import LcBoard, R4d8Board, RelayBoard, WaveshareBoard
from hardware.mock.relays.latching_contact import LatchingContact
from hardware.mock.sunspec.device import SunSpecHybrid, SunSpecInverter
from hardware.mock.wires.pins import BenchFactory
from hardware.ports import Relay
from tests.support.hardware_bench import modbus

CHANNEL = 3


@dataclass(frozen=True, slots=True)
class RelayBench:
    """One place for a relay.

    Attributes:
        make: makes the relay, as a program does that has just started.
        stands: whether the contact really is where an energised coil takes it.
        stick: lets nothing move any more, and the read-back with it.
        kill: forgets a program that was killed: whatever it drove stays.
        where: what its errors name.
    """

    make: Callable[[], Relay]
    stands: Callable[[], bool]
    stick: Callable[[], None]
    kill: Callable[[], None]
    where: str


CASES: Mapping[str, tuple[str, ...]] = {
    "gpio_relay": ("active_high", "active_low"),
    "latching_relay": ("active_high", "active_low"),
    "waveshare_relay": ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp"),
    "lc_relay": ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp", "r4d8"),
    "epever_load": ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp"),
    "renogy_load": ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp"),
    "sunspec_limit": ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp"),
    "sunspec_storage": ("direct", "modbus_tcp", "modbus_rtu", "modbus_rtu_tcp"),
}
"""Model -> what it is tried on."""

REQUIRED: Mapping[str, Mapping[str, object]] = {
    "gpio_relay": {"pin": 17, "active_high": True},
    "latching_relay": {"set_pin": 17, "reset_pin": 27, "active_high": True},
    "waveshare_relay": {"channel": CHANNEL},
    "lc_relay": {"channel": CHANNEL},
    "epever_load": {"address": 1},
    "renogy_load": {"address": 1},
    "sunspec_limit": {"address": 1},
    "sunspec_storage": {"address": 1},
}


@contextmanager
def open_relay_bench(model: str, on: str, folder: Path) -> Iterator[RelayBench]:
    """Build a bench and take it down."""
    with ExitStack() as stack:
        if catalog.RELAYS[model].part_of:
            yield _part(model, on, folder, stack)
        elif catalog.RELAYS[model].bus_kinds:
            yield _board(model, on, folder, stack)
        else:
            yield {"gpio_relay": _pin, "latching_relay": _latching}[model](on == "active_high")


def _pin(active_high: bool) -> RelayBench:
    board = BenchFactory()
    return RelayBench(
        make=lambda: catalog.make_relay(
            "gpio_relay", board, {"pin": 17, "active_high": active_high}
        ),
        stands=lambda: board.history(17)[-1] is active_high,
        stick=lambda: board.pin(17).faults.switch("pin_stuck", True),
        kill=board._reservations.clear,  # as the kernel does: levels stay
        where="GPIO17",
    )


def _latching(active_high: bool) -> RelayBench:
    contact = LatchingContact(17, 27, active_high=active_high, is_set=True)
    board = BenchFactory(contact.follow)
    given = {"set_pin": 17, "reset_pin": 27, "active_high": active_high, "pulse_ms": 25}
    return RelayBench(
        make=lambda: catalog.make_relay("latching_relay", board, given),
        stands=lambda: contact.is_set,
        stick=lambda: board.pin(17).faults.switch("pin_stuck", True),
        kill=board._reservations.clear,
        where="GPIO17",
    )


def _part(model: str, on: str, folder: Path, stack: ExitStack) -> RelayBench:
    """What a device does besides measuring: feed a load, or give less."""
    plant = Plant(pv_power_mw=2_000_000, battery_mv=13_000)
    kinds = {
        "epever_load": EpeverController,
        "renogy_load": RenogyController,
        "sunspec_limit": SunSpecInverter,
        "sunspec_storage": SunSpecHybrid,
    }
    device: Any = kinds[model](plant)
    bus = modbus(on, device, folder, stack)

    def stands() -> bool:
        if model == "sunspec_storage":
            return bool(device.battery.is_told)
        return device.limit_mw is not None if model == "sunspec_limit" else device.load_is_on

    def stick() -> None:
        """Acknowledge every write, and take none."""
        for name in ("write_bit", "write_word", "write_words"):
            setattr(device, name, lambda *_: None)

    return RelayBench(
        make=lambda: catalog.make_relay(model, bus, {"address": 1}),
        stands=stands,
        stick=stick,
        kill=lambda: None,
        where="address 1",
    )


def _board(model: str, on: str, folder: Path, stack: ExitStack) -> RelayBench:
    given: dict[str, Any] = {"address": 1, "channel": CHANNEL}
    device: RelayBoard = WaveshareBoard() if model == "waveshare_relay" else LcBoard()
    if on == "r4d8":
        device, given["dialect"] = R4d8Board(), "r4d8"
    device.device_id = 1
    bus = modbus("direct" if on == "r4d8" else on, device, folder, stack)
    return RelayBench(
        make=lambda: catalog.make_relay(model, bus, given),
        stands=lambda: device.coils[CHANNEL - 1],
        stick=lambda: device.faults.switch("disobedient", True),
        kill=lambda: None,
        where=f"{model} at address 1, relay {CHANNEL}",
    )
