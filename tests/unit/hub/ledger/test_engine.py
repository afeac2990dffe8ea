"""What is said to SQLite, and what would be said to PostgreSQL."""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from hub.errors import LedgerCorrupt, LedgerError, StorageFull
from hub.ledger import engine, schema
from hub.ledger.ballast import Ballast
from hub.ledger.store import Store
from tests.support.small_ledger import BALLAST_BYTES, SmallHub, raw_entries


def test_what_keeps_acknowledged_rows(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    with hub.store.engine.connect() as connection:
        for name, wanted in pragmas.items():
            assert connection.execute(text(f"PRAGMA {name}")).scalar_one() == wanted


def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)

    def write() -> None:
        with engine.writing(hub.store.engine) as connection:
            connection.execute(schema.refused.insert().values(reason="x", node="n", total=1))
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert hub.store.strangers.counts() == {}


def test_reading_is_one_snapshot(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    count = text("SELECT count(*) FROM entry")
    with engine.reading(hub.store.engine) as connection:
        assert connection.execute(count).scalar_one() == 1
        hub.store.append(raw_entries(3))
        assert connection.execute(count).scalar_one() == 1


class Odd(sqlite3.OperationalError):
    """An error as the driver gives it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sqlite_errorname = name


class Full(Exception):
    """An error as psycopg gives it."""

    sqlstate = "53100"


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (Odd("SQLITE_FULL"), StorageFull),
        (OSError(errno.ENOSPC, "no space"), StorageFull),
        (Full(), StorageFull),
        (Odd("SQLITE_IOERR_FSYNC"), LedgerError),
        (Odd("SQLITE_CANTOPEN"), LedgerError),
        (Odd("SQLITE_CORRUPT_INDEX"), LedgerCorrupt),
        (Odd("SQLITE_ERROR"), LedgerCorrupt),
    ],
)
def test_the_drivers_errors_get_our_names(
    tmp_path: Path, cause: BaseException, error: type[Exception]
) -> None:
    hub = SmallHub(tmp_path)
    where = re.escape(str(hub.path))
    with pytest.raises(error, match=where) as caught, engine.named_errors(hub.store.engine):
        raise OperationalError("statement", {}, cause)
    assert type(caught.value) is error
    assert hub.store.append(raw_entries(1)) == range(1, 2)  # with fresh connections


@pytest.mark.parametrize(
    ("code", "error"), [("SQLITE_FULL", StorageFull), ("SQLITE_IOERR_FSYNC", LedgerError)]
)
def test_the_drivers_own_errors_get_our_names_too(
    tmp_path: Path, code: str, error: type[Exception]
) -> None:
    """Moving the write-ahead log asks the driver itself, past what wraps its errors."""
    hub = SmallHub(tmp_path)
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorname = code  # type: ignore[misc]
    with pytest.raises(error) as caught, engine.named_errors(hub.store.engine):
        raise cause
    assert type(caught.value) is error


def test_a_path_with_signs_that_urls_use(tmp_path: Path) -> None:
    folder = tmp_path / "50 % #1"
    folder.mkdir()
    SmallHub(folder).store.close()
    assert (folder / "ledger.db").exists()
    with Store.open(f"sqlite:///{folder}/ledger.db", read_only=True) as store:
        assert store.size == 1


def test_a_read_only_ledger_in_a_stopped_hub(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    hub.store.close()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(hub.path, copy / "ledger.db")  # as from a backup, no -wal beside it
    with Store.open(f"sqlite:///{copy}/ledger.db", read_only=True) as store:
        assert store.size == 1
        with pytest.raises(LedgerError):
            store.strangers.count({("x", "n"): 1})


# --- PostgreSQL, as far as words go -----------------------------------------------------------

PG = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]


def test_every_table_can_be_said_to_postgresql() -> None:
    said = [str(CreateTable(table).compile(dialect=PG)) for table in schema.metadata.sorted_tables]
    assert not any("AUTOINCREMENT" in words or "WITHOUT ROWID" in words for words in said)
    entry = next(words for words in said if "CREATE TABLE entry" in words)
    assert "index BIGINT NOT NULL" in entry
    assert "raw BYTEA NOT NULL" in entry
    indexes = [
        str(CreateIndex(index).compile(dialect=PG))
        for table in schema.metadata.sorted_tables
        for index in table.indexes
    ]
    assert any("WHERE kind != 'reading'" in words for words in indexes)


def test_inserts_and_triggers_for_postgresql() -> None:
    statement, is_positional = engine._insert_text(schema.node, PG)
    assert not is_positional
    assert "%(level)s" in statement
    over, _ = engine._insert_text(schema.slot_energy, PG, over=True)
    assert "ON CONFLICT (slot_ms, meter_id) DO UPDATE SET member = excluded.member" in over
    words = engine._trigger("postgresql", "entry", "DELETE")
    assert words[1].startswith("CREATE OR REPLACE TRIGGER entry_no_delete BEFORE DELETE ON entry")
    assert engine.database_path("postgresql+psycopg://h/db") is None


# --- ballast ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "is_expected"), [(errno.ENOSPC, True), (errno.EIO, False)])
def test_ballast_on_a_disk_that_filled_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_expected: bool
) -> None:
    def fail(_descriptor: int, _offset: int, _length: int) -> None:
        raise OSError(code, "x")

    monkeypatch.setattr("os.posix_fallocate", fail)
    ballast = Ballast(tmp_path / "b", BALLAST_BYTES)
    if is_expected:
        assert not ballast.keep()
        assert not (tmp_path / "b").exists()
    else:
        with pytest.raises(OSError, match="x"):
            ballast.keep()


def test_a_disk_is_low_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    ballast = Ballast(tmp_path / "b")
    mebibyte = 1024 * 1024
    for total, free, is_low in (
        (1_000, 51, False),
        (1_000, 49, True),
        (1_000_000 * mebibyte, 300 * mebibyte, False),
        (1_000_000 * mebibyte, 200 * mebibyte, True),
    ):
        monkeypatch.setattr("shutil.disk_usage", lambda _path, t=total, f=free: usage(t, t - f, f))
        assert ballast.is_low() is is_low
