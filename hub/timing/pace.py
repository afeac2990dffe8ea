"""What moves the hub's time on: a wall clock, or the testbed's instants. Same loop, same rules.

With the wall clock slots close when they are due and relays are looked at when samples came. In
simulation the testbed says when, and waits for the answer; leases run on real time in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hub.closing import COMPLETE, TIMEOUT, Closer
from hub.core.closing import missing_registers
from hub.link.hearing import Hearing
from hub.link.nodes import Newsroom
from hub.spine import Spine
from hub.switching.leases import RelayName
from hub.switching.switchboard import Clocks, Switchboard
from hub.timing.barrier import Barrier
from hub.timing.instants import InstantClient

CLOSING_MS_MAX = 100  # how long one turn may spend on slots that queued up
IDLE_MS = 200  # how long the loop sleeps at most: renewals, beacons and signals are due in it


def monotonic_ms() -> int:
    """Return the hub's own clock, which nobody sets. [ms]"""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Return UTC as this machine has it. [ms]"""
    return time.time_ns() // 1_000_000


class Pace(Protocol):
    """What the loop asks of time."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""

    def utc_ms(self) -> int:
        """Return the time to write into entries, and to judge the future by. [ms UTC]"""

    def wait_ms(self, now_ms: int) -> int:
        """Return how long the loop may sleep if nothing comes. [ms]"""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits, so that readings are taken at once."""

    def drive(self, now_ms: int) -> None:
        """Close what is due, and look at the relays if it is time to."""


class WallPace:
    """Real time: an installation."""

    is_awaited = False

    def __init__(self, closer: Closer, switchboard: Switchboard, news: Newsroom) -> None:
        self._closer = closer
        self._switchboard = switchboard
        self._news = news
        self._started_ms = monotonic_ms()
        self._is_behind = False

    def start(self) -> None:
        """Nothing to connect to."""

    def stop(self) -> None:
        """Nothing to hang up on."""

    def utc_ms(self) -> int:
        """Return UTC as this machine has it. [ms]"""
        return wall_ms()

    def wait_ms(self, now_ms: int) -> int:
        """Sleep until the next look at the relays; not at all while slots are behind."""
        if self._is_behind:
            return 0
        return min(self._switchboard.wait_ms(now_ms), IDLE_MS)

    def drive(self, now_ms: int) -> None:
        """Close the slots that are due; look at the relays when it is time to."""
        self._is_behind = self._close_some(now_ms)
        if self._switchboard.wait_ms(now_ms) <= 0:
            self._switchboard.decide(Clocks(now_ms, self.utc_ms()))

    def _close_some(self, now_ms: int) -> bool:
        """Close what is due, for a while; after a long absence relays come in between."""
        ends_ms = monotonic_ms() + CLOSING_MS_MAX
        while self._closer.close_due(self._news, self.utc_ms(), now_ms, self._started_ms):
            if monotonic_ms() >= ends_ms:
                return True
        return False


class SimulatedPace:
    """Simulated time: the testbed's barrier. Also does the barrier's work on the hub's parts."""

    def __init__(
        self,
        socket: Path,
        spine: Spine,
        closer: Closer,
        switchboard: Switchboard,
        hearing: Hearing,
        wake: Callable[[], None],
    ) -> None:
        self._spine = spine
        self._closer = closer
        self._switchboard = switchboard
        self._hearing = hearing
        self._client = InstantClient(socket, wake)
        self._barrier = Barrier(self, self._client.answer)

    def start(self) -> None:
        """Join the testbed's clock."""
        self._client.start()

    def stop(self) -> None:
        """Leave the testbed's clock."""
        self._client.stop()

    @property
    def is_awaited(self) -> bool:
        """Whether the testbed waits for an answer."""
        return self._client.waiting is not None

    def utc_ms(self) -> int:
        """Return the newest instant; before the first, this machine's clock. [ms]"""
        newest_ms = self._barrier.newest_ms
        return wall_ms() if newest_ms is None else newest_ms

    def wait_ms(self, now_ms: int) -> int:
        """Sleep shortly: whatever comes wakes the loop."""
        return IDLE_MS

    def drive(self, now_ms: int) -> None:
        """Go on with the instant that waits."""
        self._barrier.serve(self._client.waiting, now_ms)

    # --- what the barrier needs ------------------------------------------------------------

    def reached(self, kid: bytes, stream: str) -> int:
        """Return how far a stream is folded, or heard."""
        return self._spine.reached(kid, stream)

    def missing_for(self, slot_ms: int) -> tuple[str, ...]:
        """Return the meters whose register at the end of this slot is not in."""
        return missing_registers(self._spine.recorder.state, slot_ms)

    def close_for(self, slot_ms: int, at_ms: int) -> tuple[str, ...]:
        """Close this slot and those before it, in order; return the meters that were estimated."""
        state = self._spine.recorder.state
        next_ms = state.progress.next_slot_ms
        estimated: set[str] = set()
        for start_ms in range(slot_ms if next_ms is None else next_ms, slot_ms + 1, state.slot_ms):
            missing = missing_registers(state, start_ms)
            estimated.update(missing)
            self._closer.close(start_ms, TIMEOUT if missing else COMPLETE, at_ms)
        return tuple(sorted(estimated))

    def decide_for(self, at_ms: int) -> None:
        """Ask the dispatch policy, and send what it changes."""
        now_ms = monotonic_ms()
        self._switchboard.decide_at_instant(Clocks(now_ms, at_ms))
        self._switchboard.renew(now_ms)

    def unsettled(self) -> tuple[RelayName, ...]:
        """Return the relays whose contact is not yet where its order wants it."""
        return self._switchboard.unsettled(monotonic_ms())

    def take_moved(self) -> int:
        """Return how many contacts moved since the last call."""
        return self._hearing.take_moved()
