"""Loads that may wait for cheaper slots: when to run by the tariff. Pure.

A shiftable load has a window in each day and needs some time in it. It takes the cheapest slots
that are left, of equal ones the earliest, and runs at once when the rest of the window is no more
than it needs, or when no tariff is known for now. All this is only asked of the hub, in the node's
signed status: a contact moves by a lease and not otherwise, and minimum times and limits stand
above any wish.

What it asks for is judged anew at each look from what the contact really did: a load that was cut
meanwhile takes later slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from messages.slots import slot_start
from messages.status import REST, RUN, WAIT, RelayStatus
from messages.tariff import Tariff

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
UNTOLD: Final = 1 << 62
"""The price of a slot that the tariff says nothing of: the dearest."""


class Shift(NamedTuple):
    """When a load may run, and how long it has to: minutes of the day (UTC), and ms.

    `deenergised`: what the load gets while its coil is off, "fed" or "cut".
    """

    from_minute: int
    until_minute: int
    run_ms: int
    deenergised: str


class Span(NamedTuple):
    """A window on the calendar, half-open. [ms UTC]"""

    start_ms: int
    end_ms: int


def time_complaint(text: str) -> str:
    """Return what is wrong with a time of day, or an empty text.

    >>> time_complaint("22:00"), time_complaint("24:00")
    ('', '"24:00" is no time of day like 22:00 (UTC)')
    """
    hours, colon, minutes = text.partition(":")
    is_plain = len(hours) == len(minutes) == 2 and (hours + minutes).isdecimal()
    if colon and is_plain and int(hours) < 24 and int(minutes) < 60:
        return ""
    return f'"{text}" is no time of day like 22:00 (UTC)'


def minute_of(text: str) -> int:
    """Return the minute of the day of a time that `time_complaint` has nothing against."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def window_at(shift: Shift, at_ms: int) -> Span | None:
    """Return the window that an instant lies in; one that ends before it begins crosses midnight.

    >>> window_at(Shift(1320, 360, 0, "cut"), 23 * 3_600_000)
    Span(start_ms=79200000, end_ms=108000000)
    """
    day_ms = at_ms - at_ms % DAY_MS
    length = (shift.until_minute - shift.from_minute) % (DAY_MS // MINUTE_MS)
    length_ms = (length or DAY_MS // MINUTE_MS) * MINUTE_MS
    for start_ms in (day_ms, day_ms - DAY_MS):
        begin_ms = start_ms + shift.from_minute * MINUTE_MS
        if begin_ms <= at_ms < begin_ms + length_ms:
            return Span(begin_ms, begin_ms + length_ms)
    return None


def cheapest(
    tariff: Tariff | None, slot_ms: int, at_ms: int, end_ms: int, needed_ms: int
) -> tuple[int, ...]:
    """Return the starts of the slots to run in, in order: cheap ones first, then early ones.

    Where no price is told for the slot of now, the earliest are taken.
    """
    first_ms = slot_start(at_ms, slot_ms)
    is_told = tariff is not None and tariff.expected_at(first_ms) is not None
    ranked = []
    for start_ms in range(first_ms, end_ms, slot_ms):
        price = tariff.expected_at(start_ms) if tariff is not None and is_told else 0
        ranked.append((UNTOLD if price is None else price, start_ms))
    taken, left_ms = [], needed_ms
    for _, start_ms in sorted(ranked):
        if left_ms <= 0:
            break
        taken.append(start_ms)
        left_ms -= min(start_ms + slot_ms, end_ms) - max(start_ms, at_ms)
    return tuple(sorted(taken))


@dataclass(slots=True)
class _Job:
    """One load in one window. `wish`: what is asked for it now."""

    window: Span | None = None
    served_ms: int = 0
    was_fed: bool = False
    wish: str = REST


class Shifting:
    """Owns what each shiftable load still needs in its window, and the newest tariff."""

    def __init__(self, shifts: Mapping[str, Shift], slot_ms: int) -> None:
        """Take relay -> when its load may run."""
        self._shifts = dict(shifts)
        self._slot_ms = slot_ms
        self._jobs = {relay: _Job() for relay in self._shifts}
        self._looked_ms: int | None = None
        self.tariff: Tariff | None = None

    def take(self, tariff: Tariff, at_ms: int) -> bool:
        """Take a tariff in; False if its slots are not ours, or a newer one tells of now.

        One that says nothing of now, as from a hub whose clock was wrong, gives way to any.
        """
        if tariff.slot_ms != self._slot_ms:
            return False
        newest = self.tariff
        if newest is not None and self.is_told(at_ms) and tariff.made_ms <= newest.made_ms:
            return False
        self.tariff = tariff
        return True

    def is_told(self, at_ms: int) -> bool:
        """Whether the tariff says what now costs."""
        slot_ms = slot_start(at_ms, self._slot_ms)
        return self.tariff is not None and self.tariff.expected_at(slot_ms) is not None

    def look(self, at_ms: int, relays: tuple[RelayStatus, ...]) -> dict[str, str]:
        """Count how long loads ran since the last look; return the wishes that are new."""
        passed_ms = 0 if self._looked_ms is None else at_ms - self._looked_ms
        self._looked_ms = at_ms
        energised = {each.relay: each.energised for each in relays}
        changed = {}
        for relay in sorted(self._shifts):
            job, shift = self._jobs[relay], self._shifts[relay]
            if job.was_fed and 0 < passed_ms <= self._slot_ms:
                job.served_ms += passed_ms
            on = energised.get(relay)
            job.was_fed = on is not None and on == (shift.deenergised == "cut")
            wish = self._wish(job, shift, at_ms)
            if wish != job.wish:
                changed[relay] = job.wish = wish
        return changed

    def _wish(self, job: _Job, shift: Shift, at_ms: int) -> str:
        window = window_at(shift, at_ms)
        if window != job.window:
            job.window, job.served_ms = window, 0
        if window is None or job.served_ms >= shift.run_ms:
            return REST
        needed_ms = shift.run_ms - job.served_ms
        planned = cheapest(self.tariff, self._slot_ms, at_ms, window.end_ms, needed_ms)
        if slot_start(at_ms, self._slot_ms) in planned:
            return RUN
        return WAIT if at_ms < window.start_ms + shift.run_ms else REST

    def told(self, relays: tuple[RelayStatus, ...]) -> tuple[RelayStatus, ...]:
        """Return how relays stand, with what is wished for those that are shiftable."""
        return tuple(
            replace(each, wish=self._jobs[each.relay].wish) if each.relay in self._jobs else each
            for each in relays
        )
