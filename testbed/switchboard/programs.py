"""Faults of whole programs: killed, frozen, on a bad disk, with a wrong clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edge.boots import SHORT_BOOTS_MAX, boots_file, forget, read_short
from testbed.faults.clock import WrongClock
from testbed.faults.disk import FailingDisk, Mode
from testbed.faults.processes import GUARD, Processes
from testbed.stage import HUB, Stage
from testbed.supervisor import log_tail

JUMP_S: Final = 3_600
AGAIN_AFTER_S: Final = 2.0
ANEW_AFTER_S: Final = 0.5
YOUNG_S: Final = 2.0  # then whoever was killed is no longer taken for connected
EDGE: Final = "edge-"
TABLE: Final = "[guard]\n"
PRELOAD: Final = "LD_PRELOAD"


@dataclass(slots=True)
class Programs:
    """Owns which program is away, and what was put between it and the machine, in `scratch`."""

    stage: Stage
    scratch: Path
    killed: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    _looping: dict[str, int] = field(default_factory=dict)
    _may_end: set[str] = field(default_factory=set)
    _anew: dict[str, float] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)
    _clocks: dict[str, WrongClock] = field(default_factory=dict)
    _disks: dict[str, FailingDisk] = field(default_factory=dict)
    _modes: dict[str, Mode] = field(default_factory=dict)
    _young: dict[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every program of the demo, the hub's first."""
        return tuple(sorted(self.stage.supervisor.children, key=lambda name: name != HUB))

    @property
    def nodes_away(self) -> frozenset[str]:
        """The nodes whose edge cannot answer: nobody need wait for them."""
        away = {*self.killed, *self.frozen}
        return frozenset(name.removeprefix(EDGE) for name in away if name.startswith(EDGE))

    def kill(self, name: str) -> None:
        """Kill a program; it stays away. One that ended by itself before stays so, too."""
        self.frozen.discard(name)
        self.killed.add(name)
        if self.stage.supervisor.children[name].is_alive:
            Processes(self.stage).kill(name)

    def bring_back(self, name: str) -> None:
        """Start a program that was killed; nobody waits for it."""
        self.killed.discard(name)
        self.stage.supervisor.restart(name)

    def freeze(self, name: str) -> None:
        """Let a program hang; a dead one hangs already."""
        self.frozen.add(name)
        if self.stage.supervisor.children[name].is_alive:
            Processes(self.stage).stop(name)

    def go_on(self, name: str) -> None:
        """Let a frozen program go on."""
        self.frozen.discard(name)
        if self.stage.supervisor.children[name].is_alive:
            Processes(self.stage).go_on(name)

    def disk(self, name: str) -> FailingDisk:
        """Return the disk of a program, which is started anew on it the first time.

        Raises:
            Unplayable: it takes a C compiler, and there is none.
        """
        if name not in self._disks:
            disk = FailingDisk.right(self._files_of(name), self._scratch(name))
            self._start_with(name, disk.environment())
            self._disks[name] = disk
            self._young[name] = time.monotonic() + YOUNG_S
        return self._disks[name]

    def spoil(self, name: str, mode: Mode) -> None:
        """Let a program's disk fail; one that has just been started anew gets up first."""
        disk = self.disk(name)
        self._modes[name] = mode
        if name not in self._young:
            disk.be(mode)

    def mode(self, name: str) -> Mode:
        """Return how a program's disk is to be."""
        return self._modes.get(name, Mode.RIGHT)

    def clock(self, name: str) -> WrongClock:
        """Return the wall clock of a program, which is started anew by it the first time.

        Raises:
            Unplayable: it takes a C compiler, and there is none.
        """
        if name not in self._clocks:
            clock = WrongClock.right(self._scratch(name))
            self._start_with(name, clock.environment())
            self._clocks[name] = clock
        return self._clocks[name]

    def start_anew(self, name: str) -> None:
        """Start a program anew in a moment: it may be the one that passed on what is done now."""
        self._anew[name] = time.monotonic() + ANEW_AFTER_S

    def let_end(self, name: str, may: bool) -> None:
        """Say whether a program may end by itself and stay so: it has a reason to."""
        (self._may_end.add if may else self._may_end.discard)(name)

    def look(self) -> list[str]:
        """Start again, as systemd would, what ended by itself; return what did."""
        for name, due_s in tuple(self._anew.items()):
            if time.monotonic() > due_s:
                del self._anew[name]
                self._restart(name)
        for name, due_s in tuple(self._young.items()):
            node = name.removeprefix(EDGE)
            if time.monotonic() > due_s and node in self.stage.clock.joined:
                del self._young[name]
                self._disks[name].be(self.mode(name))
        for name in tuple(self._looping):
            self._shorten(name)
        return self._revive()

    def loop(self, name: str) -> None:
        """Kill a guard or an agent now, and again whenever it has begun, until it is held."""
        self._looping[name] = self._starts(name)
        self._count_starts(name, on=True)
        self._restart(name)

    def is_looping(self, name: str) -> bool:
        """Whether a program is killed again and again, or held because it was."""
        return name in self._looping

    def end_loop(self, name: str) -> None:
        """Forget how often it started in vain, as `gridtally-edge relay allow` does; start anew."""
        del self._looping[name]
        self._count_starts(name, on=False)
        forget(self._state(name))
        self.start_anew(name)

    def _count_starts(self, name: str, *, on: bool) -> None:
        """Let a node count its short starts, which a simulation does not by itself."""
        toml = self.stage.installation.edge_toml(name.partition("-")[2])
        text, setting = toml.read_text("utf-8"), f"{TABLE}short_boots_max = {SHORT_BOOTS_MAX}\n"
        text = text.replace(setting, TABLE)
        toml.write_text(text.replace(TABLE, setting) if on else text, "utf-8")

    def _shorten(self, name: str) -> None:
        starts = self._starts(name)
        if self._looping[name] < starts <= SHORT_BOOTS_MAX:
            self._looping[name] = starts
            self._restart(name)

    def _starts(self, name: str) -> int:
        """Return how many lives in a row were too short, the present one included."""
        program = "guard" if name.startswith(GUARD) else "agent"
        return read_short(boots_file(self._state(name), program))

    def _state(self, name: str) -> Path:
        """Return the state folder of the node whose guard or agent this is."""
        return self.stage.installation.folder / f"state-{name.partition('-')[2]}"

    def _restart(self, name: str) -> None:
        if name not in self.killed:
            self.kill(name)
            self.bring_back(name)

    def _revive(self) -> list[str]:
        told = []
        for name, child in tuple(self.stage.supervisor.children.items()):
            if child.is_alive or name in self.killed:
                self._ended.pop(name, None)
            elif name not in self._ended:
                self._ended[name] = time.monotonic()
                told.append(
                    f"{name} ended by itself: {log_tail(child.log).splitlines()[-1].strip()}"
                )
            elif name in self._may_end:
                continue
            elif time.monotonic() > self._ended[name] + AGAIN_AFTER_S:
                del self._ended[name]
                self.stage.supervisor.restart(name)
        return told

    def _files_of(self, name: str) -> Path:
        return self._state(name) if name.startswith(EDGE) else self.stage.installation.folder

    def _scratch(self, name: str) -> Path:
        """Return a folder for what is put between a program and its machine."""
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        return folder

    def _start_with(self, name: str, environment: Mapping[str, str]) -> None:
        """Start a program anew with more in its environment; what it had before stays."""
        child = self.stage.supervisor.children[name]
        before = child.program.environment
        preloaded = " ".join(filter(None, (environment[PRELOAD], before.get(PRELOAD))))
        together = {**before, **environment, PRELOAD: preloaded}
        child.program = replace(child.program, environment=together)
        self._restart(name)


