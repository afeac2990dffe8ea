"""A whole node for tests: configuration, keys, simulated wire, and its two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.config import EdgeConfig, load_config
from edge.keygen import make_keys
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.points import Line
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.mock.wires.remote import WireServer
from keys.file import load
from messages.trust import format_trust
from tests.support.edge_hub import FakeHub

CONFIG = """\
node = "dep1"
microgrid = "bench"
member = "alice"
state = "state"

[sampling]
sample_ms = {sample_ms}
slot_ms = {slot_ms}
trust_clock = true

[broker]
port = {port}
password_file = "dep1.password"

[outbox]
ballast_kb = 64

[[bus]]
name = "i2c1"
kind = "i2c"
device = "simulated"

{meters}
[[relay]]
relay = "heater"
pin = 17
active_high = true
deenergised = "fed"
rated_w = 40
switches_per_minute_max = 600

[simulation]
wire = "unix:wire.sock"
journal = "journal.txt"
"""
METER = """\
[[meter]]
meter_id = "m{n}"
model = "ina219"
bus = "i2c1"
address = {address}
shunt_mohm = 100
current_max_ma = 3200
samples_averaged = 1
key = "keys/m{n}.pem"
purpose = "consumption"
rated_w = 40

"""


def wait_until(claim: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for an event, with a deadline."""
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


@dataclass
class Pins:
    """What the simulated board saw: (when, level) of pin 17, in order."""

    history: list[tuple[float, bool]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def move(self, node: str, pin: int, high: bool) -> bool:
        assert (node, pin) == ("dep1", 17)
        with self.changed:
            self.history.append((time.monotonic(), high))
            self.changed.notify_all()
        return high

    @property
    def levels(self) -> list[bool]:
        """The levels, without repeats."""
        found: list[bool] = []
        for _, high in self.history:
            if not found or found[-1] != high:
                found.append(high)
        return found

    def wait_for(self, high: bool, seconds: float) -> float:
        """Wait until the newest level is `high`; return when it came about."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.history and self.history[-1][1] == high, seconds
            ), f"pin 17 is not {'high' if high else 'low'} within {seconds} s: {self.history}"
            return next(at for at, level in reversed(self.history) if level == high)


@dataclass
class Node:
    """A node in a folder, its simulated devices, and the processes that were started."""

    folder: Path
    hub: FakeHub
    pins: Pins
    lines: dict[str, Line]
    chips: dict[str, Ina219Chip]
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def config_file(self) -> Path:
        return self.folder / "edge.toml"

    @property
    def config(self) -> EdgeConfig:
        return load_config(self.config_file)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start `run` or `guard`; what it logs stands in <command>.log."""
        with (self.folder / f"{command}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "edge", command, "--config", str(self.config_file)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=Path(__file__).parents[2],
            )
        self.children.append(child)
        return child

    def start_guard(self) -> subprocess.Popen[bytes]:
        Path(self.config.guard.socket).unlink(missing_ok=True)
        guard = self.start("guard")
        wait_until(Path(self.config.guard.socket).exists, 20, "the guard listens")
        return guard

    def log(self, command: str) -> str:
        return (self.folder / f"{command}.log").read_text()

    def close(self) -> None:
        for child in self.children:
            if child.poll() is None:
                os.kill(child.pid, signal.SIGCONT)
                child.kill()
            child.wait(10)


@contextmanager
def node(
    folder: Path,
    *,
    port: int = 1,
    meters: int = 1,
    sample_ms: int = 200,
    slot_ms: int = 1000,
    hub: FakeHub | None = None,
) -> Iterator[Node]:
    """Yield a node whose wire is served and whose keys are made; nothing is started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    hub = hub or FakeHub()
    tables = "".join(METER.format(n=n, address=0x40 + n) for n in range(meters))
    text = CONFIG.format(port=port, sample_ms=sample_ms, slot_ms=slot_ms, meters=tables)
    (folder / "edge.toml").write_text(text)
    (folder / "trust.toml").write_text(format_trust(hub.trust))
    (folder / "dep1.password").touch()
    lines = {f"m{n}": Line(current_ua=300_000, bus_mv=12_000) for n in range(meters)}
    chips = {name: Ina219Chip(line, shunt_mohm=100) for name, line in lines.items()}
    bus = SimulatedI2cBus({0x40 + n: chip for n, chip in enumerate(chips.values())})
    pins = Pins()
    made = Node(folder, hub, pins, lines, chips)
    make_keys(made.config)
    with WireServer(folder / "wire.sock", {"dep1/i2c1": bus}, pins.move):
        try:
            yield made
        finally:
            made.close()


def node_signer(made: Node):  # type: ignore[no-untyped-def]
    """Return the node's own signer."""
    return load(Path(made.config.key))
