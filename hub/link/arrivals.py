"""What came in and waits for the one loop: urgent before bulk, both bounded.

The only place where threads meet the loop. Bulk that does not fit is dropped and counted: the edge
still has it and sends it again, since only a receipt lets it forget.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

URGENT_MAX = 20_000
BULK_MAX = 20_000
BATCH_MAX = 500


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message from the broker, not yet looked at."""

    node: str
    channel: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What one turn of the loop takes: all that is urgent, at most BATCH_MAX of the rest."""

    urgent: tuple[Arrival, ...] = ()
    bulk: tuple[Arrival, ...] = ()


class Arrivals:
    """A bounded two-lane queue. Any thread puts, the loop takes."""

    def __init__(self, *, linger_s: float, clock_s: Callable[[], float]) -> None:
        self._linger_s = linger_s
        self._clock_s = clock_s
        self._urgent: deque[Arrival] = deque()
        self._bulk: deque[Arrival] = deque()
        self._bulk_since_s = 0.0
        self._woken = False
        self._changed = threading.Condition()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many messages found no room since the start."""
        return self._dropped

    def put(self, arrival: Arrival, *, urgent: bool) -> bool:
        """Add one message; False if it found no room. An urgent lane drops its oldest instead."""
        with self._changed:
            if urgent:
                if len(self._urgent) >= URGENT_MAX:
                    self._urgent.popleft()
                    self._dropped += 1
                self._urgent.append(arrival)
            elif len(self._bulk) >= BULK_MAX:
                self._dropped += 1
                return False
            else:
                if not self._bulk:
                    self._bulk_since_s = self._clock_s()
                self._bulk.append(arrival)
            self._changed.notify()
            return True

    def wake(self) -> None:
        """Let a waiting `take` return now: something besides messages wants the loop."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(self, timeout_s: float, *, at_once: bool = False) -> Batch:
        """Wait for work and take it.

        Bulk waits up to `linger_s` for company, so that a trickle costs few disk syncs; urgent
        messages, a full batch or `at_once` end the wait.
        """
        linger_s = 0.0 if at_once else self._linger_s
        deadline_s = self._clock_s() + timeout_s
        with self._changed:
            while not self._is_due(linger_s):
                left_s = self._left_s(deadline_s, linger_s)
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            self._woken = False
            return Batch(self._take_urgent(), self._take_bulk(linger_s))

    def _is_due(self, linger_s: float) -> bool:
        return bool(self._urgent) or self._woken or self._bulk_is_due(linger_s)

    def _bulk_is_due(self, linger_s: float) -> bool:
        if not self._bulk:
            return False
        waited_s = self._clock_s() - self._bulk_since_s
        return len(self._bulk) >= BATCH_MAX or waited_s >= linger_s

    def _left_s(self, deadline_s: float, linger_s: float) -> float:
        now_s = self._clock_s()
        left_s = deadline_s - now_s
        if self._bulk:
            left_s = min(left_s, self._bulk_since_s + linger_s - now_s)
        return left_s

    def _take_urgent(self) -> tuple[Arrival, ...]:
        urgent = tuple(self._urgent)
        self._urgent.clear()
        return urgent

    def _take_bulk(self, linger_s: float) -> tuple[Arrival, ...]:
        if not self._bulk_is_due(linger_s):
            return ()
        count = min(len(self._bulk), BATCH_MAX)
        bulk = tuple(self._bulk.popleft() for _ in range(count))
        self._bulk_since_s = self._clock_s() if not self._bulk else self._bulk_since_s
        return bulk