@dataclass(frozen=True, slots=True)
class Killed:
    """A program that is killed."""

    programs: Programs
    name: str

    @property
    def is_on(self) -> bool:
        """Whether it is away."""
        return self.name in self.programs.killed

    def turn(self, on: bool) -> None:
        """Kill it, or bring it back."""
        (self.programs.kill if on else self.programs.bring_back)(self.name)


@dataclass(frozen=True, slots=True)
class Hung:
    """A program that hangs."""

    programs: Programs
    name: str

    @property
    def is_on(self) -> bool:
        """Whether it hangs."""
        return self.name in self.programs.frozen

    def turn(self, on: bool) -> None:
        """Freeze it, or let it go on."""
        (self.programs.freeze if on else self.programs.go_on)(self.name)


@dataclass(frozen=True, slots=True)
class Looping:
    """A program that ends soon after each start."""

    programs: Programs
    name: str

    @property
    def is_on(self) -> bool:
        """Whether it does, or did until it was held."""
        return self.programs.is_looping(self.name)

    def turn(self, on: bool) -> None:
        """Begin, or forget it."""
        (self.programs.loop if on else self.programs.end_loop)(self.name)


@dataclass(frozen=True, slots=True)
class BadDisk:
    """A program whose disk fails in one way; another way on the same disk takes its place."""

    programs: Programs
    name: str
    fails: Mode

    @property
    def is_on(self) -> bool:
        """Whether the disk fails so, or will as soon as the program is up."""
        return self.programs.mode(self.name) is self.fails

    def turn(self, on: bool) -> None:
        """Let it fail, or be right."""
        self.programs.spoil(self.name, self.fails if on else Mode.RIGHT)


@dataclass(slots=True)
class ClockAhead:
    """A program whose wall clock is wrong."""

    programs: Programs
    name: str
    is_on: bool = False

    def turn(self, on: bool) -> None:
        """Let it jump, there or back."""
        self.programs.clock(self.name).jump(JUMP_S if on else 0)
        self.is_on = on
