"""From a meter's register to a relay's pin: 100 meters at 1 Hz, every program a process of its own.

Ten nodes, each an agent and a guard process, a broker and the hub, on the wall clock. Each node
has ten SDM120 simulators behind a Modbus TCP gateway, and eight relays. Every so often one member's
generation falls by what one of his loads draws, at a random moment; the hub must cut a load.

Two times are taken, both on the measuring process' monotonic clock, which also serves the wires:

    from the read: the agent's Modbus request for that generation meter is answered for the first
                   time after the change, until the guard drives the pin. This is the system's
                   own time: rest of the sweep, signing, broker, verifying, decision durable on the
                   ledger, lease, broker, guard.
    from the change: the same, and the wait for the next instant of the 1 Hz grid before it.

Only cuts are counted, which is the direction that protects. All processes share this machine.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.figure import Figure, Target, percentile
from bench.site import EMBEDDED, Node, Site
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.wires.loop import LoopThread
from hardware.mock.wires.modbus_server import ModbusTcpServer
from hardware.mock.wires.remote import WireServer
from testbed.supervisor import Supervisor, free_port

NODES = 10
LOADS = 8
METERS = NODES * (LOADS + 2)
LOAD_MW = 100_000
SLOT_MS = 60_000
FIRST_PIN = 4
POWER_REGISTER = 0x000C  # SDM120 protocol: active power
TARGET_MS = 250.0
WARM_S = 12.0
REST_S = 2.2  # of a member after a cut, so that every sample shows it
EVERY_S = 0.2
LOST_S = 5.0
RESTORED_S = 40.0


@dataclass(slots=True)
class Member:
    """A member's plant, and the one cut that is being waited for. [mW, s monotonic]"""

    generation_mw: int = LOADS * LOAD_MW
    is_cut: list[bool] = field(default_factory=lambda: [False] * LOADS)
    changed_s: float | None = None
    read_s: float | None = None
    rests_until_s: float = 0.0


@dataclass(slots=True)
class Feeder:
    """What one meter sees of a member."""

    measure_mw: Callable[[], int]
    voltage_mv: int = 230_000
    frequency_mhz: int = 50_000
    energy_import_uwh: int = 0
    energy_export_uwh: int = 0

    @property
    def power_mw(self) -> int:
        """Power now; positive is drawn. [mW]"""
        return self.measure_mw()


class WatchedMeter(Sdm120Meter):
    """An SDM120 that tells when its power register is read."""

    def __init__(self, feeder: Feeder, serial: int, read: Callable[[], None]) -> None:
        super().__init__(feeder, serial=serial)
        self._read = read

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Answer, then tell."""
        words = super().read_words(function, address, count)
        if function == 4 and address <= POWER_REGISTER < address + count:
            self._read()
        return words


@dataclass(slots=True)
class Cut:
    """One measured cut. [ms]"""

    from_read_ms: float
    from_change_ms: float


class Plant:
    """Ten members behind meters and pins, served by one thread; every change happens in it."""

    def __init__(self) -> None:
        self.members = [Member() for _ in range(NODES)]
        self.cuts: list[Cut] = []
        self.lost = 0
        self._lock = threading.Lock()

    def devices(self, place: int) -> dict[int, WatchedMeter]:
        """Return the meters of one node by unit id: generation, consumption, each load."""
        member = self.members[place]
        feeders = [
            Feeder(lambda: -member.generation_mw),
            Feeder(lambda: LOAD_MW * member.is_cut.count(False)),
            *(
                Feeder(lambda n=n: 0 if member.is_cut[n] else LOAD_MW)  # type: ignore[misc]
                for n in range(LOADS)
            ),
        ]
        return {
            unit: WatchedMeter(feeder, unit, (lambda: self._read(member)) if unit == 1 else _idle)
            for unit, feeder in enumerate(feeders, 1)
        }

    def follow_pin(self, node: str, pin: int, high: bool) -> None:
        """Cut or feed a load; relays are wired so that an energised coil cuts."""
        now_s = time.monotonic()
        member = self.members[int(node.removeprefix("dep"))]
        with self._lock:
            moved = member.is_cut[pin - FIRST_PIN] != high
            member.is_cut[pin - FIRST_PIN] = high
            if moved and high and member.changed_s is not None:
                self._note(member, now_s)

    def _note(self, member: Member, now_s: float) -> None:
        if member.changed_s is None or member.read_s is None:
            raise RuntimeError("a load was cut before anybody could have read why")
        from_read_ms = (now_s - member.read_s) * 1000
        self.cuts.append(Cut(from_read_ms, (now_s - member.changed_s) * 1000))
        member.changed_s = member.read_s = None
        member.rests_until_s = now_s + REST_S

    def _read(self, member: Member) -> None:
        with self._lock:
            if member.changed_s is not None and member.read_s is None:
                member.read_s = time.monotonic()

    def lower_one(self, chance: random.Random) -> bool:
        """Take one load's worth of generation from a member who rests; False if nobody does."""
        now_s = time.monotonic()
        with self._lock:
            for member in self.members:
                if member.changed_s is not None and now_s - member.changed_s > LOST_S:
                    self.lost += 1
                    member.changed_s = member.read_s = None
            ready = [
                member
                for member in self.members
                if member.changed_s is None
                if now_s >= member.rests_until_s
                if member.generation_mw == LOAD_MW * member.is_cut.count(False) > 0
            ]
            if ready:
                member = chance.choice(ready)
                member.generation_mw -= LOAD_MW
                member.changed_s = now_s
            return any(member.generation_mw for member in self.members)

    @property
    def is_waiting(self) -> bool:
        """Whether a cut is due."""
        return any(member.changed_s is not None for member in self.members)

    def restore(self) -> None:
        """Let everybody generate in full again, and wait until every load is fed."""
        with self._lock:
            for member in self.members:
                member.generation_mw = LOADS * LOAD_MW
        deadline_s = time.monotonic() + RESTORED_S
        while any(any(member.is_cut) for member in self.members):
            if time.monotonic() > deadline_s:
                raise SystemExit("loads were not fed again although there is enough")
            time.sleep(0.1)


