"""What a witness cosigned last, in one SQLite file: compared and stored in one durable step.

No write-ahead log: its loss would take back what was cosigned without a trace. The rollback journal
is synced before the file (synchronous=FULL), and triggers refuse a smaller size and an earlier time
even from a program that forgot to ask.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hub.errors import StorageFull, WitnessRefused
from hub.witness.judge import Held

FORMAT: Final = 1
BUSY_TIMEOUT_S: Final = 5.0
RETIRE: Final = (
    "A witness that does not know what it cosigned last could cosign a fork of it: retire its key. "
    "Move the folder away, run `gridtally-hub witness-init` with another name, and let the logs "
    "put the new vkey into their policy."
)
SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE head (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    time_s INTEGER NOT NULL,
    note TEXT NOT NULL
);
CREATE TRIGGER head_only_grows BEFORE UPDATE ON head
WHEN NEW.origin <> OLD.origin OR NEW.size < OLD.size OR NEW.time_s < OLD.time_s
    OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
CREATE TRIGGER head_stays BEFORE DELETE ON head
BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END;
"""


class Decision:
    """What is held of a log; set `new` to store what replaces it."""

    def __init__(self, held: Held | None) -> None:
        self.held = held
        self.new: Held | None = None


class Memory:
    """Owns the file. Any thread may ask; one at a time is between comparing and storing."""

    def __init__(self, path: Path) -> None:
        """Open an existing file.

        Raises:
            WitnessRefused: it is not there, or holds no witness's memory.
        """
        if not path.is_file() or path.stat().st_size == 0:
            raise WitnessRefused(f"{path}: what was cosigned last is lost. {RETIRE}")
        self.path = path
        self._lock = threading.Lock()
        self._connection = _connect(path)
        try:
            self.vkey = self._about("vkey")
            if self._about("format") != str(FORMAT):
                raise WitnessRefused(f"{path} was written by another version of gridtally")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise WitnessRefused(f"{path} cannot be read: {error}. {RETIRE}") from error
        except WitnessRefused:
            self._connection.close()
            raise

    @classmethod
    def create(cls, path: Path, vkey: str) -> Memory:
        """Make the memory of a new witness, which has cosigned nothing."""
        connection = _connect(path)
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
            rows = [("format", str(FORMAT)), ("vkey", vkey)]
            connection.executemany("INSERT INTO about VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        finally:
            connection.close()
        return cls(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def held(self, origin: str) -> Held | None:
        """Return what was cosigned last for a log, None if nothing ever was."""
        with self._lock:
            return self._held(origin)

    @contextmanager
    def deciding(self, origin: str) -> Iterator[Decision]:
        """Let nobody else decide while the block runs; what it stores is durable when it ends.

        Raises:
            StorageFull, sqlite3.Error: nothing was stored, and nothing may be answered.
        """
        with self._lock:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                decision = Decision(self._held(origin))
                yield decision
                if decision.new is not None:
                    self._store(origin, decision.new)
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
                    raise StorageFull(f"{self.path}: the disk is full") from error
                raise

    def _held(self, origin: str) -> Held | None:
        query = "SELECT size, root, time_s, note FROM head WHERE origin = ?"
        row = self._connection.execute(query, (origin,)).fetchone()
        return None if row is None else Held(*row)

    def _store(self, origin: str, held: Held) -> None:
        self._connection.execute(
            "INSERT INTO head VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET"
            " size = excluded.size, root = excluded.root,"
            " time_s = excluded.time_s, note = excluded.note",
            (origin, held.size, held.root, held.time_s, held.note),
        )

    def _about(self, name: str) -> str:
        query = "SELECT value FROM about WHERE name = ?"
        row = self._connection.execute(query, (name,)).fetchone()
        if row is None:
            raise WitnessRefused(f"{self.path} does not say its {name}. {RETIRE}")
        return str(row[0])


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in ("journal_mode=PERSIST", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise WitnessRefused(f"{path} cannot be read: {error}. {RETIRE}") from error
    return connection
