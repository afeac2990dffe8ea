"""The outbox file: its tables, how it is opened, and what one writer alone may do with it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO, Final

from edge.errors import OutboxCorrupt, OutboxError, OutboxLocked

VERSION: Final = 3
BUSY_S: Final = 5.0

# What is signed must be on disk before it leaves: FULL. What is deleted was proven to be on the
# ledger, and a deletion that a power cut undoes is only sent again: NORMAL.
DURABLE: Final = "PRAGMA synchronous = FULL"
RELAXED: Final = "PRAGMA synchronous = NORMAL"

_TABLES: Final = """
CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE stream (
    kid BLOB NOT NULL,
    stream TEXT NOT NULL,
    next_sequence INTEGER NOT NULL,
    stored_up_to INTEGER NOT NULL,
    final_up_to INTEGER NOT NULL,
    PRIMARY KEY (kid, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE row (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kid BLOB NOT NULL,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    leaf_hash BLOB NOT NULL,
    raw BLOB NOT NULL,
    UNIQUE (kid, stream, sequence)
) STRICT;

CREATE TABLE dead_letter (
    kid BLOB NOT NULL,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    reason TEXT NOT NULL,
    gap_index INTEGER,
    raw BLOB NOT NULL,
    PRIMARY KEY (kid, stream, sequence)
) STRICT;

CREATE TABLE register (
    meter_id TEXT PRIMARY KEY,
    import_uwh INTEGER,
    export_uwh INTEGER,
    import_rest INTEGER NOT NULL,
    export_rest INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at_ms INTEGER,
    power_mw INTEGER,
    kept_ms INTEGER,
    import_wrapped_uwh INTEGER NOT NULL DEFAULT 0,
    export_wrapped_uwh INTEGER NOT NULL DEFAULT 0,
    doubts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE point (
    at_ms INTEGER NOT NULL,
    meter_id TEXT NOT NULL,
    power_mw INTEGER,
    import_uwh INTEGER,
    export_uwh INTEGER,
    voltage_mv INTEGER,
    current_ma INTEGER,
    frequency_mhz INTEGER,
    PRIMARY KEY (at_ms, meter_id)
) STRICT, WITHOUT ROWID;
"""

_CALIBRATION: Final = """
CREATE TABLE calibration (
    meter_id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    power_gain_ppm INTEGER NOT NULL,
    power_offset_mw INTEGER NOT NULL,
    voltage_gain_ppm INTEGER NOT NULL,
    current_gain_ppm INTEGER NOT NULL,
    current_offset_ma INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_MIGRATIONS: Final = {
    1: """
ALTER TABLE register ADD COLUMN import_wrapped_uwh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE register ADD COLUMN export_wrapped_uwh INTEGER NOT NULL DEFAULT 0;
""",
    2: _CALIBRATION,
}


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the outbox, making it if it is not there.

    Raises:
        OutboxCorrupt: no outbox, a damaged one, or one of a newer version.
        OutboxError: it cannot be opened.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(DURABLE)
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        raise _fault(path, error) from error
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the outbox beside its writer, for `status`.

    Raises:
        OutboxError: there is none, or it cannot be read.
    """
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", timeout=BUSY_S, uri=True)
        _check_version(connection, path)
    except sqlite3.DatabaseError as error:
        raise _fault(path, error) from error
    return connection


def lock(path: Path) -> IO[str]:
    """Take the lock of a state folder; it is let go of when the file is closed.

    Raises:
        OutboxLocked: another process has it.
    """
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise OutboxLocked(f"{path.parent} is in use by process {owner}; stop it first") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
        connection.executescript(
            f"BEGIN;{_TABLES}{_CALIBRATION}PRAGMA user_version = {VERSION};COMMIT;"
        )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number in range(version, VERSION):
        steps = f"{_MIGRATIONS[number]}PRAGMA user_version = {number + 1};"
        connection.executescript(f"BEGIN;{steps}COMMIT;")
    _check_version(connection, path)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise OutboxCorrupt(f"{path}: format {version}, this program knows {VERSION}")


def _fault(path: Path, error: sqlite3.DatabaseError) -> OutboxError:
    if isinstance(error, sqlite3.OperationalError):
        return OutboxError(f"{path}: {error}")
    return OutboxCorrupt(
        f"{path}: {error}. It is damaged: keep it for later, make new keys with "
        "gridtally-edge keygen in a new folder, and enrol them"
    )
