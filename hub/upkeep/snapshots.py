"""Which stored snapshot may be believed: one whose root a block header on the ledger names."""

from __future__ import annotations

from hub.core.errors import SnapshotUnreadable
from hub.core.events import read_event
from hub.core.state import State
from hub.ledger.log import Log
from hub.ledger.records import Snapshot
from messages.entries import BlockHeader


def vouched_state(log: Log, snapshot: Snapshot) -> State:
    """Return the state in a snapshot that the ledger vouches for.

    Raises:
        SnapshotUnreadable: it cannot be read, or is not what a block header says.
    """
    state = State.loads(snapshot.body)
    if state.root() != snapshot.root or snapshot.root not in _roots_on_ledger(log, snapshot.size):
        raise SnapshotUnreadable("it is not what its block header says")
    return state


def _roots_on_ledger(log: Log, size: int) -> list[bytes]:
    """Return the state roots that block headers name for the close that a snapshot follows.

    There can be wrong ones before the one that counts.
    """
    headers = log.of_kind(BlockHeader.KIND, size)
    bodies = (read_event(entry.index, entry.raw).body for entry in headers)
    return [
        body.state_root
        for body in bodies
        if isinstance(body, BlockHeader) and body.end_index == size
    ]
