"""Plays the faults that were asked for, bench by bench, and says what they came to."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from testbed.broker import find_program
from testbed.errors import BadFault, Unplayable
from testbed.torture.hostile import hostile_leases
from testbed.torture.machine import FullDisk, JumpingClock
from testbed.torture.rig import Rig, rig
from testbed.torture.trials import SWITCHING, Fault, Tally, play_rounds

ON_ONE_BENCH = (*(fault.name for fault in SWITCHING), "hostile_leases")
NAMES = (
    "hub_kill",
    "hub_stop",
    "broker_kill",
    "agent_kill",
    "agent_stop",
    "guard_kill",
    "cable_cut",
    "disk_full",
    "clock_jump",
    "hostile_leases",
)
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be played: which faults, at least how many trials of each, from which seed."""

    faults: tuple[str, ...]
    n: int
    seed: int
    broker: str


@dataclass(slots=True)
class Results:
    """What was played, and why something was not."""

    seed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def in_order(self) -> list[Tally]:
        """Every fault that was played."""
        return [self.tallies[name] for name in NAMES if name in self.tallies]

    @property
    def is_whole(self) -> bool:
        """Whether everything held in every trial."""
        return all(tally.is_whole for tally in self.in_order)

    @property
    def json(self) -> str:
        """One line for programs."""
        rows = [
            {
                "fault": each.fault,
                "trials": each.trials,
                "failed": each.failed,
                "worst_ms": round(each.worst_ms, 1),
                "limit_ms": each.limit_ms,
                "lost": each.lost,
                "duplicated": each.duplicated,
                "hostile_obeyed": each.hostile_obeyed,
            }
            for each in self.in_order
        ]
        return json.dumps({"seed": self.seed, "faults": rows})


def chosen(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas; all without one.

    Raises:
        BadFault: a name is none of them.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip()) or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise BadFault(f"--faults {', '.join(unknown)}: there are {', '.join(NAMES)}")
    return names


def usual_broker() -> str:
    """Return Mosquitto where it is installed, as on a real testbed; else the embedded one."""
    programs = ("mosquitto", "mosquitto_passwd")
    return "mosquitto" if all(map(find_program, programs)) else "embedded"


def play(wanted: Wanted, watch: Callable[[Fault, Tally], None], *, strict: bool) -> Results:
    """Play every wanted fault; `watch` is told after each round.

    Raises:
        Unplayable: a fault needs what is not installed, and `strict` says that this is an error.
    """
    results = Results(wanted.seed)
    together = [name for name in ON_ONE_BENCH if name in wanted.faults]
    if together:
        faults = {fault.name: fault for fault in (*SWITCHING, hostile_leases())}
        with _folder() as folder, rig(folder / "bench", wanted.broker) as running:
            for name in together:
                results.tallies[name] = _play(running, faults[name], wanted, watch)
    for name in ("disk_full", "clock_jump"):
        if name not in wanted.faults:
            continue
        try:
            results.tallies[name] = _play_alone(name, wanted, watch)
        except Unplayable as reason:
            if strict:
                raise
            results.skipped[name] = str(reason)
    return results


def _play_alone(name: str, wanted: Wanted, watch: Callable[[Fault, Tally], None]) -> Tally:
    """Play a fault on a bench whose programs are started for it."""
    with _folder() as folder:
        machine = FullDisk(folder) if name == "disk_full" else JumpingClock(folder)
        with rig(folder / "bench", wanted.broker, machine.environment_of) as running:
            return _play(running, machine.fault, wanted, watch)


def _play(
    running: Rig, fault: Fault, wanted: Wanted, watch: Callable[[Fault, Tally], None]
) -> Tally:
    # Seeded by its name, too: so a fault is the same whatever is played beside it.
    tally = Tally(fault.name, fault.limit_ms)
    watch(fault, tally)
    for tally in play_rounds(running, fault, wanted.n, Random(f"{wanted.seed}/{fault.name}")):
        watch(fault, tally)
    return tally


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gridtally-", ignore_cleanup_errors=True) as name:
        yield Path(name)
