"""The ledger on disk: append, read, prove. It holds no key and judges nothing that it is given.

What is handed out is durable before: `append` returns after its commit, `checkpoint` after the note
is stored and the file outside the database says so. One process writes; any number read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Select, bindparam, func, select, update

from hub.errors import LedgerBehind, LedgerCorrupt, LedgerError, NoSuchEntry
from hub.ledger import opening, proofs
from hub.ledger.ballast import BALLAST_BYTES, Ballast
from hub.ledger.books import Books
from hub.ledger.engine import (
    connect,
    database_path,
    insert_rows,
    reading,
    shrink_wal,
    writing,
)
from hub.ledger.lock import WriterLock
from hub.ledger.newest import HandedOut, NewestFile, sync_folder
from hub.ledger.nodes import StoredNodes, missing_node
from hub.ledger.packs import Packs
from hub.ledger.records import Checkpoint, Entry, NewEntry, NewPack, Snapshot
from hub.ledger.schema import checkpoint as checkpoint_table
from hub.ledger.schema import entry as entry_table
from hub.ledger.schema import gap as gap_table
from hub.ledger.schema import ledger as ledger_table
from hub.ledger.schema import node as node_table
from hub.ledger.schema import snapshot as snapshot_table
from hub.ledger.strangers import Strangers
from messages.log import tree

ENTRIES_A_READ = 1_000
MOVE_SIZE = (
    update(ledger_table)
    .where(ledger_table.c.name == "size", ledger_table.c.number == bindparam("old"))
    .values(number=bindparam("new"))
)


class Store:
    """One ledger. `books`, `packs` and `strangers` own what stands beside the log."""

    def __init__(self, engine: Engine, beside: Path | None, *, read_only: bool) -> None:
        """Use `Store.open`."""
        self._engine = engine
        self._read_only = read_only
        self._nodes = StoredNodes(engine)
        self._frontier: tree.Frontier | None = None
        self._checkpoint: Checkpoint | None = None
        self._behind = ""
        self._lock: WriterLock | None = None
        self._handed = NewestFile(Path(f"{beside}.newest")) if beside else None
        self.ballast = Ballast(Path(f"{beside}.ballast")) if beside else None
        self.books = Books(engine)
        self.packs = Packs(engine)
        self.strangers = Strangers(engine)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        read_only: bool = False,
        create: bool = False,
        ballast_bytes: int = BALLAST_BYTES,
    ) -> Store:
        """Open a ledger by its database URL; a writer locks it and checks the tail first.

        Raises:
            LedgerLocked: another process writes.
            LedgerBehind: a checkpoint was handed out that this file does not continue.
            LedgerCorrupt: the file contradicts itself; run `gridtally-hub verify`.
            SchemaMismatch: no ledger, or one of a newer program.
        """
        path = database_path(url)
        if path and not create and not path.exists():
            raise LedgerError(f"{path}: there is no ledger; make one with `gridtally-hub init`")
        store = cls(connect(url, read_only=read_only), path, read_only=read_only)
        try:
            if not read_only:
                store._start_writing(path, create=create, ballast_bytes=ballast_bytes)
            opening.check_schema(store._engine, migrate=not read_only)
            store._reload()
            if not read_only:
                store._check_handed_out()
        except BaseException:
            store.close()
            raise
        return store

    def _start_writing(self, path: Path | None, *, create: bool, ballast_bytes: int) -> None:
        if path:
            self._lock = WriterLock(Path(f"{path}.lock"))
            self.ballast = Ballast(Path(f"{path}.ballast"), ballast_bytes)
            self.ballast.keep()
        if create:
            opening.create_tables(self._engine)
            if path:
                sync_folder(path.absolute().parent)

    def _check_handed_out(self) -> None:
        if self._handed is None:
            return
        newest = self._handed.read()
        if newest:
            source = f"{self._handed.path.name} says this hub handed out"
            opening.check_continues(newest, self._nodes, self.size, source)
        if self._checkpoint and (newest is None or newest.size < self._checkpoint.size):
            self._note_handed_out(self._checkpoint)

    def close(self) -> None:
        """Close the database and let another process write."""
        self._engine.dispose()
        if self._handed:
            self._handed.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- appending -------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many entries the log has. A reader asks the database each time."""
        return self._edge().size

    def append(
        self,
        entries: Sequence[NewEntry],
        packs: Sequence[NewPack] = (),
        sealed: Sequence[tuple[bytes, int]] = (),
    ) -> range:
        """Append entries in order and store packs, all durably or none; return the new indices.

        Args:
            entries: signed messages, admitted before; each gets the next index.
            packs: telemetry to keep off the log until a seal commits to it.
            sealed: (kid, sequence) of the pending packs that the one seal among `entries` covers.

        Raises:
            StorageFull: nothing was stored; call `make_room` and go on when there is space.
            LedgerBehind: a newer checkpoint than this ledger was shown (`check_seen`).
        """
        self._require_writing()
        edge = self._edge().copy()
        start = edge.size
        finished: list[tuple[int, int, bytes]] = []
        for new in entries:
            finished += edge.append(new.leaf_hash)
        try:
            with writing(self._engine) as connection:
                _write_size(connection, start, edge.size)
                _write_entries(connection, start, entries, finished)
                self.packs.write(connection, packs, sealed, _seal_index(start, entries, sealed))
        except BaseException:
            self._frontier = None  # the database decides what was committed
            self._nodes.forget()
            raise
        self._frontier = edge
        self._nodes.remember(finished)
        return range(start, edge.size)

    def make_room(self) -> None:
        """Give the ballast to a full disk, so that the database works again. Keep it back later."""
        if self.ballast:
            self.ballast.free()
        shrink_wal(self._engine)

    # --- checkpoints -----------------------------------------------------------------------

    def checkpoint(self, sign: Callable[[int, bytes], str]) -> Checkpoint:
        """Return the checkpoint over all entries, signing and storing it first if it is new.

        Args:
            sign: makes the signed note from (size, root). It must be the log key's.
        """
        self._require_writing()
        edge = self._edge()
        if self._checkpoint and self._checkpoint.size == edge.size:
            return self._checkpoint
        signed = Checkpoint(edge.size, sign(edge.size, edge.root()))
        with writing(self._engine) as connection:
            insert_rows(connection, checkpoint_table, [(signed.size, signed.note)])
        self._note_handed_out(signed)
        self._checkpoint = signed
        return signed

    def newest_checkpoint(self) -> Checkpoint | None:
        """Return the stored checkpoint over the most entries."""
        if not self._read_only:
            return self._checkpoint
        with reading(self._engine) as connection:
            return opening.read_newest(connection)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield every stored checkpoint by size."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(checkpoint_table).order_by(checkpoint_table.c.size))
            stored = [Checkpoint(row.size, row.note) for row in rows]
        yield from stored

    def check_seen(self, size: int, root: bytes, source: str) -> None:
        """Compare with a checkpoint of ours that somebody shows, its signature checked before.

        Raises LedgerBehind if the ledger does not continue it, and from then on refuses to append
        and to sign. `source` begins the sentence, such as "node dep1 shows".
        """
        try:
            opening.check_continues(HandedOut(size, root), self._nodes, self.size, source)
        except LedgerBehind as error:
            self._behind = str(error)
            raise

    def _note_handed_out(self, signed: Checkpoint) -> None:
        if self._handed:
            self._handed.write(HandedOut(signed.size, opening.head_of(signed).root))

    # --- reading ---------------------------------------------------------------------------

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """Yield entries [start, stop) in order; `stop` None means all there are now.

        Raises LedgerCorrupt at the first index that is missing.
        """
        end = self.size if stop is None else stop
        for at in range(start, end, ENTRIES_A_READ):
            upto = min(at + ENTRIES_A_READ, end)
            index = entry_table.c.index
            wanted = select(entry_table).where(index >= at, index < upto).order_by(index)
            expected = at
            for found in self._entries(wanted):
                if found.index != expected:
                    raise LedgerCorrupt(missing_node(0, expected))
                yield found
                expected += 1
            if expected != upto:
                raise LedgerCorrupt(missing_node(0, expected))

    def entry(self, index: int) -> Entry:
        """Return one entry; NoSuchEntry says how many there are."""
        found = self._entries(select(entry_table).where(entry_table.c.index == index))
        if not found:
            raise NoSuchEntry(f"there is no entry {index}: the ledger has {self.size}")
        return found[0]

    def find(self, entry_id: bytes | str) -> Entry:
        """Return the entry with a leaf hash, or with the only one that begins with hex digits."""
        column = entry_table.c.leaf_hash
        wanted = select(entry_table)
        if isinstance(entry_id, bytes):
            wanted = wanted.where(column == entry_id)
        else:
            low, high = _prefix_bounds(entry_id)
            wanted = wanted.where(column >= low, column <= high)
        found = self._entries(wanted.limit(2))
        name = entry_id.hex() if isinstance(entry_id, bytes) else entry_id
        if not found:
            raise NoSuchEntry(f"no entry has the id {name}")
        if len(found) > 1:
            raise NoSuchEntry(f"more than one entry id begins with {name}: give more digits")
        return found[0]

    def stored(self, kid: bytes, stream: str, sequence: int) -> Entry | None:
        """Return the entry at one place of a key's stream, None if there is none."""
        table = entry_table.c
        wanted = select(entry_table).where(
            table.kid == kid, table.stream == stream, table.sequence == sequence
        )
        found = self._entries(wanted)
        return found[0] if found else None

    def position(self, kid: bytes, stream: str, sequence: int) -> int | None:
        """Return the index of the entry at one place of a key's stream, None if there is none."""
        found = self.stored(kid, stream, sequence)
        return found.index if found else None

    def positions(self, kid: bytes, stream: str, first: int, last: int) -> dict[int, int]:
        """Return {sequence: index} for what is stored of [first, last]."""
        table = entry_table.c
        wanted = select(table.sequence, table.index).where(
            table.kid == kid, table.stream == stream, table.sequence.between(first, last)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(table.sequence))
            return {row[0]: row[1] for row in rows}

    def of_kind(self, kind: str, start: int = 0) -> list[Entry]:
        """Return the entries of one kind from an index on. Reads all in between: for rare kinds."""
        wanted = select(entry_table).where(entry_table.c.index >= start, entry_table.c.kind == kind)
        return self._entries(wanted.order_by(entry_table.c.index))

    def head(self, kid: bytes, stream: str) -> int:
        """Return the highest sequence of a stream that is used up, by a gap too; 0 if none."""
        entries, gaps = entry_table.c, gap_table.c
        asked: list[Select[Any]] = [
            select(func.max(entries.sequence)).where(entries.kid == kid, entries.stream == stream),
            select(func.max(gaps.last_sequence)).where(gaps.kid == kid, gaps.stream == stream),
        ]
        with reading(self._engine) as connection:
            highest = [int(connection.execute(wanted).scalar_one() or 0) for wanted in asked]
            if stream == "telemetry":
                highest.append(self.packs.head(connection, kid))
        return max(highest)

    # --- proofs ----------------------------------------------------------------------------

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` entries, of all by default."""
        edge = self._edge()
        if size is None or size == edge.size:
            return edge.root()
        self._require_size(size)
        return proofs.root(size, self._nodes)

    def prove(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the inclusion proof of one entry in the tree of `size` (RFC 6962 2.1.1)."""
        self._require_size(size)
        if not 0 <= index < size:
            raise NoSuchEntry(f"entry {index} is not among the first {size}")
        return proofs.make_proof(
            lambda subtree: tree.prove_inclusion(index, size, subtree), self._nodes
        )

    def prove_consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of `new` continues that of `old` (RFC 6962 2.1.2)."""
        self._require_size(new)
        if not 0 <= old <= new:
            raise NoSuchEntry(f"a tree of {new} does not continue one of {old}")
        return proofs.make_proof(
            lambda subtree: tree.prove_consistency(old, new, subtree), self._nodes
        )

    def prove_many(self, indices: Iterable[int], size: int) -> tuple[bytes, ...]:
        """Return one proof for a set of entries, as `messages.log.tree.check_many` reads it."""
        self._require_size(size)
        wanted = sorted(set(indices))
        if wanted and not (wanted[0] >= 0 and wanted[-1] < size):
            raise NoSuchEntry(f"entries {wanted[0]} to {wanted[-1]} are not among the first {size}")
        return proofs.make_proof(
            lambda subtree: tree.prove_many(wanted, size, subtree), self._nodes
        )

    # --- snapshots -------------------------------------------------------------------------

    def save_snapshot(self, snapshot: Snapshot, keep: int = 3) -> None:
        """Store the fold's state; only the newest `keep` snapshots stay."""
        sizes = snapshot_table.c.size
        with writing(self._engine) as connection:
            connection.execute(snapshot_table.delete().where(sizes == snapshot.size))
            row = (snapshot.size, snapshot.root, snapshot.body)
            insert_rows(connection, snapshot_table, [row])
            kept = select(sizes).order_by(sizes.desc()).limit(keep)
            oldest = min(connection.execute(kept).scalars())
            connection.execute(snapshot_table.delete().where(sizes < oldest))

    def snapshots(self) -> list[Snapshot]:
        """Return the stored snapshots, newest first."""
        wanted = select(snapshot_table).order_by(snapshot_table.c.size.desc())
        with reading(self._engine) as connection:
            return [Snapshot(*row) for row in connection.execute(wanted)]

    # --- inside ----------------------------------------------------------------------------

    def _entries(self, wanted: Select[Any]) -> list[Entry]:
        with reading(self._engine) as connection:
            return [Entry(*row) for row in connection.execute(wanted)]

    def _edge(self) -> tree.Frontier:
        if self._frontier is None or self._read_only:
            self._reload()
        if self._frontier is None:
            raise AssertionError("a reload leaves a right edge")
        return self._frontier

    def _reload(self) -> None:
        if self._read_only:
            self._frontier = opening.read_edge(self._engine, self._nodes)
            return
        opened = opening.inspect_log(self._engine, self._nodes)
        self._frontier, self._checkpoint = opened.frontier, opened.newest

    def _require_writing(self) -> None:
        if self._read_only:
            raise LedgerError("this ledger was opened for reading only")
        if self._behind:
            raise LedgerBehind(self._behind)

    def _require_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise NoSuchEntry(f"there is no tree of {size} entries: the ledger has {self.size}")


def _prefix_bounds(prefix: str) -> tuple[bytes, bytes]:
    try:
        if not 1 <= len(prefix) <= 64:
            raise ValueError(prefix)
        return bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
    except ValueError:
        raise NoSuchEntry(f"{prefix!r} is no entry id: want up to 64 hex digits") from None


def _write_size(connection: Connection, old: int, new: int) -> None:
    if connection.execute(MOVE_SIZE, {"old": old, "new": new}).rowcount != 1:
        raise LedgerCorrupt(f"the ledger no longer has the {old} entries this process knows of")


def _write_entries(
    connection: Connection,
    start: int,
    entries: Sequence[NewEntry],
    finished: Sequence[tuple[int, int, bytes]],
) -> None:
    rows = [
        (at, new.leaf_hash, new.kid, new.stream, new.sequence, new.kind, new.raw, new.preimage)
        for at, new in enumerate(entries, start)
    ]
    insert_rows(connection, entry_table, rows)
    insert_rows(connection, node_table, [node for node in finished if node[0]])
    gaps = [(at, *new.skips) for at, new in enumerate(entries, start) if new.skips]
    insert_rows(connection, gap_table, gaps)


def _seal_index(
    start: int, entries: Sequence[NewEntry], sealed: Sequence[tuple[bytes, int]]
) -> int | None:
    if not sealed:
        return None
    places = [at for at, new in enumerate(entries, start) if new.kind == "seal"]
    if len(places) != 1:
        raise LedgerError(f"packs are sealed by one seal entry, not by {len(places)}")
    return places[0]
