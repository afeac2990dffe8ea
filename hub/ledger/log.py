"""The log as anybody may read it: entries, places, checkpoints, roots, proofs.

It believes the database. Who does not, runs `verify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, func, select

from hub.errors import LedgerCorrupt, NoSuchEntry
from hub.ledger import opening, proofs
from hub.ledger.cosignatures import Cosignatures
from hub.ledger.engine import reading
from hub.ledger.nodes import StoredNodes, missing_node
from hub.ledger.packs import Packs
from hub.ledger.records import Checkpoint, Entry, Skips, Snapshot
from hub.ledger.schema import NO_READING
from hub.ledger.schema import checkpoint as checkpoint_table
from hub.ledger.schema import entry as entry_table
from hub.ledger.schema import gap as gap_table
from hub.ledger.schema import node as node_table
from hub.ledger.schema import snapshot as snapshot_table
from hub.ledger.views import Views
from messages.log import tree
from messages.log.policy import LogPolicy

ENTRIES_A_READ = 1_000
ENTRIES_A_STEP_BACK = 100
ID_DIGITS = 16
"""By so many hex digits of its id or more an entry is named: more digits than an index has."""


class Heads(NamedTuple):
    """Where the tables end: the stored count, the last entry's index + 1, the newest checkpoint."""

    size: int
    held: int
    newest: int


