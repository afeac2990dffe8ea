"""Faults of whole programs: killed, frozen, or ended soon after each start."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.boots import SHORT_BOOTS_MAX, boots_file, forget, read_short
from testbed.faults.processes import GUARD, Processes
from testbed.stage import HUB, Stage
from testbed.supervisor import log_tail

AGAIN_AFTER_S: Final = 2.0
ANEW_AFTER_S: Final = 0.5
EDGE: Final = "edge-"
TABLE: Final = "[guard]\n"


@dataclass(slots=True)
class Programs:
    """Owns which program is away, and why."""

    stage: Stage
    killed: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    _looping: dict[str, int] = field(default_factory=dict)
    _may_end: set[str] = field(default_factory=set)
    _anew: dict[str, float] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)

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
