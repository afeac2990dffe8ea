"""What a scan found: a device in a place, what it is believed to be, how surely, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Sure(IntEnum):
    """How sure a belief is; more is surer."""

    UNKNOWN = 0
    POSSIBLE = 1
    LIKELY = 2
    CERTAIN = 3

    @property
    def word(self) -> str:
        """The word for it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Place:
    """One bus: its kind, and what its kind needs to be opened."""

    kind: str
    options: tuple[tuple[str, object], ...]

    @property
    def short(self) -> str:
        """The bus in few words, for a table."""
        given = dict(self.options)
        if "host" in given:
            return f"{given['host']}:{given['port']}"
        name = str(given.get("device", "")).rpartition("/")[2]
        if "baud" not in given:
            return name
        return f"{name} {given['baud']} 8{given['parity']}{given['stopbits']}"


def place(kind: str, **options: object) -> Place:
    """Return a place; its options keep their order."""
    return Place(kind, tuple(options.items()))


@dataclass(frozen=True, slots=True)
class Belief:
    """One thing that a device may be.

    Attributes:
        model: a name of the catalog; empty if it is none of them.
        sure: how surely.
        why: what speaks for it.
        options: what the configuration of this model can take from it.
    """

    model: str
    sure: Sure
    why: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One device that answered; `address` is None on a line that has only one."""

    place: Place
    address: int | None
    beliefs: tuple[Belief, ...]
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def best(self) -> Belief:
        """The surest belief."""
        return self.beliefs[0] if self.beliefs else UNKNOWN

    @property
    def others(self) -> tuple[Belief, ...]:
        """What it could be else."""
        return self.beliefs[1:]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "bus": {"kind": self.place.kind, **dict(self.place.options)},
            "address": self.address,
            "model": self.best.model or None,
            "sure": self.best.sure.word,
            "why": self.best.why,
            "could_be": [
                {"model": each.model, "sure": each.sure.word, "why": each.why}
                for each in self.others
            ],
            "facts": dict(self.facts),
        }


UNKNOWN = Belief("", Sure.UNKNOWN, "it answers, but as no device that we know")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A place that could not be scanned, or where something is wrong."""

    where: str
    why: str


def ranked(beliefs: list[Belief]) -> tuple[Belief, ...]:
    """Return beliefs, the surest first; equally sure ones keep their order."""
    return tuple(sorted(beliefs, key=lambda each: -each.sure))


def printable(text: object) -> str:
    """Return a device's own text without anything that would not stay on its line."""
    kept = "".join(each if each.isprintable() else " " for each in str(text))
    return " ".join(kept.split())
