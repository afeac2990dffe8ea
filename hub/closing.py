"""When a slot closes, and what is appended when it does.

All registers in, or waited long enough. Waiting counts the hub's own uptime: registers that queued
up on the edges while the hub was down get their chance before anything is estimated.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hub.config import SlotSettings
from hub.core.closing import missing_registers
from hub.core.effects import SlotSettled
from hub.core.headers import in_turn
from hub.core.state import State
from hub.ledger.records import NewEntry
from hub.link.nodes import Newsroom
from hub.pen import Pen
from hub.sealing import seal_of
from hub.spine import Spine
from messages.entries import Close

COMPLETE = "complete"
TIMEOUT = "timeout"

log = logging.getLogger("hub.closing")


@dataclass(frozen=True, slots=True)
class CloseRule:
    """How long a slot is waited for after its end, and how long if a node announced a backlog."""

    slot_ms: int
    close_after_ms: int
    backlog_wait_ms: int

    @classmethod
    def of(cls, slots: SlotSettings) -> CloseRule:
        """Return the rule of a configuration."""
        return cls(slots.slot_ms, slots.close_after_ms, slots.backlog_wait_ms)

    def reason(self, wait: Wait) -> str | None:
        """Why the slot closes now; None if it does not yet."""
        if wait.missing == 0:
            return COMPLETE
        waited_ms = min(wait.wall_ms - wait.end_ms, wait.uptime_ms)
        longest_ms = self.close_after_ms
        if wait.backlog:
            longest_ms = max(longest_ms, self.backlog_wait_ms)
        return TIMEOUT if waited_ms >= longest_ms else None


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


class Closer:
    """Closes slots in order: seal and close, and the block header where no replica proposes it."""

    def __init__(self, spine: Spine, pen: Pen, rule: CloseRule) -> None:
        self._spine = spine
        self._pen = pen
        self._rule = rule

    def close_due(self, news: Newsroom, wall_ms: int, now_ms: int, started_ms: int) -> bool:
        """Close the next slot if it is due; True if it was, so that the caller asks again."""
        state = self._spine.recorder.state
        start_ms = next_slot(state)
        if start_ms is None:
            return False
        missing = missing_registers(state, start_ms)
        late = {state.meters[meter_id].node for meter_id in missing}
        wait = Wait(
            end_ms=start_ms + self._rule.slot_ms,
            wall_ms=wall_ms,
            uptime_ms=now_ms - started_ms,
            missing=len(missing),
            backlog=any(news.has_backlog(node, now_ms) for node in late),
        )
        reason = self._rule.reason(wait)
        if reason is None:
            return False
        self.close(start_ms, reason, wall_ms)
        return True

    def close(self, start_ms: int, reason: str, at_ms: int) -> None:
        """Seal the packs, close the slot, settle it, and put the state root on the ledger."""
        recorder = self._spine.recorder
        missing = missing_registers(recorder.state, start_ms)
        packs = recorder.store.packs.pending()
        entries: list[NewEntry] = []
        if packs:
            entries.append(self._pen.entry(seal_of(start_ms, packs)))
        entries.append(self._pen.entry(Close(start_ms, reason, missing, at_ms)))
        sealed = [(pack.kid, pack.sequence) for pack in packs]
        recorded = self._spine.record(entries, sealed=sealed)
        self._spine.receipts.note_sealed(packs, recorded.indices[0])
        self.add_headers()
        for effect in recorded.effects:
            if isinstance(effect, SlotSettled):
                _say(effect, missing)

    def add_headers(self) -> None:
        """Append the block header of every close that has none yet, while nobody else can."""
        recorder = self._spine.recorder
        while recorder.state.dues and not in_turn(recorder.state):
            header = recorder.next_header()
            if header is not None:
                self._spine.record([self._pen.entry(header)])


def next_slot(state: State) -> int | None:
    """Return the start of the slot that closes next; the first begins at the first register."""
    if state.progress.next_slot_ms is not None:
        return state.progress.next_slot_ms
    return min((cursor.at_ms for cursor in state.cursors.values()), default=None)


def _say(settled: SlotSettled, missing: tuple[str, ...]) -> None:
    lacking = f"; estimated: {', '.join(missing)}" if missing else ""
    failure = f"; the contract failed: {settled.failure}" if settled.failure else ""
    log.info(
        "slot %d closed (%s): %d uWh matched, %d uWh curtailed%s%s",
        settled.slot_ms,
        settled.reason,
        settled.matched_uwh,
        settled.curtailed_uwh,
        lacking,
        failure,
    )
