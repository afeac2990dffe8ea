"""Whatever is changed in a ledger of 200 entries, `verify` or `audit` finds it and names it."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from hub.errors import LedgerBehind
from hub.ledger.schema import BOOKS
from hub.ledger.store import Store
from messages.errors import BadSignature
from messages.log.tree import Frontier, leaf_hash
from messages.publickey import PublicKey
from tests.support.whole_ledger import (
    Cell,
    Whole,
    cells,
    first_fault,
    make_whole,
    tables,
    turned,
    unprotected,
)

SEED = 20261121
PLACES = 20  # of each kind of tampering
PARTS = 24  # of the long version
TABLES = (
    "checkpoint",
    "cosignature",
    "decision",
    "entry",
    "evidence",
    "fate",
    "gap",
    "ledger",
    "line",
    "match",
    "node",
    "pack",
    "shed",
    "slot",
    "slot_energy",
    "snapshot",
    "view",
)
ENTRY_KINDS = (
    "ack",
    "block",
    "calibration",
    "call",
    "close",
    "decision",
    "epoch",
    "fault",
    "feed",
    "gap",
    "genesis",
    "key",
    "notice",
    "policy",
    "quorum",
    "reading",
    "seal",
    "takeover",
)
BOOK_TABLES = tuple(table.name for table in BOOKS)
DIARY = {"refused"}  # nobody signed its counts, so nobody can check them


@pytest.fixture(autouse=True)
def known_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check each signature once: thousands of ledgers here differ in one bit."""
    monkeypatch.setattr(PublicKey, "verify", _remembered)


VERIFY = PublicKey.verify


@lru_cache(maxsize=4096)
def _good(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        VERIFY(key, signature, message)
    except BadSignature:
        return False
    return True


def _remembered(key: PublicKey, signature: bytes, message: bytes) -> None:
    if not _good(key, signature, message):
        raise BadSignature("the signature does not verify under the registered key")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(original: Whole, tmp_path: Path) -> Whole:
    """A copy without its guards, to spoil."""
    for found in original.path.parent.iterdir():
        if "ballast" not in found.name:
            shutil.copy(found, tmp_path / found.name)
    made = Whole(tmp_path / original.path.name, original.trust)
    unprotected(made.path)
    return made


def test_the_untouched_ledger_has_200_entries_and_a_row_in_every_table(copy: Whole) -> None:
    assert copy.fault() == ""
    assert set(tables(copy.path)) == {*TABLES, *DIARY}
    with contextlib.closing(sqlite3.connect(copy.path)) as connection:
        for table in TABLES:
            assert connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0], table
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (200,)
        kinds = {kind for (kind,) in connection.execute("SELECT kind FROM entry")}
    assert kinds == set(ENTRY_KINDS)


# --- one bit -----------------------------------------------------------------------------------


def names_row(cell: Cell, fault: str) -> bool:
    """Whether a finding says where: the row's own number, or what was computed over it."""
    row = cell.row
    if cell.table == "entry" and cell.column in ("raw", "leaf_hash"):
        return fault.startswith(f"entry {row['index']} ")
    if cell.table == "node" and cell.column == "hash":
        first = row["index"] << row["level"]
        return f"over entries {first} to {first + (1 << row['level']) - 1}" in fault
    if cell.table == "checkpoint" and cell.column == "note":
        return f"over {row['size']} entries" in fault or f"for {row['size']}" in fault
    if cell.table == "evidence":
        return "the evidence about" in fault
    if cell.table in BOOK_TABLES:
        return "books" in fault
    return bool(fault)


