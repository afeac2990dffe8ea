"""The outbox: what was signed and not yet proven to be on the ledger. One SQLite file, one writer.

A sequence is taken, its message signed and its row written in one transaction, together with the
registers it was computed from: so a number is never used twice, and a signed register never exceeds
the stored one. One transaction, and one wait for the disk, holds all meters of an instant.

Rows leave the file only when a receipt proved them final, when the hub refused them (they go to the
dead letters), or, if it is full, oldest telemetry first: never registers.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from edge.agent import Point
from edge.ballast import Ballast
from edge.calibration.coefficients import Calibrated
from edge.errors import OutboxError, OutboxFull
from edge.outbox_records import (
    Batch,
    Draft,
    Head,
    Key,
    Row,
    Settled,
    keep_calibration,
    keep_fact,
    keep_head,
    keep_points,
    keep_registers,
    read_calibrations,
    store,
)
from edge.outbox_schema import DURABLE, RELAXED, lock, open_for_writing
from edge.receipts import TELEMETRY, Proven
from edge.register import Register

LEAVES_KEPT: Final = 4_096
SPARE_PART: Final = 100  # a full outbox is made a hundredth emptier at once

FORGET_ALARM: Final = "DELETE FROM fact WHERE name IN ('alarm', 'evidence', 'evidence_file')"

Result = TypeVar("Result")

log = logging.getLogger("edge.outbox")


class Outbox:
    """The one writer of a state folder's outbox.

    Raises:
        OutboxError: it cannot be opened; the subclass says why.
    """

    def __init__(self, folder: Path, rows_max: int, ballast_bytes: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / "outbox.db"
        self._rows_max = rows_max
        self._lock = lock(folder / "outbox.lock")
        self._ballast = Ballast(folder / "ballast", ballast_bytes)
        self._connection: sqlite3.Connection | None = None
        self._heads: dict[Key, Head] = {}
        self._leaves: OrderedDict[tuple[bytes, str, int], bytes] = OrderedDict()
        self.rows = 0
        self.dead_letters = 0
        self.dropped = 0
        try:
            self._opened()
            self._ballast.keep()
        except (OutboxError, OSError):
            self._lock.close()
            raise

    def close(self) -> None:
        """Close the file and let go of the folder."""
        self._drop_connection()
        self._lock.close()

    # What is kept

    def begin_boot(self) -> int:
        """Count this start, durably, and return its number: the upper half of live sequences."""
        return self._despite_full_disk(self._begin_boot)

    def registers(self) -> dict[str, Register]:
        """Return the stored register of each meter."""
        query = (
            "SELECT meter_id, import_uwh, export_uwh, import_rest, export_rest, epoch, at_ms,"
            " power_mw, kept_ms, import_wrapped_uwh, export_wrapped_uwh, doubts FROM register"
        )
        found = {}
        for meter_id, *values, into, out, doubts in self._opened().execute(query):
            found[meter_id] = replace(
                Register(*values),
                import_wrapped_uwh=into,
                export_wrapped_uwh=out,
                doubts=tuple(doubts.split()),
            )
        return found

    def calibrations(self) -> dict[str, Calibrated]:
        """Return how each meter that was calibrated is corrected."""
        return read_calibrations(self._opened())

    def points(self) -> dict[str, list[Point]]:
        """Return the samples that wait for their pack, in order of time."""
        found: dict[str, list[Point]] = {}
        query = "SELECT meter_id, at_ms, * FROM point ORDER BY at_ms"
        for meter_id, at_ms, _, _, *values in self._opened().execute(query):
            found.setdefault(meter_id, []).append(Point(at_ms, tuple(values)))
        return found

    def head(self, kid: bytes, stream: str) -> Head:
        """Return where a stream stands."""
        return self._heads.get((kid, stream), Head())

    def heads(self) -> dict[Key, Head]:
        """Return where every stream stands, as it is on disk."""
        self._opened()
        return dict(self._heads)

    @property
    def checkpoint(self) -> str:
        """The newest checkpoint that a receipt stood on, or ""."""
        return str(self._fact("checkpoint") or "")

    @property
    def alarm(self) -> str:
        """Why nothing is deleted any more, or ""."""
        return str(self._fact("alarm") or "")

    @property
    def evidence_file(self) -> str:
        """Where the evidence behind the alarm lies, or ""."""
        return str(self._fact("evidence_file") or "")

    @property
    def folder(self) -> Path:
        """Where the outbox lies."""
        return self._path.parent

    def raise_alarm(self, text: str, note: str, file: Path | None = None) -> None:
        """Stop deleting until a person has looked; keep the checkpoint that is the reason.

        `file` holds it as evidence, together with the one that is held.
        """
        with self._transaction(DURABLE) as connection:
            keep_fact(connection, "alarm", text)
            keep_fact(connection, "evidence", note)
            if file is not None:
                keep_fact(connection, "evidence_file", str(file))

    def forget_checkpoint(self) -> None:
        """End the alarm and believe the hub's next checkpoint, whatever it is."""
        with self._transaction(DURABLE) as connection:
            connection.execute(FORGET_ALARM)
            connection.execute("DELETE FROM fact WHERE name = 'checkpoint'")

    def begin_log_anew(self) -> None:
        """Send again all that is not final: the hub that had it stored gave it up, by an entry.

        The checkpoint stays until a receipt brings the next one, for others to see.
        """
        heads = {
            key: replace(head, stored_up_to=min(head.stored_up_to, head.final_up_to))
            for key, head in self.heads().items()
        }
        with self._transaction(DURABLE) as connection:
            for key, head in heads.items():
                keep_head(connection, key, head)
            connection.execute(FORGET_ALARM)
        self._heads = heads

    def first_held(self, kid: bytes, stream: str) -> int:
        """Return the lowest sequence beyond the stored ones that can still be sent."""
        head = self.head(kid, stream)
        query = "SELECT min(sequence) FROM row WHERE kid = ? AND stream = ? AND sequence > ?"
        (found,) = self._opened().execute(query, (kid, stream, head.stored_up_to)).fetchone()
        return head.next_sequence if found is None else int(found)

    def all_rows(self) -> Iterator[Row]:
        """Yield every row that is here, oldest first."""
        query = "SELECT id, kid, stream, sequence, raw FROM row ORDER BY id"
        return (Row(*values) for values in self._opened().execute(query))

    def rows_after(self, row_id: int, limit: int) -> list[Row]:
        """Return rows the hub has not said to have stored, oldest first, beyond `row_id`."""
        query = (
            "SELECT id, row.kid, row.stream, sequence, raw FROM row"
            " JOIN stream ON stream.kid = row.kid AND stream.stream = row.stream"
            " WHERE id > ? AND sequence > stored_up_to ORDER BY id LIMIT ?"
        )
        return [Row(*values) for values in self._opened().execute(query, (row_id, limit))]

    def rows_by_id(self, ids: Iterable[int]) -> list[Row]:
        """Return those of these rows that are still here, oldest first."""
        wanted = sorted(ids)
        marks = ",".join("?" * len(wanted))
        query = f"SELECT id, kid, stream, sequence, raw FROM row WHERE id IN ({marks}) ORDER BY id"  # noqa: S608
        return [Row(*values) for values in self._opened().execute(query, wanted)]

    def leaf_of(self, kid: bytes, stream: str, sequence: int) -> bytes | None:
        """Return the leaf hash of a row that is held, or was until lately."""
        query = "SELECT leaf_hash FROM row WHERE kid = ? AND stream = ? AND sequence = ?"
        found = self._opened().execute(query, (kid, stream, sequence)).fetchone()
        return found[0] if found else self._leaves.get((kid, stream, sequence))

    # What changes it

    def commit(self, batch: Batch) -> list[Row]:
        """Take sequences, sign, and store a batch in one durable transaction; return its rows.

        Raises:
            OutboxFull: the disk is full. Nothing was stored and no sequence was taken.
            OutboxError: the disk failed. Nothing may be assumed but what is read again.
        """
        return self._despite_full_disk(lambda: self._commit(batch))

    def calibrate(self, meter_id: str, calibrated: Calibrated, draft: Draft) -> Row:
        """Keep how a meter is corrected, and sign that it is, in one durable transaction."""
        return self.keep(draft, lambda each: keep_calibration(each, meter_id, calibrated))

    def keep(self, draft: Draft, also: Callable[[sqlite3.Connection], None]) -> Row:
        """Sign and store one message, and what stands or falls with it, in one transaction."""
        heads = self.heads()
        with self._transaction(DURABLE) as connection:
            row = store(connection, heads, draft)
            keep_head(connection, (row.kid, row.stream), heads[row.kid, row.stream])
            also(connection)
        self._heads = heads
        self.rows += 1
        return row

    def note(self, name: str, value: str) -> None:
        """Keep one named fact durably; an empty one is forgotten."""
        with self._transaction(DURABLE) as connection:
            keep_fact(connection, name, value)

    def settle(self, proven: Proven) -> Settled:
        """Note what a receipt says, and delete what it proves final."""
        heads = self.heads()
        told = [key for key in {*proven.stored, *proven.final} if key in heads]
        ahead = [key for key in told if proven.stored.get(key, 0) >= heads[key].next_sequence]
        deleted = 0
        with self._transaction(RELAXED) as connection:
            for key in told:
                head = _stored(heads[key], proven.stored.get(key, 0))
                final = proven.final.get(key, 0)
                heads[key], gone = self._finish(connection, key, head, final, proven)
                keep_head(connection, key, heads[key])
                deleted += gone
            if proven.note:
                keep_fact(connection, "checkpoint", proven.note)
        self._heads = heads
        self.rows -= deleted
        return Settled(deleted, tuple(ahead))

    def bury(self, kid: bytes, stream: str, sequence: int, reason: str, gap: int | None) -> bool:
        """Move what the hub will never take to the dead letters; return whether it was here."""
        place = (kid, stream, sequence)
        with self._transaction(DURABLE) as connection:
            moved = connection.execute(
                "INSERT OR IGNORE INTO dead_letter (kid, stream, sequence, reason, gap_index, raw)"
                " SELECT kid, stream, sequence, ?, ?, raw FROM row"
                " WHERE kid = ? AND stream = ? AND sequence = ?",
                (reason, gap, *place),
            ).rowcount
            connection.execute(
                "DELETE FROM row WHERE kid = ? AND stream = ? AND sequence = ?", place
            )
        self.rows -= moved
        self.dead_letters += moved
        return moved > 0

    def keep_ballast(self) -> bool:
        """Reserve the ballast again if there is room; return whether it is there."""
        return self._ballast.keep()

    # How it is done

    def _despite_full_disk(self, write: Callable[[], Result]) -> Result:
        """Return what a write returns; if the disk is full, once more after giving back ballast."""
        try:
            return write()
        except OutboxError as error:
            full = isinstance(error, OutboxFull) or self._ballast.is_needed()
            if not full or not self._ballast.free():
                raise
            log.warning("the disk is full; %d kB of ballast given back", self._ballast.size >> 10)
            return write()

    def _begin_boot(self) -> int:
        boot = int(self._fact("boot") or 0) + 1
        with self._transaction(DURABLE) as connection:
            keep_fact(connection, "boot", boot)
        return boot

    def _commit(self, batch: Batch) -> list[Row]:
        heads = self.heads()
        rows: list[Row] = []
        dropped = 0
        with self._transaction(DURABLE) as connection:
            for draft in batch.drafts:
                rows.append(store(connection, heads, draft))
            for key in {(row.kid, row.stream) for row in rows}:
                keep_head(connection, key, heads[key])
            keep_registers(connection, batch.registers)
            keep_points(connection, batch)
            excess = self.rows + len(rows) - self._rows_max
            if excess > 0:
                dropped = self._make_room(connection, heads, excess)
        self._heads = heads
        self.rows += len(rows) - dropped
        self.dropped += dropped
        return rows

    def _make_room(
        self, connection: sqlite3.Connection, heads: dict[Key, Head], excess: int
    ) -> int:
        """Drop the oldest telemetry; what was dropped is never waited for, nor proven, again."""
        oldest = connection.execute(
            "SELECT id, kid, sequence FROM row WHERE stream = ? ORDER BY id LIMIT ?",
            (TELEMETRY, max(excess, self._rows_max // SPARE_PART)),
        ).fetchall()
        for row_id, kid, sequence in oldest:
            connection.execute("DELETE FROM row WHERE id = ?", (row_id,))
            key = (kid, TELEMETRY)
            heads[key] = replace(heads[key], final_up_to=max(heads[key].final_up_to, sequence))
        for key in {(kid, TELEMETRY) for _, kid, _ in oldest}:
            keep_head(connection, key, heads[key])
        return len(oldest)

    def _finish(
        self,
        connection: sqlite3.Connection,
        key: Key,
        head: Head,
        final_up_to: int,
        proven: Proven,
    ) -> tuple[Head, int]:
        """Delete the rows of one stream from its oldest on, as far as they are proven."""
        last = min(final_up_to, head.next_sequence - 1)
        found = connection.execute(
            "SELECT sequence, leaf_hash FROM row WHERE kid = ? AND stream = ? AND sequence <= ?"
            " ORDER BY sequence",
            (*key, last),
        ).fetchall()
        gone = 0
        for sequence, leaf in found:
            if (*key, sequence) not in proven.places:
                last = sequence - 1
                break
            self._remember(*key, sequence, leaf)
            gone += 1
        connection.execute(
            "DELETE FROM row WHERE kid = ? AND stream = ? AND sequence <= ?", (*key, last)
        )
        return replace(head, final_up_to=max(head.final_up_to, last)), gone

    def _remember(self, kid: bytes, stream: str, sequence: int, leaf: bytes) -> None:
        """Keep the hash of a deleted row a while: a receipt on its way may prove it once more."""
        self._leaves[kid, stream, sequence] = leaf
        if len(self._leaves) > LEAVES_KEPT:
            self._leaves.popitem(last=False)

    def _fact(self, name: str) -> str | int | None:
        query = "SELECT value FROM fact WHERE name = ?"
        found = self._opened().execute(query, (name,)).fetchone()
        return found[0] if found else None

    def _opened(self) -> sqlite3.Connection:
        """Return the connection; after a failure it is a new one that reads everything again."""
        if self._connection is None:
            self._connection = open_for_writing(self._path)
            query = "SELECT kid, stream, next_sequence, stored_up_to, final_up_to FROM stream"
            rows = self._connection.execute(query)
            self._heads = {(kid, stream): Head(*marks) for kid, stream, *marks in rows}
            (self.rows,) = self._connection.execute("SELECT count(*) FROM row").fetchone()
            (self.dead_letters,) = self._connection.execute(
                "SELECT count(*) FROM dead_letter"
            ).fetchone()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    @contextmanager
    def _transaction(self, durability: str) -> Iterator[sqlite3.Connection]:
        connection = self._opened()
        try:
            connection.execute(durability)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(connection)
            raise _failure(self._path, error) from error
        except BaseException:
            self._undo(connection)
            raise

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Forget the transaction; the next use opens the file anew and believes only that.

        After a failed fsync nothing may be tried again on the same handle.
        """
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            log.warning("%s: %s", self._path, error)
        self._drop_connection()


def _stored(head: Head, stored_up_to: int) -> Head:
    """Return a head after the hub said what it has: its numbers are not used a second time."""
    return replace(
        head,
        next_sequence=max(head.next_sequence, stored_up_to + 1),
        stored_up_to=max(head.stored_up_to, stored_up_to),
    )


def _failure(path: Path, error: sqlite3.Error) -> OutboxError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OutboxFull(f"{path}: the disk is full")
    return OutboxError(f"{path}: {error}")
