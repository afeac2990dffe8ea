"""The ledger and what it folds to, kept together: append first, step second, books third.

The one place through which an entry gets onto the ledger. A start loads the newest snapshot whose
root stands in a block header, and replays the rest; a crash between two of these steps repeats the
later one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from hub.bookkeeping import rows_of
from hub.core.clearing import Contracts
from hub.core.effects import Effect, HeaderFollows
from hub.core.errors import SnapshotUnreadable
from hub.core.events import Event, read_event
from hub.core.headers import draft_header, next_header
from hub.core.state import State
from hub.core.step import objection_to, step
from hub.errors import LedgerCorrupt
from hub.ledger.books import BookRow
from hub.ledger.records import Checkpoint, NewEntry, NewPack, Snapshot
from hub.ledger.store import Store
from hub.upkeep.snapshots import vouched_state
from messages.entries import BlockHeader, Close
from messages.errors import MessageError
from messages.log import checkpoint as checkpoints
from messages.publickey import Signer

SNAPSHOT_EVERY_CLOSES = 16
SNAPSHOT_EVERY_ENTRIES = 5_000
BOOK_ROWS_A_WRITE = 5_000

log = logging.getLogger("hub.recorder")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was appended and what it meant: the new indices, and the effects in order."""

    indices: range
    effects: tuple[Effect, ...]


class Recorder:
    """Owns the store and the state. Everything else only reads them."""

    def __init__(self, store: Store, contracts: Contracts) -> None:
        """Load and replay.

        Raises:
            LedgerCorrupt: an entry cannot be read.
        """
        self.store = store
        self._contracts = contracts
        self._closes = 0  # since the last snapshot
        self._entries = 0
        self._bodies: dict[int, bytes] = {}  # end index -> state, where a snapshot is due
        self.state, self.replayed_from = self._load()
        self._replay(self.replayed_from)

    # --- append, step ----------------------------------------------------------------------

    def record(
        self,
        entries: Sequence[NewEntry],
        packs: Sequence[NewPack] = (),
        sealed: Sequence[tuple[bytes, int]] = (),
    ) -> Recorded:
        """Append durably, then step, then write the books.

        Raises:
            StorageFull, LedgerBehind: nothing was stored, nothing was folded.
        """
        indices = self.store.append(entries, packs, sealed)
        effects: list[Effect] = []
        rows: list[BookRow] = []
        for index, new in zip(indices, entries, strict=True):
            event = read_event(index, new.raw, new.preimage)
            found = self._step(event)
            self._note_close(event)
            rows.extend(rows_of(event, found))
            effects.extend(found)
        self.store.books.replace(rows)
        for effect in effects:
            if isinstance(effect, HeaderFollows):
                self._keep_snapshot(effect)
        return Recorded(indices, tuple(effects))

    def objection(self, raw: bytes) -> str | None:
        """Say why an entry would change nothing, so that it is not appended; None: append it."""
        try:
            event = read_event(self.store.size, raw)
        except MessageError as error:
            return str(error)
        return objection_to(self.state, event, self._contracts) or None

    def holds(self, entry_id: bytes) -> bool:
        """Whether an entry with this leaf hash, other than a reading, is on the ledger."""
        return self.store.holds(entry_id)

    def _step(self, event: Event) -> tuple[Effect, ...]:
        outcome = step(self.state, event, self._contracts)
        self.state.apply(outcome.changes)
        self._entries += 1
        return outcome.effects

    def _note_close(self, event: Event) -> None:
        """Remember, where one is due, the state that the header of a close will vouch for."""
        end_index = event.index + 1
        if not isinstance(event.body, Close) or end_index not in self.state.dues:
            return
        self._closes += 1
        if self._closes >= SNAPSHOT_EVERY_CLOSES or self._entries >= SNAPSHOT_EVERY_ENTRIES:
            self._bodies[end_index] = self.state.dumps()
            self._closes = self._entries = 0

    # --- checkpoints, block headers, snapshots ---------------------------------------------

    def checkpoint(self, origin: str, signer: Signer) -> Checkpoint:
        """Return the checkpoint over all entries, signed and stored before it is handed out."""

        def sign(size: int, root: bytes) -> str:
            return checkpoints.sign_checkpoint(checkpoints.Checkpoint(origin, size, root), signer)

        return self.store.checkpoint(sign)

    def next_header(self) -> BlockHeader | None:
        """Return the header of the oldest close that has none, None if all have theirs.

        As the hub signs it where nobody else can propose (`hub.core.headers.in_turn`); each names
        the one before, so record it and ask again.
        """
        due = next_header(self.state)
        return None if due is None else draft_header(self.state, self.store.root(due[0]))

    def _keep_snapshot(self, follows: HeaderFollows) -> None:
        body = self._bodies.pop(follows.end_index, None)
        if body is not None:
            self.store.save_snapshot(Snapshot(follows.end_index, follows.state_root, body))

    # --- load, replay ----------------------------------------------------------------------

    def _load(self) -> tuple[State, int]:
        """Return the newest state that the ledger vouches for, and the entry it stops before."""
        for snapshot in self.store.snapshots():
            try:
                return vouched_state(self.store, snapshot), snapshot.size
            except SnapshotUnreadable as error:
                log.warning(
                    "snapshot after entry %d: %s; an older one is used", snapshot.size, error
                )
        return State(), 0

    def _replay(self, start: int) -> None:
        """Fold what came after the snapshot; write its book rows again, as the crash may have."""
        rows: list[BookRow] = []
        for entry in self.store.entries(start):
            try:
                event = read_event(entry.index, entry.raw, entry.preimage)
            except MessageError as error:
                raise LedgerCorrupt(
                    f"entry {entry.index} cannot be read: {error}. Run `gridtally-hub verify`."
                ) from error
            rows.extend(rows_of(event, self._step(event)))
            if isinstance(event.body, Close) and event.index + 1 in self.state.dues:
                self._closes += 1
            if len(rows) >= BOOK_ROWS_A_WRITE:
                self.store.books.replace(rows)
                rows = []
        self.store.books.replace(rows)
