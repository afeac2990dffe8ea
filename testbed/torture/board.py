"""What the simulated board saw: every level that anybody drove on any pin, and when."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from testbed.faults.processes import boottime_ms

Contact = tuple[str, int]
"""Node and BCM number."""


@dataclass(frozen=True, slots=True)
class Move:
    """A level that was driven. [ms boottime]"""

    at_ms: float
    contact: Contact
    high: bool


@dataclass(slots=True)
class Board:
    """The history of every pin. Told by the thread of the wires, asked by another."""

    history: list[Move] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, node: str, pin: int, high: bool) -> None:
        """Note that a pin is driven."""
        with self._changed:
            self.history.append(Move(boottime_ms(), (node, pin), high))
            self._changed.notify_all()

    def are(self, contacts: Iterable[Contact], *, high: bool) -> bool:
        """Whether all of these pins have this level."""
        levels = {move.contact: move.high for move in self.history}
        return all(levels.get(contact) == high for contact in contacts)

    def is_high(self, contact: Contact) -> bool:
        """Whether a pin is high."""
        return self.are([contact], high=True)

    def fell_ms(self, contact: Contact) -> float | None:
        """Return when a pin became low that is low now; None if it is high, or never moved."""
        at_ms: float | None = None
        for move in self.history:
            if move.contact == contact:
                at_ms = None if move.high else move.at_ms if at_ms is None else at_ms
        return at_ms

    def driven_high_since(self, place: int) -> set[Contact]:
        """Return the pins that were driven high since a place in the history."""
        return {move.contact for move in self.history[place:] if move.high}

    def moves_since(self, place: int, contacts: Iterable[Contact]) -> list[Move]:
        """Return where the level of these pins really changed since a place in the history."""
        wanted, changed = frozenset(contacts), []
        levels = {move.contact: move.high for move in self.history[:place]}
        for move in self.history[place:]:
            if move.contact in wanted and levels.get(move.contact, False) != move.high:
                changed.append(move)
            levels[move.contact] = move.high
        return changed

    def wait(self, claim: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds of the history; return whether it came to that."""
        with self._changed:
            return self._changed.wait_for(claim, seconds)
