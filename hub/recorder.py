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
from hub.core.effects import Effect, HeaderFollows, Ignored
from hub.core.errors import SnapshotUnreadable
from hub.core.events import Event, read_event
from hub.core.pricing import policy_at
from hub.core.state import State
from hub.core.step import step
from hub.errors import LedgerCorrupt
from hub.ledger.books import BookRow
from hub.ledger.records import Checkpoint, NewEntry, NewPack, Snapshot
from hub.ledger.store import Store
from messages.entries import BlockHeader, Close
from messages.errors import MessageError
from messages.log import checkpoint as checkpoints
from messages.publickey import Signer

SNAPSHOT_EVERY_CLOSES = 16
SNAPSHOT_EVERY_ENTRIES = 5_000
HEADER_WITHIN = 64  # how many entries behind its close a block header is looked for
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
        self._roots: dict[int, bytes] = {}  # end index -> state root, of closes without a header
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
                self._keep_snapshot(effect.end_index)
        return Recorded(indices, tuple(effects))

    def objection(self, raw: bytes) -> str | None:
        """Say why an entry would change nothing, so that it is not appended; None: append it."""
        try:
            event = read_event(self.store.size, raw)
        except MessageError as error:
            return str(error)
        effects = step(self.state, event, self._contracts).effects
        reasons = [effect.reason for effect in effects if isinstance(effect, Ignored)]
        return "; ".join(reasons) if reasons else None

    def holds(self, entry_id: bytes) -> bool:
        """Whether an entry with this leaf hash, other than a reading, is on the ledger."""
        return self.store.holds(entry_id)

    def _step(self, event: Event) -> tuple[Effect, ...]:
        outcome = step(self.state, event, self._contracts)
        self.state.apply(outcome.changes)
        self._entries += 1
        return outcome.effects

    def _note_close(self, event: Event) -> None:
        """Remember the root, and where due the state, that the header of a close will name."""
        end_index = event.index + 1
        if not isinstance(event.body, Close) or end_index not in self.state.dues:
            return
        self._roots[end_index] = self.state.root()
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

        Sign and record it, then ask again: each names the one before.
        """
        if not self.state.dues:
            return None
        end_index = min(self.state.dues)
        due, progress = self.state.dues[end_index], self.state.progress
        policy = policy_at(self.state, due.slot_ms)
        return BlockHeader(
            height=progress.header_height + 1,
            previous=progress.header_id,
            first_index=due.first_index,
            end_index=end_index,
            log_root=self.store.root(end_index),
            state_root=self._roots[end_index],
            results_root=due.results_root,
            code_id=b"" if policy is None else policy.code_id,
            seed=b"",
            vrf_proof=b"",
            round=0,
            close_time_ms=due.close_time_ms,
        )

    def _keep_snapshot(self, end_index: int) -> None:
        root, body = self._roots.pop(end_index, None), self._bodies.pop(end_index, None)
        if root is not None and body is not None:
            self.store.save_snapshot(Snapshot(end_index, root, body))

    # --- load, replay ----------------------------------------------------------------------

    def _load(self) -> tuple[State, int]:
        """Return the newest state that the ledger vouches for, and the entry it stops before."""
        for snapshot in self.store.snapshots():
            try:
                state = State.loads(snapshot.body)
            except SnapshotUnreadable as error:
                log.warning(
                    "snapshot after entry %d: %s; an older one is used", snapshot.size, error
                )
                continue
            if state.root() == snapshot.root == self._root_on_ledger(snapshot.size):
                return state, snapshot.size
            log.warning(
                "snapshot after entry %d is not what its block header says; an older one is used",
                snapshot.size,
            )
        return State(), 0

    def _root_on_ledger(self, end_index: int) -> bytes | None:
        """Return the state root that the block header of a close names."""
        stop = min(end_index + HEADER_WITHIN, self.store.size)
        for entry in self.store.entries(min(end_index, stop), stop):
            if entry.kind == BlockHeader.KIND:
                body = read_event(entry.index, entry.raw).body
                if isinstance(body, BlockHeader) and body.end_index == end_index:
                    return body.state_root
        return None

    def _replay(self, start: int) -> None:
        """Fold what came after the snapshot; write its book rows again, as the crash may have."""
        rows: list[BookRow] = []
        closed: int | None = None  # end index of the close just folded
        for entry in self.store.entries(start):
            try:
                event = read_event(entry.index, entry.raw, entry.preimage)
            except MessageError as error:
                raise LedgerCorrupt(
                    f"entry {entry.index} cannot be read: {error}. Run `gridtally-hub verify`."
                ) from error
            if closed is not None and not isinstance(event.body, BlockHeader):
                self._roots[closed] = self.state.root()
            closed = None
            rows.extend(rows_of(event, self._step(event)))
            if isinstance(event.body, Close) and event.index + 1 in self.state.dues:
                closed = event.index + 1
                self._closes += 1
            if len(rows) >= BOOK_ROWS_A_WRITE:
                self.store.books.replace(rows)
                rows = []
        if closed is not None:
            self._roots[closed] = self.state.root()
        self.store.books.replace(rows)
