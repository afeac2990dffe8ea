"""When a slot closes: all registers in, or waited long enough. Pure; the loop passes the clocks in.

Waiting counts the hub's own uptime: registers that queued up on the edges while the hub was down
get their chance before anything is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

COMPLETE = "complete"
DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class CloseRule:
    """How long a slot is waited for after its end, and how long if a node announced a backlog."""

    slot_ms: int
    close_after_ms: int
    backlog_wait_ms: int

    def reason(self, wait: Wait) -> str | None:
        """Why the slot closes now; None if it does not yet."""
        if wait.missing == 0:
            return COMPLETE
        waited_ms = min(wait.wall_ms - wait.end_ms, wait.uptime_ms)
        longest_ms = self.close_after_ms
        if wait.backlog:
            longest_ms = max(longest_ms, self.backlog_wait_ms)
        return DEADLINE if waited_ms >= longest_ms else None


@dataclass(frozen=True, slots=True)
class Wait:
    """One slot that wants to close: its end, the clocks, and how many registers it lacks.

    `backlog`: a node that lacks a register has said in its hello that it has more to send.
    """

    end_ms: int
    wall_ms: int
    uptime_ms: int
    missing: int
    backlog: bool
