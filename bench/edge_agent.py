"""What the agent of a node costs: ten INA219 at 1 Hz, its own process, memory and CPU from outside.

The chips are simulated in the measuring process, over the simulated wire. Broker and hub are real,
so that what is signed is sent, stored and receipted; the hub of a simulation waits for a testbed's
instants, gets none and closes no slot, which costs the agent nothing.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.figure import Figure, Target
from bench.site import EMBEDDED, Node, Site
from hardware.mock.chips.ina219 import Ina219Chip
from hardware.mock.wires.i2c_bus import SimulatedI2cBus
from hardware.mock.wires.remote import WireServer
from testbed.supervisor import Supervisor

METERS = 10
FIRST_ADDRESS = 0x40
WARM_S = 15.0
SLOT_MS = 900_000
MIB = 1 << 20


class Line:
    """A line whose current wanders, so that no two samples are alike."""

    bus_mv = 12_500

    @property
    def current_ua(self) -> int:
        """Current. [uA]"""
        return 400_000 + time.monotonic_ns() // 1_000 % 200_000


def tables() -> str:
    """Return the bus and meters of the node."""
    meters = (
        f'[[meter]]\nmeter_id = "dep0-m{n}"\nmodel = "ina219"\nbus = "i2c1"\n'
        f"address = {FIRST_ADDRESS + n:#04x}\nshunt_mohm = 100\ncurrent_max_ma = 3200\n"
        f'samples_averaged = 1\nkey = "keys/dep0-m{n}.pem"\npurpose = "consumption"\nrated_w = 40\n'
        for n in range(METERS)
    )
    return "\n".join(('[[bus]]\nname = "i2c1"\nkind = "i2c"\ndevice = "simulated"\n', *meters))


@contextlib.contextmanager
def agent() -> Iterator[psutil.Process]:
    """Yield the running agent."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridtally-")))
        node = Node("dep0", tables())
        site = Site.found(folder, [node], slot_ms=SLOT_MS, simulation=True)
        chips = {FIRST_ADDRESS + n: Ina219Chip(Line()) for n in range(METERS)}
        buses = {"dep0/i2c1": SimulatedI2cBus(dict(chips))}
        wire = WireServer(site.wire, buses, lambda node, pin, high: None)
        stack.callback(wire.close)
        supervisor = stack.enter_context(Supervisor(folder / "logs"))
        for program in (site.broker(EMBEDDED), site.hub(), site.edge(node)):
            supervisor.start(program)
            supervisor.wait_ready([program.name], 60.0)
        time.sleep(WARM_S)
        yield psutil.Process(supervisor.children["edge-dep0"].process.pid)
        supervisor.check()


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield memory and CPU of the agent."""
    seconds = 15 if quick else 60
    resident = []
    with agent() as process:
        before, start_s = process.cpu_times(), time.monotonic()
        for _ in range(seconds):
            time.sleep(1.0)
            resident.append(process.memory_info().rss)
        after, took_s = process.cpu_times(), time.monotonic() - start_s
    spent_s = after.user + after.system - before.user - before.system
    name, note = f"edge agent, {METERS} INA219 at 1 Hz", f"over {took_s:.0f} s"
    memory = Target("at most", 60.0)
    yield Figure(f"{name}: resident memory", max(resident) / MIB, "MB", memory, f"most, {note}")
    cpu = Target("at most", 5.0)
    yield Figure(f"{name}: CPU", 100 * spent_s / took_s, "% of a core", cpu, note)
