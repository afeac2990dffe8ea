"""What can be switched on a running demo, what is on, and what was switched lately.

It gathers one switch for each fault and target and turns them; how a fault is played is in the
files of its kind. It lives in the thread that plays, so nothing here needs a lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Protocol

from testbed.errors import BadDevice
from testbed.switchboard.catalog import FAULTS, GROUPS, NOT_PLAYED, ROWS, Fault

NEWS_KEPT: Final = 20
BACK: Final = "Everything should find its way back by itself."
AFTERMATH_S: Final = 60.0
"""How long after the last switch late answers still are no failure of the demo."""


class Switch(Protocol):
    """One fault on one target."""

    @property
    def is_on(self) -> bool:
        """Whether it is played now; what happens once ends by itself."""

    def turn(self, on: bool) -> None:
        """Begin or end; only called when that is a change.

        Raises:
            TestbedError: it cannot be played here; the text says what is missing.
        """


@dataclass(slots=True)
class Board:
    """Owns the switches by fault and target, in the order of the catalog and of the layout."""

    simulation: str
    switches: Mapping[str, Mapping[str, Switch]]
    news: deque[str] = field(default_factory=lambda: deque(maxlen=NEWS_KEPT))
    _changed_s: float | None = None

    @property
    def on(self) -> tuple[tuple[str, str], ...]:
        """Every (fault, target) that is on."""
        return tuple(
            (name, target)
            for name, switches in self.switches.items()
            for target, switch in switches.items()
            if switch.is_on
        )

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on and nothing was lately: then whatever fails is no game."""
        if self._changed_s is None:
            return True
        return not self.on and time.monotonic() > self._changed_s + AFTERMATH_S

    def turn(self, name: str, target: str, on: bool) -> str:
        """Switch a fault on or off; return one sentence on what was done.

        Args:
            name: of the fault.
            target: what to play it on; "" where there is one only.
            on: begin or end.

        Raises:
            BadDevice: there is no such fault or target; the text names those that are there.
            TestbedError: it cannot be played on this machine.
        """
        fault = fault_named(name, self.switches)
        found = self._target(fault, target)
        switch = self.switches[name][found]
        words = f"{name} {'on' if on else 'off'}, {found}"
        if switch.is_on == on:
            return f"{words}: it is so already"
        self._changed_s = time.monotonic()
        switch.turn(on)
        self.tell(words)
        return f"{words}. {fault.seen_on(found) if on else BACK}"

    def all_off(self) -> str:
        """End every fault; return what was ended."""
        ended = [f"{name} {target}" for name, target in self.on]
        for name, target in self.on:
            self.turn(name, target, False)
        return f"off: {', '.join(ended)}" if ended else "nothing was on"

    def tell(self, words: str) -> None:
        """Note what happened, for whoever looks at the board."""
        self.news.append(f"{time.strftime('%H:%M:%S')} {words}")

    def facts(self) -> dict[str, Any]:
        """Return the whole board in plain values, for a page or a terminal."""
        return {
            "simulation": self.simulation,
            "faults": [
                facts_of(fault, targets(self.switches[name]), self._on(name))
                for name, fault in FAULTS.items()
                if name in self.switches
            ],
            "not_played": [*not_played()],
            "news": [*self.news],
        }

    def _on(self, name: str) -> list[str]:
        return [target for target, switch in self.switches[name].items() if switch.is_on]

    def _target(self, fault: Fault, target: str) -> str:
        known = targets(self.switches[fault.name])
        if target in known:
            return target
        if not target and len(known) == 1:
            return known[0]
        asked = f"no target {target!r} for {fault.name}" if target else f"{fault.name}: on what?"
        raise BadDevice(f"{asked}{_nearest(target, known)} It can be played on {', '.join(known)}")


def fault_named(name: str, known: Iterable[str] = tuple(FAULTS)) -> Fault:
    """Return a fault by its name.

    Raises:
        BadDevice: there is none among the known ones; the text names the nearest.
    """
    names = [*known]
    if name in names:
        return FAULTS[name]
    if name in FAULTS:
        raise BadDevice(f"{name}: nothing in this demo has this fault; it has {', '.join(names)}")
    raise BadDevice(f"no fault {name!r}{_nearest(name, names)} There are {', '.join(names)}")


def facts_of(fault: Fault, targets: Sequence[str] = (), on: Sequence[str] = ()) -> dict[str, Any]:
    """Return what the catalog says of a fault, and where it can be played, in plain values."""
    return {
        "name": fault.name,
        "kind": fault.kind,
        "group": GROUPS[fault.kind],
        "rows": list(fault.rows),
        "about": "; ".join(ROWS[row] for row in fault.rows),
        "plays": fault.plays,
        "see": fault.see,
        "see_on": {target: fault.seen_on(target) for target in targets if fault.see_on},
        "targets": list(targets),
        "on": list(on),
    }


def not_played() -> Iterable[dict[str, str]]:
    """Yield each row that no switch plays, and why."""
    for row, reason in NOT_PLAYED.items():
        yield {"row": row, "about": ROWS[row], "reason": reason}


def targets(switches: Mapping[str, Switch]) -> list[str]:
    """Return the names of what a fault can be played on."""
    return list(switches)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]}?" if close else "."
