"""What comes next in each stream: the one place that turns verified messages into an order. Pure.

Admitted is the next contiguous sequence of a (key, stream), and nothing else (reliability D2): so
duplicates, replays, reordering and resends are harmless. It stores nothing; the store tells it the
truth at the start and after a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub.intake import Refused, Verified
from hub.ledger.records import NewEntry, NewPack
from messages import cose
from messages.errors import MessageError

WINDOW: Final = 16  # early messages held for each stream
WINDOWS_MAX: Final = 4_096  # held in all


@dataclass(frozen=True, slots=True)
class Admitted:
    """These follow in their stream, in this order: append them. The first is what was offered."""

    messages: tuple[Verified, ...]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """It is stored already, or its place is a gap: answer with the receipt."""

    message: Verified | Refused


@dataclass(frozen=True, slots=True)
class Early:
    """Something before it is missing; `is_held` says whether it need not be sent again."""

    message: Verified | Refused
    expected: int
    is_held: bool


@dataclass(frozen=True, slots=True)
class Equivocation:
    """One key signed two contents for one place: evidence. `stored` came first."""

    message: Verified
    stored: bytes


@dataclass(frozen=True, slots=True)
class GapNeeded:
    """The next of this stream can never be admitted: append a gap, then `skip`, then refuse it."""

    refused: Refused


Verdict = Admitted | Duplicate | Early | Equivocation | GapNeeded
Place = tuple[bytes, str]  # (kid, stream)


class Sequencer:
    """Owns what comes next in each stream. One exists, and it is told the truth by the store.

    Args:
        head: (kid, stream) -> the highest sequence that is used up, 0 if none; asked once a stream.
        stored: (kid, stream, sequence) -> the stored bytes, None if there are none.
    """

    def __init__(
        self,
        head: Callable[[bytes, str], int],
        stored: Callable[[bytes, str, int], bytes | None],
    ) -> None:
        self._head = head
        self._stored = stored
        self._next: dict[Place, int] = {}
        self._windows: dict[Place, dict[int, Verified]] = {}
        self._recent: dict[tuple[bytes, str, int], bytes] = {}  # admitted, maybe not committed
        self._live: dict[bytes, int] = {}
        self._held = 0

    def admit(self, message: Verified | Refused) -> Verdict:
        """Judge the order of one message of an ordered stream (ORDERED).

        What is admitted counts as used up from here on: append it, or `forget` if that failed.
        """
        place = (message.kid, message.stream)
        expected = self.expected(place, message.first_sequence)
        if message.sequence < expected:
            return self._judge_old(message)
        if isinstance(message, Refused):
            if message.sequence == expected:
                return GapNeeded(message)
            return Early(message, expected, is_held=False)
        if message.sequence > expected:
            return self._hold(place, message, expected)
        return Admitted(self._advance(place, message))

    def expected(self, place: Place, first_sequence: int = 1) -> int:
        """Return the sequence that comes next in a stream."""
        known = self._next.get(place)
        if known is None:
            known = max(self._head(*place) + 1, first_sequence)
            self._next[place] = known
        return known

    def skip(self, place: Place, last: int) -> tuple[Verified, ...]:
        """Pass over the sequences up to `last`, which a gap covers; return who follows now."""
        if self.expected(place) > last:
            return ()
        self._next[place] = last + 1
        window = self._windows.get(place, {})
        for sequence in [held for held in window if held <= last]:
            del window[sequence]
            self._held -= 1
        return self._follow(place)

    def committed(self) -> None:
        """Say that all that was admitted is stored, so that `stored` can be asked for it."""
        self._recent.clear()

    def forget(self) -> None:
        """Begin anew from the store: what was admitted last may not have been stored."""
        self._next.clear()
        self._windows.clear()
        self._recent.clear()
        self._held = 0

    def is_fresh(self, live: Verified) -> bool:
        """Say whether a live sample is newer than all before of its key; remember it if so."""
        if live.sequence <= self._live.get(live.kid, 0):
            return False
        self._live[live.kid] = live.sequence
        return True

    def newest_live(self, kid: bytes) -> int:
        """Return the sequence of a key's newest live sample, 0 if there was none."""
        return self._live.get(kid, 0)

    def _judge_old(self, message: Verified | Refused) -> Duplicate | Equivocation:
        if isinstance(message, Refused):
            return Duplicate(message)
        key = (message.kid, message.stream, message.sequence)
        stored = self._recent.get(key) or self._stored(*key)
        if not stored or has_same_content(stored, message.raw):
            return Duplicate(message)
        return Equivocation(message, stored)

    def _hold(self, place: Place, message: Verified, expected: int) -> Early | Equivocation:
        window = self._windows.setdefault(place, {})
        held = window.get(message.sequence)
        if held is not None:
            if has_same_content(held.raw, message.raw):
                return Early(message, expected, is_held=True)
            return Equivocation(message, held.raw)
        if message.sequence - expected > WINDOW or self._held >= WINDOWS_MAX:
            return Early(message, expected, is_held=False)
        window[message.sequence] = message
        self._held += 1
        return Early(message, expected, is_held=True)

    def _advance(self, place: Place, message: Verified) -> tuple[Verified, ...]:
        self._next[place] = message.sequence + 1
        self._recent[message.kid, message.stream, message.sequence] = message.raw
        window = self._windows.get(place)
        if not window:
            return (message,)
        if window.pop(message.sequence, None):
            self._held -= 1
        return (message, *self._follow(place))

    def _follow(self, place: Place) -> tuple[Verified, ...]:
        window = self._windows.get(place, {})
        following = []
        while (ready := window.pop(self._next[place], None)) is not None:
            self._held -= 1
            self._next[place] += 1
            self._recent[ready.kid, ready.stream, ready.sequence] = ready.raw
            following.append(ready)
        return tuple(following)


def has_same_content(one: bytes, other: bytes) -> bool:
    """Say whether two messages have the same protected header and payload.

    Signatures do not count: for one ES256 content there are many.
    """
    if one == other:
        return True
    try:
        left, right = cose.parse(one), cose.parse(other)
    except MessageError:
        return False
    return (left.protected, left.payload) == (right.protected, right.payload)


def as_entry(message: Verified) -> NewEntry:
    """Return a message of the log as the store takes it: registers, a node's events, calls."""
    return NewEntry(
        message.raw,
        message.leaf_hash,
        message.kid,
        message.kind,
        message.stream if message.sequence else "",
        message.sequence or None,
        message.preimage,
    )


def as_pack(message: Verified) -> NewPack:
    """Return a telemetry message as the store takes it, dated by its last sample."""
    return NewPack(message.raw, message.leaf_hash, message.kid, message.sequence, message.at_ms)