class Log:
    """Reads one ledger in short transactions; what it returns never changes later."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.nodes = StoredNodes(engine)
        self.packs = Packs(engine)
        self.views = Views(engine)
        self.cosignatures = Cosignatures(engine)

    @property
    def size(self) -> int:
        """How many entries the log has now."""
        with reading(self.engine) as connection:
            return opening.read_number(connection, "size")

    def newest_checkpoint(self) -> Checkpoint | None:
        """Return the stored checkpoint over the most entries."""
        with reading(self.engine) as connection:
            return opening.read_newest(connection)

    def published(self, policy: LogPolicy) -> Checkpoint:
        """Return the checkpoint to show to everybody, with its cosignatures.

        The newest one that meets the quorum; where nobody has to agree, the newest.

        Raises:
            NoSuchEntry: there is none yet.
        """
        if policy.witnessed:
            final = self.cosignatures.final(policy)
            if final is None:
                raise NoSuchEntry("no checkpoint has met the quorum yet: see `status`")
            return final
        newest = self.newest_checkpoint()
        if newest is None:
            raise NoSuchEntry("no checkpoint has been signed yet: start `gridtally-hub run` first")
        return Checkpoint(newest.size, newest.note + self.cosignatures.lines(newest.size))

    def checkpoints(self, first: int = 0, last: int | None = None) -> list[Checkpoint]:
        """Return the stored checkpoints over `first` to `last` entries, both included, by size."""
        size = checkpoint_table.c.size
        wanted = select(checkpoint_table).where(size >= first).order_by(size)
        if last is not None:
            wanted = wanted.where(size <= last)
        with reading(self.engine) as connection:
            return [Checkpoint(*row) for row in connection.execute(wanted)]

    def heads(self) -> Heads:
        """Return what the tables say of their ends, from one snapshot."""
        with reading(self.engine) as connection:
            last = connection.execute(select(func.max(entry_table.c.index))).scalar_one()
            newest = connection.execute(select(func.max(checkpoint_table.c.size))).scalar_one()
            return Heads(
                opening.read_number(connection, "size"),
                0 if last is None else last + 1,
                newest or 0,
            )

    def gaps(self, first: int, stop: int) -> dict[int, Skips]:
        """Return what is stored of the gap entries at indices [first, stop)."""
        index = gap_table.c.entry_index
        wanted = select(gap_table).where(index >= first, index < stop)
        with reading(self.engine) as connection:
            return {row[0]: (row[1], row[2], row[3], row[4]) for row in connection.execute(wanted)}

    def node_count(self) -> tuple[int, int]:
        """Return (how many hashes of subtrees are stored, over how many entries). Slow."""
        with reading(self.engine) as connection:
            nodes = connection.execute(select(func.count()).select_from(node_table)).scalar_one()
            return int(nodes), opening.read_number(connection, "size")

    # --- entries ---------------------------------------------------------------------------

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

    def raws(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (index, bytes) of entries [start, stop) in order, and nothing that costs time.

        Raises LedgerCorrupt at the first index that is missing.
        """
        index = entry_table.c.index
        for at in range(start, stop, ENTRIES_A_READ):
            wanted = select(index, entry_table.c.raw).where(index >= at).order_by(index)
            upto = min(at + ENTRIES_A_READ, stop)
            with reading(self.engine) as connection:
                rows = connection.execute(wanted.where(index < upto)).all()
            for expected, row in enumerate(rows, at):
                if row[0] != expected:
                    raise LedgerCorrupt(missing_node(0, expected))
                yield row[0], row[1]
            if at + len(rows) != upto:
                raise LedgerCorrupt(missing_node(0, at + len(rows)))

    def entry(self, index: int) -> Entry:
        """Return one entry; NoSuchEntry says how many there are."""
        found = self._entries(select(entry_table).where(entry_table.c.index == index))
        if not found:
            raise NoSuchEntry(f"there is no entry {index}: the ledger has {self.size}")
        return found[0]

    def named(self, name: str) -> Entry:
        """Return the entry with an index, or whose id begins with ID_DIGITS hex digits or more.

        Raises:
            NoSuchEntry: there is none; no index has as many digits, so nothing is mixed up.
        """
        if name.isdecimal() and len(name) < ID_DIGITS:
            return self.entry(int(name))
        return self.find(name.lower())

    def find(self, entry_id: bytes | str) -> Entry:
        """Return the entry with a leaf hash, or with the only one that begins with hex digits.

        Readings have no index by id: to find one of a million so takes a second. By its place in
        its key's stream (`stored`) it takes no time.
        """
        name = entry_id.hex() if isinstance(entry_id, bytes) else entry_id
        low, high = _prefix_bounds(name)
        column = entry_table.c.leaf_hash
        named = select(entry_table).where(column >= low, column <= high).limit(2)
        found = self._entries(named.where(NO_READING))
        if len(found) < 2 and not (found and low == high):
            found += self._entries(named.where(~NO_READING))
        if not found:
            raise NoSuchEntry(f"no entry has the id {name}")
        if len(found) > 1:
            raise NoSuchEntry(f"more than one entry id begins with {name}: give more digits")
        return found[0]

    def holds(self, entry_id: bytes) -> bool:
        """Say whether an entry with this leaf hash is stored; readings are not looked at."""
        column = entry_table.c.leaf_hash
        named = select(entry_table.c.index).where(column == entry_id, NO_READING)
        with reading(self.engine) as connection:
            return connection.execute(named).first() is not None

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
        with reading(self.engine) as connection:
            rows = connection.execute(wanted.order_by(table.sequence))
            return {row[0]: row[1] for row in rows}

    def of_kind(self, kind: str, start: int = 0) -> list[Entry]:
        """Return the entries of one kind from an index on. Reads all in between: for rare kinds."""
        wanted = select(entry_table).where(entry_table.c.index >= start, entry_table.c.kind == kind)
        return self._entries(wanted.order_by(entry_table.c.index))

    def newest(self, kind: str) -> Iterator[Entry]:
        """Yield the entries of one kind, the newest first."""
        table = entry_table.c
        wanted = select(entry_table).where(table.kind == kind).order_by(table.index.desc())
        found = self._entries(wanted.limit(ENTRIES_A_STEP_BACK))
        while found:
            yield from found
            before = wanted.where(table.index < found[-1].index)
            found = self._entries(before.limit(ENTRIES_A_STEP_BACK))

    def backwards(self, kid: bytes, stream: str, before: int) -> Iterator[Entry]:
        """Yield the entries of a key's stream at indices below `before`, the newest first."""
        table = entry_table.c
        wanted = select(entry_table).where(table.kid == kid, table.stream == stream)
        at: int | None = None
        while True:
            lower = wanted if at is None else wanted.where(table.sequence < at)
            found = self._entries(lower.order_by(table.sequence.desc()).limit(ENTRIES_A_STEP_BACK))
            yield from (entry for entry in found if entry.index < before)
            if len(found) < ENTRIES_A_STEP_BACK:
                return
            at = found[-1].sequence

    def head(self, kid: bytes, stream: str) -> int:
        """Return the highest sequence of a stream that is used up, by a gap too; 0 if none."""
        entries, gaps = entry_table.c, gap_table.c
        asked: list[Select[Any]] = [
            select(func.max(entries.sequence)).where(entries.kid == kid, entries.stream == stream),
            select(func.max(gaps.last_sequence)).where(gaps.kid == kid, gaps.stream == stream),
        ]
        with reading(self.engine) as connection:
            highest = [int(connection.execute(wanted).scalar_one() or 0) for wanted in asked]
            if stream == "telemetry":
                highest.append(self.packs.head(connection, kid))
        return max(highest)

    # --- proofs ----------------------------------------------------------------------------

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` entries, of all by default."""
        if size is None:
            size = self.size
        self._require_size(size)
        return proofs.root(size, self.nodes)

    def prove(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the inclusion proof of one entry in the tree of `size` (RFC 6962 2.1.1)."""
        self._require_size(size)
        if not 0 <= index < size:
            raise NoSuchEntry(f"entry {index} is not among the first {size}")
        return proofs.make_proof(
            lambda subtree: tree.prove_inclusion(index, size, subtree), self.nodes
        )

    def prove_consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of `new` continues that of `old` (RFC 6962 2.1.2)."""
        self._require_size(new)
        if not 0 <= old <= new:
            raise NoSuchEntry(f"a tree of {new} does not continue one of {old}")
        return proofs.make_proof(
            lambda subtree: tree.prove_consistency(old, new, subtree), self.nodes
        )

    def prove_many(self, indices: Iterable[int], size: int) -> tuple[bytes, ...]:
        """Return one proof for a set of entries, as `messages.log.tree.check_many` reads it."""
        self._require_size(size)
        wanted = sorted(set(indices))
        if wanted and not (wanted[0] >= 0 and wanted[-1] < size):
            raise NoSuchEntry(f"entries {wanted[0]} to {wanted[-1]} are not among the first {size}")
        return proofs.make_proof(lambda subtree: tree.prove_many(wanted, size, subtree), self.nodes)

    def snapshots(self) -> list[Snapshot]:
        """Return the stored snapshots, newest first."""
        wanted = select(snapshot_table).order_by(snapshot_table.c.size.desc())
        with reading(self.engine) as connection:
            return [Snapshot(*row) for row in connection.execute(wanted)]

    def _entries(self, wanted: Select[Any]) -> list[Entry]:
        with reading(self.engine) as connection:
            return [Entry(*row) for row in connection.execute(wanted)]

    def _require_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise NoSuchEntry(f"there is no tree of {size} entries: the ledger has {self.size}")


def _prefix_bounds(prefix: str) -> tuple[bytes, bytes]:
    try:
        if not ID_DIGITS <= len(prefix) <= 64:
            raise ValueError(prefix)
        return bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
    except ValueError:
        raise NoSuchEntry(
            f"{prefix!r} is no index, and no entry id of {ID_DIGITS} to 64 hex digits"
        ) from None