def _idle() -> None:
    """Be nobody's watch."""


def tables(name: str, port: int) -> str:
    """Return a node's buses, meters and relays."""
    meters = [("pv", "generation", ""), ("load", "consumption", "")]
    meters += [(f"load{n}", "appliance", f"{name}-load") for n in range(LOADS)]
    parts = [
        f'[[bus]]\nname = "gateway"\nkind = "modbus_tcp"\nhost = "127.0.0.1"\nport = {port}\n'
        "pause_ms = 0\n"
    ]
    for unit, (short, purpose, parent) in enumerate(meters, 1):
        rated_w = LOAD_MW // 1000 * (1 if parent else LOADS)
        parts.append(
            f'[[meter]]\nmeter_id = "{name}-{short}"\nmodel = "sdm120"\nbus = "gateway"\n'
            f'address = {unit}\nwords_max = 80\nkey = "keys/{name}-{short}.pem"\n'
            f'purpose = "{purpose}"\nrated_w = {rated_w}\nparent = "{parent}"\n'
        )
    parts += [
        f'[[relay]]\nrelay = "{name}-relay{n}"\npin = {FIRST_PIN + n}\nactive_high = true\n'
        f'deenergised = "fed"\nload = "{name}-load{n}"\nrated_w = {LOAD_MW // 1000}\n'
        "switches_per_minute_max = 600\n"
        for n in range(LOADS)
    ]
    return "\n".join(parts)


@contextlib.contextmanager
def running(plant: Plant, broker: str) -> Iterator[None]:
    """Serve the wires, run every program, and stop all of it at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridtally-")))
        loop = LoopThread()
        stack.callback(loop.close)
        nodes = []
        for place in range(NODES):
            port = free_port()
            server = ModbusTcpServer(plant.devices(place), port=port, loop=loop)
            stack.callback(server.close)
            nodes.append(Node(f"dep{place}", tables(f"dep{place}", port)))
        site = Site.found(folder, nodes, slot_ms=SLOT_MS)
        wire = WireServer(site.wire, {}, plant.follow_pin, loop=loop)
        stack.callback(wire.close)
        supervisor = stack.enter_context(Supervisor(folder / "logs"))
        for programs in (
            [site.broker(broker)],
            [site.hub(), *(site.guard(node) for node in nodes)],
            [site.edge(node) for node in nodes],
        ):
            names = [supervisor.start(program).program.name for program in programs]
            supervisor.wait_ready(names, 60.0)
        time.sleep(WARM_S)
        plant.restore()  # whatever was cut while samples were still missing
        yield
        supervisor.check()


def measure(broker: str, seconds: float, seed: int = 1) -> Plant:
    """Cut loads for so long; return the plant with its list of cuts."""
    plant, chance = Plant(), random.Random(seed)
    with running(plant, broker):
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            if not plant.lower_one(chance) and not plant.is_waiting:
                time.sleep(REST_S)
                plant.restore()
                time.sleep(REST_S)
            time.sleep(chance.uniform(0, 2 * EVERY_S))
    if not plant.cuts:
        raise SystemExit("no load was cut: nothing was measured")
    return plant


def run(*, quick: bool, broker: str = EMBEDDED) -> Iterator[Figure]:
    """Yield p50 and p99 for one broker."""
    plant = measure(broker, 20.0 if quick else 100.0)
    reads = [cut.from_read_ms for cut in plant.cuts]
    changes = [cut.from_change_ms for cut in plant.cuts]
    name = f"register to relay, {METERS} meters, {broker} broker"
    note = f"{len(reads)} cuts, {plant.lost} without an answer"
    yield Figure(f"{name}: p50 from the read", percentile(reads, 50), "ms", note=note)
    target = Target("at most", TARGET_MS)
    yield Figure(f"{name}: p99 from the read", percentile(reads, 99), "ms", target, note)
    yield Figure(f"{name}: p50 from the change", percentile(changes, 50), "ms", note=note)
    yield Figure(f"{name}: p99 from the change", percentile(changes, 99), "ms", note=note)