def turn_bits(copy: Whole, table: str, choose: Callable[[Cell], list[int]]) -> int:
    """Turn bits of one table's values, one at a time, and demand that each is found by name."""
    tried = 0
    with contextlib.closing(sqlite3.connect(copy.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        for cell in list(cells(connection, table)):
            for bit in choose(cell):
                value = turned(cell.value, bit)
                try:
                    cell.write(connection, cell.value, value)
                except (sqlite3.IntegrityError, OverflowError):
                    continue  # the database itself refuses it
                fault = copy.fault()
                where = f"{table}.{cell.column} of {cell.row}: bit {bit}: {fault!r}"
                assert names_row(cell, fault), where
                cell.write(connection, value, cell.value)
                tried += 1
    assert copy.fault() == ""
    return tried


FLIPS = 4  # of each column of a table, and of the entries of a kind, in the short version


def turn_some(copy: Whole, table: str, seed: str, *, kind: str = "") -> int:
    """Turn FLIPS random bits of each column, of entries of one kind if one is named."""
    chooser = random.Random(f"{SEED} {seed}")
    columns: dict[str, list[Cell]] = {}
    with contextlib.closing(sqlite3.connect(copy.path)) as connection:
        for cell in cells(connection, table):
            if cell.row.get("kind") == kind or not kind:
                columns.setdefault(cell.column, []).append(cell)
    chosen: dict[tuple[object, ...], list[int]] = {}
    for found in columns.values():
        for _ in range(FLIPS):
            cell = chooser.choice(found)
            bits = chosen.setdefault(cell.place, [])
            bits.append(chooser.randrange(cell.bits))
    return turn_bits(copy, table, lambda cell: chosen.get(cell.place, []))


@pytest.mark.parametrize("table", TABLES)
def test_a_bit_turned_in_any_column_of_any_table_is_found_and_named(
    copy: Whole, table: str
) -> None:
    assert turn_some(copy, table, table) > 1


@pytest.mark.parametrize("kind", ENTRY_KINDS)
def test_a_bit_turned_in_an_entry_of_any_kind_is_found_and_named(copy: Whole, kind: str) -> None:
    assert turn_some(copy, "entry", kind, kind=kind) > FLIPS


@pytest.mark.torture
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("table", TABLES)
def test_every_bit_of_every_value_is_found(copy: Whole, table: str, part: int) -> None:
    def choose(cell: Cell) -> list[int]:
        return list(range(part, cell.bits, PARTS))

    turn_bits(copy, table, choose)


@pytest.mark.parametrize("table", BOOK_TABLES)
def test_an_invented_row_of_the_books_is_found(copy: Whole, table: str) -> None:
    with contextlib.closing(sqlite3.connect(copy.path)) as connection, connection:
        columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
        values = ", ".join("'x'" if "CHAR" in column[2] else "1" for column in columns)
        connection.execute(f'INSERT INTO "{table}" VALUES ({values})')
    assert copy.fault().startswith("the books have a row that no entry explains")


# --- nine kinds, twenty places each ---------------------------------------------------------------


def run(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def cut(path: Path, size: int) -> None:
    """Cut everything back to a tree of `size`, as an older copy has it."""
    run(
        path,
        f"DELETE FROM cosignature WHERE size > {size}",
        f"DELETE FROM pack WHERE seal_index >= {size} OR seal_index IS NULL",
        f"DELETE FROM gap WHERE entry_index >= {size}",
        f'DELETE FROM entry WHERE "index" >= {size}',
        f'DELETE FROM node WHERE (("index" + 1) << "level") > {size}',
        f"DELETE FROM checkpoint WHERE size > {size}",
        f"DELETE FROM snapshot WHERE size > {size}",
        f"UPDATE ledger SET number = {size} WHERE name = 'size'",
    )


def rehash(path: Path) -> None:
    """Number the entries anew and hash the tree again, as somebody with the disk can."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        columns = "leaf_hash, kid, stream, sequence, kind, raw, preimage"
        order = 'ORDER BY "index"'
        rows = connection.execute(f'SELECT "index", {columns} FROM entry {order}').fetchall()
        connection.execute("DELETE FROM entry")
        connection.execute("DELETE FROM node")
        edge = Frontier()
        moved = {}
        for at, (index, _, *rest) in enumerate(rows):
            leaf = leaf_hash(rest[4])
            moved[index] = at
            connection.execute("INSERT INTO entry VALUES (?,?,?,?,?,?,?,?)", (at, leaf, *rest))
            nodes = [node for node in edge.append(leaf) if node[0]]
            connection.executemany("INSERT INTO node VALUES (?,?,?)", nodes)
        places = ",".join(map(str, moved))
        connection.execute(f"DELETE FROM gap WHERE entry_index NOT IN ({places})")
        for old, new in sorted(moved.items()):
            connection.execute("UPDATE pack SET seal_index = ? WHERE seal_index = ?", (new, old))
            connection.execute("UPDATE gap SET entry_index = ? WHERE entry_index = ?", (new, old))
        connection.execute("UPDATE ledger SET number = ? WHERE name = 'size'", (len(rows),))


Tamper = Callable[[Path, int], str]  # (ledger, index) -> what the finding has to name


def edit(path: Path, at: int) -> str:
    run(path, f"UPDATE entry SET raw = CAST(raw || x'00' AS BLOB) WHERE \"index\" = {at}")
    return f"entry {at} is not the one that was hashed"


def delete(path: Path, at: int) -> str:
    run(path, f'DELETE FROM entry WHERE "index" = {at}')
    return f"entry {at} is missing"


def delete_and_rehash(path: Path, at: int) -> str:
    run(path, f'DELETE FROM entry WHERE "index" = {at}')
    rehash(path)
    return ""


def swap_and_rehash(path: Path, at: int) -> str:
    run(
        path,
        f'UPDATE entry SET "index" = -1 WHERE "index" = {at}',
        f'UPDATE entry SET "index" = {at} WHERE "index" = {at + 1}',
        f'UPDATE entry SET "index" = {at + 1} WHERE "index" = -1',
    )
    rehash(path)
    return ""


def cut_tail(path: Path, at: int) -> str:
    run(path, f'DELETE FROM entry WHERE "index" >= {at}')
    return f"holds {at} entries, fewer than the 200 of its newest checkpoint"


def roll_back(path: Path, at: int) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        kept = 'SELECT 1 FROM entry WHERE kind = ? AND "index" < ?'
        is_same_log = connection.execute(kept, ("takeover", at)).fetchone() is not None
    cut(path, at)
    return "handed out a checkpoint over 200" if is_same_log else "by genesis the log's key is"


def fork(path: Path, at: int) -> str:
    """Another history from here on, with everything but the log's key made to fit."""
    run(path, f"DELETE FROM checkpoint WHERE size > {at}", "DELETE FROM cosignature")
    return delete_and_rehash(path, at)


def flip_a_bit(path: Path, at: int) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        wanted = 'SELECT raw FROM entry WHERE "index" = ?'
        (raw,) = connection.execute(wanted, (at,)).fetchone()
        spoilt = turned(raw, at * 7 % (len(raw) * 8))
        connection.execute('UPDATE entry SET raw = ? WHERE "index" = ?', (spoilt, at))
    return f"entry {at} is not the one that was hashed"


def truncate_file(path: Path, at: int) -> str:
    length = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(length * at // 200 // 4096 * 4096)
    return ""


KINDS: dict[str, Tamper] = {
    "edit": edit,
    "delete": delete,
    "delete and hash again": delete_and_rehash,
    "swap and hash again": swap_and_rehash,
    "cut tail": cut_tail,
    "roll back": roll_back,
    "fork": fork,
    "bit": flip_a_bit,
    "file truncated": truncate_file,
}


@pytest.mark.parametrize("kind", KINDS)
def test_tampering_at_random_places_is_found(original: Whole, copy: Whole, kind: str) -> None:
    pristine = {path.name: path.read_bytes() for path in copy.path.parent.iterdir()}
    chooser, found = random.Random(f"{SEED} {kind}"), 0
    for at in chooser.sample(range(4, 198), PLACES):
        for stale in copy.path.parent.iterdir():
            stale.unlink()
        for name, content in pristine.items():
            (copy.path.parent / name).write_bytes(content)
        wanted = KINDS[kind](copy.path, at)
        fault = first_fault(copy.path, original.trust)
        assert fault, f"{kind} at {at}"
        assert wanted in fault, f"{kind} at {at}: {fault}"
        found += 1
    assert found == PLACES


def test_a_rollback_that_takes_the_file_beside_along_is_found_by_a_node(copy: Whole) -> None:
    """The one thing that no file on this disk can tell; an edge's receipt does."""
    cut(copy.path, 120)
    copy.path.with_name("ledger.db.newest").unlink()
    run(copy.path, *(f'DELETE FROM "{name}"' for name in BOOK_TABLES))
    with (
        Store.open(f"sqlite:///{copy.path}", read_only=True) as store,
        pytest.raises(LedgerBehind, match="node n1 shows a checkpoint over 200"),
    ):
        store.check_seen(200, bytes(32), "node n1 shows")
