"""What a full RS-485 bus gives: ten SDM120 at 9600 baud, through the agent's own sampler.

The line is a pseudo-terminal with the pace of a wire in both directions, in this process. Its
meters are strict: asked within their pause of 100 ms, or before 3.5 characters of silence, they say
nothing, and a poll that fails ends the measurement. What the wire allows is counted from the bytes
that went over it: 11 bits a character, 3.5 characters of silence before and after each reply; no
meter's own pauses would make it longer, since meanwhile the others are asked.

Polls of two registers, where what lies between the bytes counts most, are also made through
pymodbus: the reason why the bus does without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pymodbus.client import ModbusSerialClient

from bench.figure import Figure, Target
from edge.inbound import Event, Sampled
from edge.sampler import BusThread, Device
from hardware import catalog
from hardware.buses.modbus import ModbusBus
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder
from hardware.mock.wires.modbus_server import ModbusRtuServer

METERS = 10
BAUD = 9_600
PAUSE_S = 0.1
CHARACTER_S = 11 / BAUD
SILENT_CHARACTERS = 7
WORDS = 2
POLL_CHARACTERS = 8 + 5 + 2 * WORDS + SILENT_CHARACTERS
READS = ((40, "two short reads a sample"), (80, "one long read a sample"))


@dataclass(slots=True)
class Wire:
    """Counts what goes over the wire: an ear for the bus."""

    polls: int = 0
    characters: float = 0.0
    by_device: dict[int, list[float]] = field(default_factory=dict)

    def hear(self, direction: Literal["sent", "heard"], content: bytes, at_s: float) -> None:
        """Take a request or what came of it."""
        if direction == "sent":
            self.polls += 1
            self.characters += SILENT_CHARACTERS
            self.by_device.setdefault(content[0], []).append(PAUSE_S)
        self.characters += len(content)
        self.by_device[content[0]].append(len(content) * CHARACTER_S)

    @property
    def least_s(self) -> float:
        """The time the wire itself needs, or the busiest meter with its pauses."""
        return max(self.characters * CHARACTER_S, *map(sum, self.by_device.values()))


def strict_meters() -> dict[int, Sdm120Meter]:
    """Return meters that say nothing when hurried."""
    meters = {n: Sdm120Meter(Feeder(power_mw=1_000 * n)) for n in range(1, METERS + 1)}
    for meter in meters.values():
        meter.haste_s = PAUSE_S
        meter.faults.switch("hurried", True)
    return meters


def sweeps(words_max: int, seconds: float) -> tuple[Wire, float]:
    """Read all meters again and again; return what went over the wire, and how long it took."""
    meters = strict_meters()
    with ModbusRtuServer(meters, baud=BAUD) as server:
        bus: ModbusBus = catalog.open_bus("modbus_rtu", {"device": server.device, "baud": BAUD})
        heard: list[Event] = []
        options = [{"address": n, "words_max": words_max} for n in meters]
        devices = [
            Device(str(n), catalog.make_meter("sdm120", bus, given))
            for n, given in enumerate(options, 1)
        ]
        thread = BusThread("rs485", bus, devices, heard.append)
        thread.sweep(0)  # opens the port and asks each meter who it is
        wire = Wire()
        bus.trace = wire.hear
        begun_s = time.monotonic()
        while (took_s := time.monotonic() - begun_s) < seconds:
            thread.sweep(1)
        bus.close()
    _refuse_failures(heard)
    return wire, took_s


def _refuse_failures(heard: list[Event]) -> None:
    for event in heard:
        if isinstance(event, Sampled) and event.sample is None:
            raise RuntimeError(f"meter {event.meter_id} gave no sample: {event.error}")


def short_polls(polls: int) -> tuple[float, float]:
    """Return the ratio of polls of two registers, one meter after another: ours and pymodbus'."""
    with ModbusRtuServer(strict_meters(), baud=BAUD) as server:
        bus: ModbusBus = catalog.open_bus("modbus_rtu", {"device": server.device, "baud": BAUD})
        ours = _ratio(lambda device: bool(bus.read_words(device, 4, 0, WORDS)), polls)
        bus.close()
    with ModbusRtuServer(strict_meters(), baud=BAUD) as server:
        client = ModbusSerialClient(server.device, baudrate=BAUD, timeout=1, retries=0)
        client.connect()

        def ask(device: int) -> bool:
            reply = client.read_input_registers(0, count=WORDS, device_id=device)
            time.sleep(SILENT_CHARACTERS / 2 * CHARACTER_S)  # the silence that it does not keep
            return not reply.isError()

        theirs = _ratio(ask, polls)
        client.close()  # type: ignore[no-untyped-call]
    return ours, theirs


def _ratio(ask: Callable[[int], bool], polls: int) -> float:
    begun_s = time.monotonic()
    for poll in range(polls):
        if not ask(poll % METERS + 1):
            raise RuntimeError(f"meter {poll % METERS + 1} did not answer")
    return polls * POLL_CHARACTERS * CHARACTER_S / (time.monotonic() - begun_s)


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield polls a second as a ratio of what the wire allows, and as they are."""
    for words_max, how in READS:
        wire, took_s = sweeps(words_max, 10.0 if quick else 60.0)
        name = f"RS-485, {METERS} SDM120 at {BAUD} baud, {how}"
        note = f"{wire.polls} polls in {took_s:.0f} s, wire {wire.least_s:.1f} s"
        ratio = wire.least_s / took_s
        yield Figure(name, ratio, "of what the wire allows", Target("at least", 0.8), note)
        yield Figure(f"{name}: polls", wire.polls / took_s, "/s")
    ours, theirs = short_polls(100 if quick else 500)
    name = f"RS-485 at {BAUD} baud, polls of two registers"
    yield Figure(name, ours, "of what the wire allows", Target("at least", 0.8))
    yield Figure(f"{name}, through pymodbus", theirs, "of what the wire allows")
