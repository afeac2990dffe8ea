"""The one place that knows which database it is: connections, transactions, triggers, error codes.

SQLite: WAL and synchronous=FULL, so that what was committed survives a power cut (reliability D8);
a write takes its lock at the start (BEGIN IMMEDIATE) and a read is one snapshot. Other dialects get
their defaults, which are durable.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    Insert,
    Table,
    create_engine,
    event,
    insert,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from hub.errors import LedgerCorrupt, LedgerError, StorageFull
from hub.ledger.schema import APPEND_ONLY

BUSY_TIMEOUT_MS = 5_000
CONNECTIONS_MAX = 4
CACHE_KIB = 65_536
WAL_AUTOCHECKPOINT_PAGES = 4_000
NOT_DAMAGE = (
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
)
FILE = "file:"  # how SQLite is told that a name is a URI
WRITER_MARK = "gridtally_writer"  # execution option: this transaction will write


def connect(url: str, *, read_only: bool) -> Engine:
    """Return an engine whose transactions are durable and explicit. Opens nothing yet."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed)
    path = parsed.database
    if not path or path == ":memory:":
        raise LedgerError(f"{url}: a ledger needs a file, not memory")
    if read_only:
        query = {"mode": "ro", "uri": "true"}
        parsed = parsed.set(database=f"{FILE}{_quoted(path)}", query=query)
    engine = create_engine(parsed, pool_size=CONNECTIONS_MAX, max_overflow=0)
    _prepare_sqlite(engine, read_only=read_only)
    return engine


def database_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for a server's."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database)


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    def on_connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # transactions begin where on_begin says, nowhere else
        pragmas = [
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
            f"cache_size=-{CACHE_KIB}",
        ]
        if not read_only:
            pragmas += [
                "journal_mode=WAL",
                "synchronous=FULL",
                "secure_delete=ON",  # what retention takes is overwritten, not only unlinked
                f"wal_autocheckpoint={WAL_AUTOCHECKPOINT_PAGES}",
            ]
        for pragma in pragmas:
            dbapi.execute(f"PRAGMA {pragma}").close()

    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITER_MARK, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One snapshot of the database for the length of the block."""
    with named_errors(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One durable transaction: committed when the block ends, undone when it raises."""
    with named_errors(engine), engine.connect() as connection:
        marked = connection.execution_options(**{WRITER_MARK: True})
        with marked.begin():
            yield marked


@contextmanager
def named_errors(engine: Engine) -> Iterator[None]:
    """Turn the driver's full-disk, broken-file and locked-file errors into the hub's."""
    try:
        yield
    except UnicodeDecodeError as error:  # sqlite3 cannot even say what is wrong with the file
        raise LedgerCorrupt(_damaged(place(engine), error)) from error
    except IntegrityError as error:
        raise LedgerError(f"the ledger refused a row: {error.orig}") from error
    except (DBAPIError, sqlite3.Error) as error:
        engine.dispose()  # never try again on a handle whose write or sync failed
        where = place(engine)
        raw = error.orig if isinstance(error, DBAPIError) else error
        name = getattr(raw, "sqlite_errorname", "")
        if _is_full(raw, name):
            raise StorageFull(
                f"{where}: the disk is full, so nothing was stored. Free some space; "
                "the edges keep their readings and send them again."
            ) from error
        if name.startswith(NOT_DAMAGE):
            raise LedgerError(f"{where}: {raw} ({name})") from error
        if engine.dialect.name == "sqlite" and not isinstance(error, ProgrammingError):
            raise LedgerCorrupt(_damaged(where, raw)) from error
        raise


def place(engine: Engine) -> str:
    """Return where the ledger is, for people: a path, or a server's address."""
    database = engine.url.database or ""
    if engine.dialect.name != "sqlite":
        return engine.url.render_as_string(hide_password=True)
    return unquote(database.removeprefix(FILE)) if database.startswith(FILE) else database


def _damaged(where: str, what: object) -> str:
    return (
        f"{where}: the database file is damaged ({what}). Do not sign on with it: keep it as "
        "evidence, and put the newest good copy back."
    )


def _is_full(raw: BaseException | None, name: str) -> bool:
    if name == "SQLITE_FULL":
        return True
    if getattr(raw, "sqlstate", "") == "53100":  # PostgreSQL: disk_full
        return True
    return isinstance(raw, OSError) and raw.errno == errno.ENOSPC


def protect(connection: Connection) -> None:
    """Add triggers that abort UPDATE and DELETE on the log's tables. They stop accidents."""
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            for statement in _trigger(connection.dialect.name, table, verb):
                connection.exec_driver_sql(statement)


def _trigger(dialect: str, table: str, verb: str) -> list[str]:
    name = f"{table}_no_{verb.lower()}"
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
        ]
    return [
        "CREATE OR REPLACE FUNCTION log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$",
        f"CREATE OR REPLACE TRIGGER {name} BEFORE {verb} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION log_is_append_only()",
    ]


def shrink_wal(engine: Engine) -> None:
    """Move SQLite's write-ahead log into the database file; elsewhere nothing is to be done."""
    if engine.dialect.name != "sqlite":
        return
    with named_errors(engine), engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        if driver is not None:
            driver.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def damage(engine: Engine) -> str:
    """Return what SQLite's own check of its file found; "" if nothing, or no such check exists."""
    if engine.dialect.name != "sqlite":
        return ""
    with reading(engine) as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalars().all()
    return "" if found == ["ok"] else "; ".join(found)


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[tuple[object, ...]], *, over: bool = False
) -> None:
    """Insert rows given in the order of the table's columns, past SQLAlchemy's work per value.

    `over`: each over the one with its primary key, where there is one.
    """
    if not rows:
        return
    statement, is_positional = _insert_text(table, connection.dialect, over=over)
    if is_positional:
        connection.exec_driver_sql(statement, list(rows))
    else:
        names = [column.name for column in table.columns]
        connection.exec_driver_sql(statement, [dict(zip(names, r, strict=True)) for r in rows])


@lru_cache(maxsize=64)
def _insert_text(table: Table, dialect: Dialect, *, over: bool = False) -> tuple[str, bool]:
    compiled = (_insert_over(table, dialect) if over else insert(table)).compile(dialect=dialect)
    return str(compiled), compiled.positional


def _insert_over(table: Table, dialect: Dialect) -> Insert:
    made = sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)
    rest = [column.name for column in table.columns if not column.primary_key]
    values = {name: made.excluded[name] for name in rest}
    return made.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
