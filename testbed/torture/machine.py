"""Faults of the machine below the programs: its disk and its clock.

Each has a bench of its own, whose programs are started with what makes disk or clock fail.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from testbed.errors import NotReady
from testbed.faults.clock import WrongClock
from testbed.faults.disk import FailingDisk, Mode
from testbed.stage import HUB
from testbed.torture.rig import SHORT_TTL_MS, Rig
from testbed.torture.trials import LEASE_LIMIT_MS, QUIET_S, WAIT_S, Fault, Tally

RECOVERY_LIMIT_MS = 10_000
FULL_INSTANTS = 3
JUMPS_S = (60, 3_600, 86_400, 365 * 86_400, 20 * 365 * 86_400)
STEADY_S = 1.5


class FullDisk:
    """The disks of hub and agents, each of which can be full for itself."""

    def __init__(self, folder: Path) -> None:
        """Give them nothing yet."""
        self._folder = folder
        self._disks: dict[str, FailingDisk] = {}

    def environment_of(self, name: str) -> Mapping[str, str]:
        """Give each program that stores anything a disk of its own."""
        if name != HUB and not name.startswith("edge-"):
            return {}
        disk = FailingDisk.right(self._folder / "bench", self._folder, f"disk-{name}")
        self._disks[name] = disk
        return disk.environment()

    @property
    def fault(self) -> Fault:
        """The fault, ready to be played."""
        return Fault("disk_full", "the disk is full", self.play, RECOVERY_LIMIT_MS)

    def play(self, rig: Rig, tally: Tally, random: Random) -> None:
        """Fill some disks at a random moment, measure on, free them; nobody may restart."""
        victims = random.choice([[HUB], list(rig.agents), [HUB, *rig.agents]])
        rig.hold(random.uniform(0, 1))
        before = dict(rig.stage.supervisor.children)
        rig.sample()
        rig.stage.clock.rest(random.uniform(0, 0.05))
        for name in victims:
            self._disks[name].be(Mode.FULL)
        for _ in range(FULL_INSTANTS):
            rig.sample()
            rig.stage.clock.rest(random.uniform(0, 0.5))
        freed_s = time.monotonic()
        for name in victims:
            self._disks[name].be(Mode.RIGHT)
        tally.trials += 1
        try:
            rig.pass_instant()
        except NotReady:
            tally.failures.append(f"{', '.join(victims)} did not go on after the disk was freed")
            return
        took_ms = (time.monotonic() - freed_s) * 1000
        tally.worst_ms = max(tally.worst_ms, took_ms)
        tally.require(took_ms <= tally.limit_ms, f"it took {took_ms:.0f} ms to go on")
        alive = all(child.is_alive for child in rig.stage.supervisor.children.values())
        same = rig.stage.supervisor.children == before
        tally.require(alive and same, "a full disk ended a program")


class JumpingClock:
    """The wall clock of every program of ours, which jumps."""

    def __init__(self, folder: Path) -> None:
        """Begin with the right time."""
        self._clock = WrongClock.right(folder)

    def environment_of(self, name: str) -> Mapping[str, str]:
        """Let hub, guards and agents believe this clock."""
        ours = name == HUB or name.startswith(("edge-", "guard-"))
        return self._clock.environment() if ours else {}

    @property
    def fault(self) -> Fault:
        """The fault, ready to be played."""
        return Fault("clock_jump", "the clock jumps", self.play, LEASE_LIMIT_MS)

    def play(self, rig: Rig, tally: Tally, random: Random) -> None:
        """Let the wall clock jump: leases neither end nor live on for that."""
        rig.shed(SHORT_TTL_MS)
        place = len(rig.board.history)
        self._clock.jump(random.choice((-1, 1)) * random.choice(JUMPS_S))
        rig.hold(STEADY_S)
        moved = rig.board.moves_since(place, rig.contacts)
        tally.require(not moved, f"contacts moved when the clock jumped: {moved}")
        rig.sample()
        self._clock.jump(random.choice((-1, 1)) * random.choice(JUMPS_S))
        since_ms = rig.processes.kill(HUB)
        tally.judge(rig.safe_after(since_ms, rig.contacts, SHORT_TTL_MS / 1000 + WAIT_S))
        tally.require(rig.stays_safe(QUIET_S), "a contact was energised again")
        rig.processes.revive([HUB])
        self._clock.jump(0)
