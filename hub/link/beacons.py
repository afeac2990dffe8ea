"""Sixteen random bytes a second: the one clock that a node cannot set.

A live sample echoes the newest beacon its node saw. Its age is the time since that beacon went
out, on the hub's own monotonic clock; a beacon the hub does not know means stale.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

PERIOD_MS = 1_000
KEPT = 64  # a minute: older than any lease, so older than any use


class Beacons:
    """The beacons sent lately and when, newest last."""

    def __init__(self, draw: Callable[[], bytes]) -> None:
        self._draw = draw
        self._sent_ms: OrderedDict[bytes, int] = OrderedDict()

    def next(self, now_ms: int) -> bytes | None:
        """Return a fresh beacon if a second has passed since the last one, else None."""
        if self._sent_ms and now_ms - next(reversed(self._sent_ms.values())) < PERIOD_MS:
            return None
        beacon = self._draw()
        self._sent_ms[beacon] = now_ms
        while len(self._sent_ms) > KEPT:
            self._sent_ms.popitem(last=False)
        return beacon

    def sent_ms(self, beacon: bytes) -> int | None:
        """When this beacon went out on the hub's monotonic clock; None if it is not known. [ms]"""
        return self._sent_ms.get(beacon)

    def age_ms(self, beacon: bytes, now_ms: int) -> int | None:
        """Age of a sample that echoes this beacon; None if it is not known. [ms]"""
        sent_ms = self.sent_ms(beacon)
        return None if sent_ms is None else now_ms - sent_ms
