"""The hub's side of simulated time: an instant is done when all of it is folded and switched.

For each request: wait until what the edges signed is here, close the slot if asked, decide once,
wait until contacts are where the leases want them, answer. Real time bounds every wait, so that a
dead edge or guard delays simulated time and never stops it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hub.switching.leases import RelayName
from hub.timing.instants import Instant

SWITCH_WAIT_MS = 2_000

log = logging.getLogger("hub.timing.barrier")


class Work(Protocol):
    """What the barrier needs of the hub."""

    def reached(self, kid: bytes, stream: str) -> int:
        """Return the highest sequence of a stream that is folded, or seen if it is live."""

    def close_for(self, slot_ms: int, at_ms: int) -> tuple[str, ...]:
        """Close this slot and those before it; return the meters that were estimated."""

    def missing_for(self, slot_ms: int) -> tuple[str, ...]:
        """Return the meters whose register at the end of this slot is not in."""

    def decide_for(self, at_ms: int) -> None:
        """Ask the dispatch policy, append and publish what changes."""

    def unsettled(self) -> tuple[RelayName, ...]:
        """Return the relays whose contact is not yet where its order wants it."""

    def take_moved(self) -> int:
        """Return how many contacts moved since the last call."""


@dataclass(slots=True)
class _Run:
    """One instant on its way."""

    instant: Instant
    started_ms: int
    late: tuple[str, ...] = ()
    decided_ms: int | None = None


class Barrier:
    """Takes one instant at a time from request to answer."""

    def __init__(self, work: Work, answer: Callable[[Instant, int, tuple[str, ...]], None]) -> None:
        self._work = work
        self._answer = answer
        self._run: _Run | None = None
        self._newest_ms: int | None = None

    @property
    def newest_ms(self) -> int | None:
        """The newest instant that was asked for: simulated now. [ms UTC]"""
        return self._newest_ms

    def serve(self, waiting: Instant | None, now_ms: int) -> None:
        """Go on with the request that waits, as far as it goes now."""
        run = self._run
        if run is None or run.instant is not waiting:
            if waiting is None:
                self._run = None
                return
            run = self._run = _Run(waiting, now_ms)
            self._newest_ms = max(waiting.at_ms, self._newest_ms or 0)
        if run.decided_ms is None and not self._fold(run, now_ms):
            return
        if self._is_switched(run, now_ms):
            self._run = None
            self._answer(run.instant, self._work.take_moved(), run.late)

    def _fold(self, run: _Run, now_ms: int) -> bool:
        """Fold, close and decide; False while something is to be waited for."""
        instant = run.instant
        overdue = now_ms - run.started_ms >= instant.deadline_ms
        late = self._late(instant)
        if late and not overdue:
            return False
        if instant.close_ms is not None:
            if self._work.missing_for(instant.close_ms) and not overdue:
                return False
            late += self._work.close_for(instant.close_ms, instant.at_ms)
        if late:
            log.warning("instant %d went on without: %s", instant.at_ms, ", ".join(late[:10]))
        run.late = late
        self._work.decide_for(instant.at_ms)
        run.decided_ms = now_ms
        return True

    def _late(self, instant: Instant) -> tuple[str, ...]:
        return tuple(
            f"{kid.hex()} {stream} {sequence}"
            for kid, stream, sequence in instant.heads
            if self._work.reached(kid, stream) < sequence
        )

    def _is_switched(self, run: _Run, now_ms: int) -> bool:
        if run.decided_ms is None:
            return False
        if now_ms - run.decided_ms >= SWITCH_WAIT_MS:
            return True
        return not self._work.unsettled()
