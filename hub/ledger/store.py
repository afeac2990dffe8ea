"""The ledger on disk: append, read, prove. It holds no key and judges nothing that it is given.

What is handed out is durable before: `append` returns after its commit, `checkpoint` after the note
is stored and the file outside the database says so. One process writes; any number read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, Engine, bindparam, select, update

from hub.errors import LedgerBehind, LedgerCorrupt, LedgerError, StorageFull
from hub.ledger import opening
from hub.ledger.ballast import BALLAST_BYTES, Ballast
from hub.ledger.books import Books
from hub.ledger.engine import (
    connect,
    database_path,
    insert_rows,
    shrink_wal,
    writing,
)
from hub.ledger.lock import WriterLock
from hub.ledger.log import Log
from hub.ledger.newest import HandedOut, NewestFile, sync_folder
from hub.ledger.records import Checkpoint, NewEntry, NewPack, Snapshot
from hub.ledger.schema import checkpoint as checkpoint_table
from hub.ledger.schema import entry as entry_table
from hub.ledger.schema import gap as gap_table
from hub.ledger.schema import ledger as ledger_table
from hub.ledger.schema import node as node_table
from hub.ledger.schema import snapshot as snapshot_table
from hub.ledger.strangers import Strangers
from messages.log import tree

ENTRIES_A_READ = 1_000
SNAPSHOTS_APART = 100_000  # entries between old snapshots that stay
MOVE_SIZE = (
    update(ledger_table)
    .where(ledger_table.c.name == "size", ledger_table.c.number == bindparam("old"))
    .values(number=bindparam("new"))
)


class Store(Log):
    """One ledger. `books`, `packs` and `strangers` own what stands beside the log."""

    def __init__(self, engine: Engine, beside: Path | None, *, read_only: bool) -> None:
        """Use `Store.open`."""
        super().__init__(engine)
        self._read_only = read_only
        self._frontier: tree.Frontier | None = None
        self._checkpoint: Checkpoint | None = None
        self._handed_out_size = -1
        self._behind = ""
        self._lock: WriterLock | None = None
        self._handed = NewestFile(Path(f"{beside}.newest")) if beside else None
        self.ballast = Ballast(Path(f"{beside}.ballast")) if beside else None
        self.books = Books(engine)
        self.strangers = Strangers(engine)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        read_only: bool = False,
        create: bool = False,
        ballast_bytes: int = BALLAST_BYTES,
        despite_behind: bool = False,
    ) -> Store:
        """Open a ledger by its database URL; a writer locks it and checks the tail first.

        `despite_behind`: also if more was handed out; only for who ends the log's key by it.

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
            opening.check_schema(store.engine, migrate=not read_only)
            if not read_only:
                store._edge()
                if not despite_behind:
                    store.check_handed_out()
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
            if path:
                path.touch(mode=0o600)  # it says who used how much when; SQLite's -wal follows it
            opening.create_tables(self.engine)
            if path:
                sync_folder(path.absolute().parent)

    def close(self) -> None:
        """Close the database and let another process write."""
        self.engine.dispose()
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

    @property
    def newest_path(self) -> Path:
        """The file beside the ledger that remembers what was handed out last.

        Raises:
            LedgerError: the database is no file, and has none.
        """
        if self._handed is None:
            raise LedgerError("a ledger on a database server remembers nothing beside itself")
        return self._handed.path

    # --- appending -------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many entries the log has. A reader asks the database each time."""
        return super().size if self._read_only else self._edge().size

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` entries, of all by default."""
        if self._read_only or (size is not None and size != self._edge().size):
            return super().root(size)
        return self._edge().root()

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
            with writing(self.engine) as connection:
                _write_size(connection, start, edge.size)
                _write_entries(connection, start, entries, finished)
                self.packs.write(connection, packs, sealed, _seal_index(start, entries, sealed))
        except BaseException:
            self._forget()
            raise
        self._frontier = edge
        self.nodes.remember(finished)
        return range(start, edge.size)

    def make_room(self) -> None:
        """Give the ballast to a full disk, so that the database works again. Keep it back later."""
        if self.ballast:
            self.ballast.free()
        with suppress(StorageFull):
            shrink_wal(self.engine)

    # --- checkpoints -----------------------------------------------------------------------

    def checkpoint(self, sign: Callable[[int, bytes], str]) -> Checkpoint:
        """Return the checkpoint over all entries, signing and storing it first if it is new.

        Args:
            sign: makes the signed note from (size, root). It must be the log key's.
        """
        self._require_writing()
        edge = self._edge()
        if self._checkpoint is None or self._checkpoint.size != edge.size:
            self._checkpoint = self._keep(Checkpoint(edge.size, sign(edge.size, edge.root())))
        if self._handed_out_size != self._checkpoint.size:
            self._note_handed_out(self._checkpoint)
        return self._checkpoint

    def _keep(self, signed: Checkpoint) -> Checkpoint:
        try:
            with writing(self.engine) as connection:
                insert_rows(connection, checkpoint_table, [(signed.size, signed.note)])
        except BaseException:
            self._forget()
            raise
        return signed

    def check_handed_out(self) -> None:
        """Compare with the newest checkpoint that the file outside the database remembers.

        Raises:
            LedgerBehind: this is an old copy of the ledger, or another one.
        """
        if self._handed is None:
            return
        newest = self._handed.read()
        if newest:
            self._handed_out_size = newest.size
            source = f"{self._handed.path.name} says this hub handed out"
            opening.check_continues(newest, self.nodes, self.size, source)
        if self._checkpoint and (newest is None or newest.size < self._checkpoint.size):
            self._note_handed_out(self._checkpoint)

    def check_seen(self, size: int, root: bytes, source: str) -> None:
        """Compare with a checkpoint of ours that somebody shows, its signature checked before.

        Raises LedgerBehind if the ledger does not continue it, and from then on refuses to append
        and to sign. `source` begins the sentence, such as "node dep1 shows".
        """
        try:
            opening.check_continues(HandedOut(size, root), self.nodes, self.size, source)
        except LedgerBehind as error:
            self._behind = str(error)
            raise

    def _note_handed_out(self, signed: Checkpoint) -> None:
        if self._handed:
            self._handed.write(HandedOut(signed.size, opening.head_of(signed).root))
        self._handed_out_size = signed.size

    # --- snapshots -------------------------------------------------------------------------

    def save_snapshot(self, snapshot: Snapshot, keep: int = 3) -> None:
        """Store the fold's state. The newest `keep` stay, and of older ones some, far apart.

        From those a statement of long ago begins (`hub.statements.beginning`).
        """
        sizes = snapshot_table.c.size
        with writing(self.engine) as connection:
            connection.execute(snapshot_table.delete().where(sizes == snapshot.size))
            row = (snapshot.size, snapshot.root, snapshot.body)
            insert_rows(connection, snapshot_table, [row])
            held = sorted(connection.execute(select(sizes)).scalars())
            spaced = {size // SNAPSHOTS_APART: size for size in held}  # the newest of each stretch
            gone = [size for size in held[:-keep] if size not in spaced.values()]
            connection.execute(snapshot_table.delete().where(sizes.in_(gone)))

    # --- inside ----------------------------------------------------------------------------

    def _edge(self) -> tree.Frontier:
        if self._frontier is None:
            opened = opening.inspect_log(self.engine, self.nodes)
            self._frontier, self._checkpoint = opened.frontier, opened.newest
        return self._frontier

    def _forget(self) -> None:
        """After a failed write the database alone knows what was committed: ask it again."""
        self._frontier = None
        self._checkpoint = None
        self.nodes.forget()

    def _require_writing(self) -> None:
        if self._read_only:
            raise LedgerError("this ledger was opened for reading only")
        if self._behind:
            raise LedgerBehind(self._behind)


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
