"""A ledger of 200 entries with a row in nearly every table, to be spoiled cell by cell."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean

from hub.auditing.audit import Inputs, audit, views_fault
from hub.errors import LedgerError
from hub.ledger.preimages import Preimages
from hub.ledger.schema import metadata
from hub.ledger.store import Store
from hub.ledger.verify import verify
from messages.trust import Trust
from tests.support.whole_hub import WholeHub


@dataclass(frozen=True)
class Whole:
    """The ledger file, and what its verifier believes."""

    path: Path
    trust: Trust

    def fault(self) -> str:
        """What `verify`, and then `audit`, find wrong in the file; "" if nothing."""
        return first_fault(self.path, self.trust)


def first_fault(path: Path, trust: Trust) -> str:
    """Return the first finding of `verify`, or else of `audit`."""
    url = f"sqlite:///{path}"
    try:
        found = verify(url, trust).findings
        if found:
            return found[0]
        with Store.open(url, read_only=True) as store:
            size = store.size
            snapshots = {kept.size: kept for kept in store.snapshots()}
            if max(snapshots, default=0) > size:
                return "a snapshot is of more entries than the ledger has"
            preimages = Preimages(store.engine).of
            inputs = Inputs(preimages=preimages, views=store.views.body, snapshots=snapshots)
            report = audit(store.raws(0, size), inputs, store.books.history())
            return report.difference or views_fault(store.views.all())
    except (LedgerError, ValueError, TypeError) as error:
        return f"cannot be read: {error}"


def make_whole(folder: Path) -> Whole:
    """Write it."""
    hub = WholeHub(folder)
    with hub.store:
        return Whole(hub.path, hub.fill_whole())


# --- cell by cell ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One value of one row."""

    table: str
    column: str
    row: dict[str, Any]
    keys: tuple[str, ...]

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.row[self.column]

    @property
    def place(self) -> tuple[Any, ...]:
        """Which value of its table this is."""
        return (self.column, *(self.row[key] for key in self.keys))

    @property
    def bits(self) -> int:
        """How many bits the value has to turn; of a truth value one, all but 0 being true."""
        kind = metadata.tables[self.table].c[self.column].type
        return 1 if isinstance(kind, Boolean) else bits_of(self.value)

    def write(self, connection: sqlite3.Connection, old: Any, new: Any) -> None:
        """Put `new` where `old` is."""
        row = self.row | {self.column: old}
        where = " AND ".join(f'"{key}" IS ?' for key in self.keys)
        statement = f'UPDATE "{self.table}" SET "{self.column}" = ? WHERE {where}'
        changed = connection.execute(statement, (new, *(row[key] for key in self.keys))).rowcount
        if changed != 1:
            raise AssertionError(f"{self.table} {row}: {changed} rows changed")


def tables(path: Path) -> list[str]:
    """Return the names of all tables."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return sorted(name for (name,) in found if not name.startswith("sqlite_"))


def cells(connection: sqlite3.Connection, table: str) -> Iterator[Cell]:
    """Yield every value of a table."""
    columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
    names = [column[1] for column in columns]
    keys = tuple(column[1] for column in columns if column[5])
    for values in connection.execute(f'SELECT * FROM "{table}"').fetchall():
        row = dict(zip(names, values, strict=True))
        for name in names:
            yield Cell(table, name, row, keys)


def unprotected(path: Path) -> None:
    """Take the triggers away, as an owner with a shell would."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            connection.execute(f'DROP TRIGGER "{name}"')


def turned(value: Any, bit: int) -> Any:
    """Return a value with one of its bits turned; None becomes a number."""
    if value is None:
        return 1 << bit % 8
    if isinstance(value, int):
        return value ^ (1 << bit)
    if isinstance(value, str):
        raw = value.encode()
        return turned(raw, bit).decode("latin-1") if raw else chr(1 << bit % 7)
    if not value:
        return bytes((1 << bit % 8,))
    spoilt = bytearray(value)
    spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def bits_of(value: Any) -> int:
    """Return how many bits a value has to turn."""
    if isinstance(value, int):
        return max(value.bit_length() + 1, 2)
    if isinstance(value, str | bytes):
        return max(len(value.encode() if isinstance(value, str) else value) * 8, 1)
    return 1
