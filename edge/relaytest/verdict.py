"""What the meters say of a relay that was released, energised and released again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

LEAST_MW: Final = 50
"""Below the noise of a small shunt."""
PART_OF_RATED: Final = 50
SPREADS: Final = 2

Kind = Literal["works", "not_following", "reversed", "unseen", "welded", "unmetered", "unclear"]


@dataclass(frozen=True, slots=True)
class Level:
    """What one meter measured in one position: mean, and greatest less least. [mW]"""

    power_mw: int
    spread_mw: int = 0


Levels = Mapping[str, Level]
"""By meter."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the configuration says of a relay.

    Attributes:
        relay: its name.
        deenergised: what the load gets while the coil is off: "fed" or "cut".
        load: the meter of its load; "" for none.
        rated_mw: the most that the load takes.
    """

    relay: str
    deenergised: str
    load: str
    rated_mw: int

    @property
    def expected(self) -> tuple[int, int]:
        """Which way the load's power goes when the coil is energised, and when it is released."""
        return (-1, 1) if self.deenergised == "fed" else (1, -1)

    def load_is(self, *, energised: bool) -> str:
        """Return what the load is to be: "fed" or "cut"."""
        other = "cut" if self.deenergised == "fed" else "fed"
        return other if energised else self.deenergised


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is the matter, as a word for programs and in plain words."""

    kind: Kind
    words: str

    @property
    def works(self) -> bool:
        """Whether the relay does what the configuration says."""
        return self.kind == "works"


def judge(wiring: Wiring, released: Levels, energised: Levels, again: Levels) -> Verdict:
    """Return what follows from the powers in the three positions, in the order of the test."""
    positions = (released, energised, again)
    if not wiring.load:
        return _unmetered(wiring, positions)
    levels = [each[wiring.load] for each in positions]
    least_mw = _least_mw(wiring, levels)
    powers_mw = [abs(level.power_mw) for level in levels]
    course = f"{wiring.load} measured {_course(powers_mw)}"
    steps = _steps(powers_mw, least_mw)
    if steps == wiring.expected:
        return Verdict("works", f"it works: {course}{_rest(wiring, powers_mw, least_mw)}")
    if steps == _turned(wiring.expected):
        return Verdict("reversed", f"{_REVERSED[wiring.deenergised]} {course}")
    if steps == (wiring.expected[0], 0):
        return Verdict("welded", f"{_STAYS} {course}")
    if steps == (0, 0):
        return _unmoved(wiring, positions, flows=powers_mw[0] >= least_mw, course=course)
    return Verdict("unclear", f"{_UNCLEAR} {course}")


def disobedient(error: str) -> Verdict:
    """Return the verdict on a relay whose own output does not follow what is written to it."""
    words = f"it does not follow, and no contact was looked at: what drives the coil says: {error}"
    return Verdict("not_following", words)


_REVERSED: Final = {
    "fed": "it is wired the other way round: its load is fed while the coil is energised, so it "
    'is on NO. Wire it on NC, or write deenergised = "cut" and enrol the node again.',
    "cut": "it is wired the other way round: its load is fed while the coil is released, so it "
    'is on NC. Wire it on NO, or write deenergised = "fed" and enrol the node again.',
}
_STAYS: Final = (
    "it moved and did not come back: the contact sticks or is welded. Do not use this relay."
)
_UNCLEAR: Final = (
    "this fits no fault: does the load switch by itself? Let it run steadily, wait longer "
    "(--settle-s), and test again."
)
_DEAD: Final = (
    "the contact does not follow the coil: look at the wire to the coil's input and at the "
    "supply of the board; did you hear it click? If so, its contact is worn or its load is not "
    "wired to it"
)


def _unmoved(
    wiring: Wiring, positions: tuple[Levels, Levels, Levels], *, flows: bool, course: str
) -> Verdict:
    """Return why the load's power did not change."""
    found = _follower(wiring, positions)
    if found:
        words = f"the meter {wiring.load} does not see this load. {course}, but {found}"
        return Verdict("unseen", words)
    if flows and wiring.deenergised == "cut":
        words = (
            "current flows with the coil released: the contact is welded, or the load is wired "
            f"past it. {course}"
        )
        return Verdict("welded", words)
    if flows:
        return Verdict("not_following", f"{_DEAD}, or it is welded on NC. {course}")
    if wiring.deenergised == "cut":
        words = f"{_DEAD}, or the load itself is switched off. {course}"
        return Verdict("not_following", words)
    words = (
        f"the meter {wiring.load} does not see this load, or the load itself is switched off: "
        f"released, it should be fed. {course}"
    )
    return Verdict("unseen", words)


def _unmetered(wiring: Wiring, positions: tuple[Levels, Levels, Levels]) -> Verdict:
    found = _follower(wiring, positions)
    hint = f" By the way: {found}" if found else ""
    words = (
        "no meter is named as its load, so nothing can be said: look yourself whether the load "
        f"was {wiring.load_is(energised=False)}, then {wiring.load_is(energised=True)}, then "
        f"{wiring.load_is(energised=False)} again.{hint}"
    )
    return Verdict("unmetered", words)


def _follower(wiring: Wiring, positions: tuple[Levels, Levels, Levels]) -> str:
    """Return which other meter follows the contact, in words; empty if none does.

    Other loads come and go: it has to move there and back again by about the same.
    """
    names = sorted(set(positions[0]) & set(positions[1]) & set(positions[2]) - {wiring.load})
    for name in names:
        levels = [each[name] for each in positions]
        least_mw = _least_mw(wiring, levels)
        powers_mw = [level.power_mw for level in levels]
        steps = _steps(powers_mw, least_mw)
        if steps not in (wiring.expected, _turned(wiring.expected)):
            continue
        step_mw = abs(powers_mw[1] - powers_mw[0])
        if abs(powers_mw[2] - powers_mw[0]) <= max(least_mw, step_mw // 5):
            turned = "" if steps == wiring.expected else ", the other way round"
            return f"{name} follows the relay{turned}: {_course(powers_mw)}"
    return ""


def _least_mw(wiring: Wiring, levels: list[Level]) -> int:
    """Return the change that is none by chance. [mW]"""
    spread_mw = max(level.spread_mw for level in levels)
    return max(LEAST_MW, wiring.rated_mw // PART_OF_RATED, SPREADS * spread_mw)


def _steps(powers_mw: list[int], least_mw: int) -> tuple[int, int]:
    """Return which way power went, twice: -1, 0 or 1."""
    first, second, third = powers_mw
    return _direction(second - first, least_mw), _direction(third - second, least_mw)


def _direction(change_mw: int, least_mw: int) -> int:
    if abs(change_mw) < least_mw:
        return 0
    return 1 if change_mw > 0 else -1


def _turned(steps: tuple[int, int]) -> tuple[int, int]:
    return -steps[0], -steps[1]


def _rest(wiring: Wiring, powers_mw: list[int], least_mw: int) -> str:
    """Return what is left to say of a load that is cut and does not vanish."""
    left_mw = powers_mw[1] if wiring.deenergised == "fed" else max(powers_mw[0], powers_mw[2])
    if left_mw < least_mw:
        return ""
    return f". With the load cut {_watts(left_mw)} are left: it measures something else as well"


def _course(powers_mw: list[int]) -> str:
    released, energised, again = map(_watts, powers_mw)
    return f"{released} released, {energised} energised, {again} released again"


def _watts(power_mw: int) -> str:
    return f"{power_mw / 1000:.2f} W"
