"""The fold as a command sees it: from the newest snapshot on, reading only."""

from __future__ import annotations

from contextlib import suppress

from hub.core.effects import CallFailed, Effect
from hub.core.errors import SnapshotUnreadable
from hub.core.events import read_event
from hub.core.state import State
from hub.core.step import step
from hub.ledger.log import Log
from hub.market.catalog import installed


class Follower:
    """Owns a state that follows a ledger. Whether the ledger is right, `verify` and `audit` say."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._contracts = installed()
        self.state, self._at = _newest(log)
        self.advance()

    def advance(self) -> list[Effect]:
        """Fold what is new, and return what it did."""
        found: list[Effect] = []
        for entry in self._log.entries(self._at):
            event = read_event(entry.index, entry.raw, entry.preimage)
            outcome = step(self.state, event, self._contracts)
            self.state.apply(outcome.changes)
            found += outcome.effects
            self._at = entry.index + 1
        return found


def why_failed(effects: list[Effect], call_id: bytes) -> str:
    """Return why a call was not served, empty if it was."""
    for effect in effects:
        if isinstance(effect, CallFailed) and effect.call_id == call_id:
            return effect.reason
    return ""


def _newest(log: Log) -> tuple[State, int]:
    for snapshot in log.snapshots():
        with suppress(SnapshotUnreadable):
            state = State.loads(snapshot.body)
            if state.root() == snapshot.root:
                return state, snapshot.size
    return State(), 0
