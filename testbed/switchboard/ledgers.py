"""Somebody who has the hub's disk: one byte of an old entry changed, or an old copy put back.

He works on the file as an intruder would, and undoes it exactly.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from testbed.errors import Unplayable
from testbed.stage import HUB, WEB
from testbed.switchboard.programs import Programs

WAIT_S: Final = 10.0
OLD: Final = ".old"
KEPT: Final = ".kept"
PARTS: Final = ("", "-wal", "-shm")


@dataclass(slots=True)
class LedgerEdited:
    """One bit of one byte of an old reading is turned, in the database of the running hub."""

    programs: Programs
    database: Path
    _index: int | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is turned."""
        return self._index is not None

    def turn(self, on: bool) -> None:
        """Turn it, or turn it back; the page's verifier then starts anew.

        Raises:
            Unplayable: there is no reading on the ledger yet.
        """
        with closing(sqlite3.connect(self.database, timeout=WAIT_S)) as connection:
            if on:
                self._index = _an_old_reading(connection)
            if self._index is None:
                raise Unplayable("the ledger holds no reading yet: wait until a slot has begun")
            _turn_a_bit(connection, self._index)
        if not on:
            self._index = None
        self.programs.start_anew(WEB)


def _an_old_reading(connection: sqlite3.Connection) -> int | None:
    found = connection.execute('SELECT min("index") FROM entry WHERE kind = ?', ("reading",))
    index = found.fetchone()[0]
    return None if index is None else int(index)


def _turn_a_bit(connection: sqlite3.Connection, index: int) -> None:
    """Turn the last bit of the middle byte of an entry; triggers against accidents stand aside."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entry'"
        triggers = connection.execute(query).fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        (raw,) = connection.execute('SELECT raw FROM entry WHERE "index" = ?', (index,)).fetchone()
        middle = len(raw) // 2
        raw = raw[:middle] + bytes((raw[middle] ^ 1,)) + raw[middle + 1 :]
        connection.execute('UPDATE entry SET raw = ? WHERE "index" = ?', (raw, index))
        for _, made_by in triggers:
            connection.execute(made_by)


@dataclass(slots=True)
class LedgerRolledBack:
    """The hub starts on the copy of its ledger that was made when the demo began."""

    programs: Programs
    database: Path
    is_on: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Make the copy, as a backup would."""
        with (
            closing(sqlite3.connect(self.database, timeout=WAIT_S)) as source,
            closing(sqlite3.connect(self._beside(OLD))) as target,
        ):
            source.backup(target)

    def turn(self, on: bool) -> None:
        """Put the copy in the ledger's place, or the ledger back into it."""
        self.programs.kill(HUB)
        away, back = (KEPT, OLD) if on else (OLD, KEPT)
        for part in PARTS:
            _move(Path(f"{self.database}{part}"), Path(f"{self._beside(away)}{part}"))
            _move(Path(f"{self._beside(back)}{part}"), Path(f"{self.database}{part}"))
        self.is_on = on
        self.programs.let_end(HUB, on)
        self.programs.bring_back(HUB)
        self.programs.start_anew(WEB)

    def _beside(self, ending: str) -> Path:
        return self.database.with_name(self.database.name + ending)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        source.replace(target)
