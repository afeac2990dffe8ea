"""The store: durable appends, one writer, no rollback unseen, a full disk survived."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import (
    LedgerBehind,
    LedgerCorrupt,
    LedgerError,
    LedgerLocked,
    NoSuchEntry,
    SchemaMismatch,
    StorageFull,
)
from hub.ledger import opening, schema
from hub.ledger.ballast import Ballast
from hub.ledger.books import (
    TABLES,
    BookRow,
    Books,
    DecisionRow,
    FateRow,
    LineRow,
    MatchRow,
    ShedRow,
    SlotEnergyRow,
    SlotRow,
    time_ms,
)
from hub.ledger.newest import LINE_BYTES, HandedOut, NewestFile
from hub.ledger.records import Evidence, NewEntry, NewPack, Snapshot
from hub.ledger.store import Store
from hub.ledger.verify import verify
from messages.log.tree import leaf_hash
from messages.log.tree import root as root_of
from tests.support.small_ledger import BALLAST_BYTES, SmallHub, append_all, raw_entries


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    made = SmallHub(tmp_path)
    yield made
    made.store.close()


def test_nobody_else_on_the_machine_reads_a_ledger(hub: SmallHub, tmp_path: Path) -> None:
    append_all(hub.store, raw_entries(3))
    made = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.name for path in made if path.name.endswith(("-wal", "-shm"))] != []
    assert [path.name for path in made if path.stat().st_mode & 0o077] == []


# --- appending -----------------------------------------------------------------------------


def test_indices_follow_each_other(hub: SmallHub) -> None:
    entries = raw_entries(5)
    assert hub.store.append(entries[:2]) == range(1, 3)
    assert hub.store.append([]) == range(3, 3)
    assert hub.store.append(entries[2:]) == range(3, 6)
    assert hub.store.size == 6
    assert [entry.raw for entry in hub.store.entries(1)] == [new.raw for new in entries]
    leaves = [entry.leaf_hash for entry in hub.store.entries()]
    assert hub.store.root() == root_of(leaves)


def test_an_entry_is_found_by_all_its_names(hub: SmallHub) -> None:
    hub.enrol()
    hub.store.append([hub.reading(), hub.reading()])
    kid = hub.meter.public.kid
    entry = hub.store.entry(5)
    assert (entry.kid, entry.stream, entry.sequence, entry.kind) == (kid, "register", 2, "reading")
    assert hub.store.find(entry.leaf_hash) == entry
    assert hub.store.find(entry.leaf_hash.hex()) == entry
    assert hub.store.stored(kid, "register", 2) == entry
    assert hub.store.stored(kid, "register", 3) is None
    assert hub.store.position(kid, "register", 1) == 4
    assert hub.store.position(kid, "event", 1) is None
    assert hub.store.positions(kid, "register", 1, 9) == {1: 4, 2: 5}
    assert [found.index for found in hub.store.of_kind("key")] == [2, 3]
    with pytest.raises(NoSuchEntry, match="there is no entry 6: the ledger has 6"):
        hub.store.entry(6)
    with pytest.raises(NoSuchEntry, match="no entry has the id 6b6b"):
        hub.store.find(b"k" * 32)


def test_a_place_is_taken_once(hub: SmallHub) -> None:
    hub.enrol()
    reading = hub.reading()
    hub.store.append([reading])
    root = hub.store.root()
    with pytest.raises(LedgerError, match="the ledger refused a row"):
        hub.store.append([NewEntry(b"x", leaf_hash(b"x"), reading.kid, "r", "register", 1)])
    with pytest.raises(LedgerError, match="the ledger refused a row"):
        hub.store.append([hub.reading(), reading])  # the same bytes again
    assert (hub.store.size, hub.store.root()) == (5, root)
    assert hub.store.append([hub.reading()]) == range(5, 6)


def test_the_log_cannot_be_changed_by_accident(hub: SmallHub) -> None:
    hub.fill(1)
    with contextlib.closing(sqlite3.connect(hub.path)) as connection:
        for table in ("entry", "node", "checkpoint"):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET rowid = rowid"):
                with pytest.raises(sqlite3.Error, match=r"append-only|rowid"):
                    connection.execute(statement)


def test_heads_count_gaps_and_packs(hub: SmallHub) -> None:
    kid = hub.meter.public.kid
    assert hub.store.head(kid, "register") == 0
    hub.enrol()
    hub.store.append([hub.reading()], [hub.pack(), hub.pack()])
    assert (hub.store.head(kid, "register"), hub.store.head(kid, "telemetry")) == (1, 2)
    hub.gap("register", 2, 5)
    hub.gap("telemetry", 3, 3)
    assert (hub.store.head(kid, "register"), hub.store.head(kid, "telemetry")) == (5, 3)
    assert hub.store.head(kid, "event") == 0


def test_what_was_appended_survives_reopening(hub: SmallHub) -> None:
    hub.fill()
    before = list(hub.store.entries()), hub.store.root(), hub.store.newest_checkpoint()
    hub.store.close()
    with Store.open(hub.url, ballast_bytes=BALLAST_BYTES) as store:
        assert (list(store.entries()), store.root(), store.newest_checkpoint()) == before
        assert store.append(raw_entries(1)) == range(24, 25)


def test_a_reader_sees_what_is_appended(hub: SmallHub) -> None:
    with Store.open(hub.url, read_only=True) as reader:
        assert reader.size == 1
        hub.fill()
        assert (reader.size, reader.root()) == (24, hub.store.root())
        newest = hub.store.newest_checkpoint()
        assert newest is not None
        assert reader.newest_checkpoint() == newest
        with pytest.raises(LedgerError, match="for reading only"):
            reader.append(raw_entries(1))
        with pytest.raises(LedgerError, match="for reading only"):
            reader.checkpoint(lambda size, root: "")


def test_proofs_ask_for_what_there_is(hub: SmallHub) -> None:
    append_all(hub.store, raw_entries(9))
    for ask in (
        lambda: hub.store.root(11),
        lambda: hub.store.prove(10, 10),
        lambda: hub.store.prove(-1, 10),
        lambda: hub.store.prove(0, 11),
        lambda: hub.store.prove_consistency(5, 4),
        lambda: hub.store.prove_consistency(5, 11),
        lambda: hub.store.prove_many([3, 10], 10),
    ):
        with pytest.raises(NoSuchEntry):
            ask()
    assert hub.store.prove_many([], 10) == (hub.store.root(10),)


# --- opening -------------------------------------------------------------------------------


def test_one_writer(hub: SmallHub) -> None:
    with pytest.raises(LedgerLocked, match=f"being written by process {os.getpid()}: "):
        Store.open(hub.url)
    hub.store.close()
    Store.open(hub.url, ballast_bytes=BALLAST_BYTES).close()


def test_no_ledger_no_store(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger; make one with `gridtally-hub init`"):
        Store.open(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LedgerError, match="needs a file"):
        Store.open("sqlite://", create=True)


def test_a_newer_schema_is_refused(hub: SmallHub) -> None:
    hub.store.close()
    _run(hub.path, "UPDATE ledger SET number = 7 WHERE name = 'schema_version'")
    for read_only in (True, False):
        with pytest.raises(SchemaMismatch, match="has schema version 7; this program knows"):
            Store.open(hub.url, read_only=read_only, ballast_bytes=BALLAST_BYTES)


def test_an_older_schema_is_brought_up_to_date(
    hub: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fill()
    hub.store.close()
    now = schema.SCHEMA_VERSION
    monkeypatch.setattr(schema, "SCHEMA_VERSION", now + 2)
    first = "ALTER TABLE snapshot ADD COLUMN note TEXT"
    monkeypatch.setattr(opening, "MIGRATIONS", {now: (first,), now + 1: ("no such statement",)})
    with pytest.raises(SchemaMismatch, match="start `gridtally-hub run` once"):
        Store.open(hub.url, read_only=True)
    with pytest.raises(LedgerCorrupt, match="syntax error"):
        _opens(hub)
    steps = {now: (first,), now + 1: ("CREATE TABLE more (x)",)}
    monkeypatch.setattr(opening, "MIGRATIONS", steps)
    _opens(hub)  # the broken try left nothing behind, or this would find the column there
    with Store.open(hub.url, read_only=True) as store:
        assert store.size == 24
    with contextlib.closing(sqlite3.connect(hub.path)) as connection:
        assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_a_ledger_of_version_1_gets_its_tables(hub: SmallHub, tmp_path: Path) -> None:
    hub.fill()
    hub.store.close()
    _run(
        hub.path,
        "DROP TABLE cosignature",
        "DROP TABLE fate",
        "UPDATE ledger SET number = 1 WHERE name = 'schema_version'",
    )
    _opens(hub)
    (tmp_path / "new").mkdir()
    fresh = SmallHub(tmp_path / "new")
    for table in ("cosignature", "fate"):
        assert _shape(hub.path, table) == _shape(fresh.path, table)
    _opens(hub)  # a second start has nothing left to do


def _shape(path: Path, table: str) -> list[tuple[str, int, int]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"PRAGMA table_info({table})")
        return [(name, null, key) for _, name, _, null, _, key in rows]


def test_every_version_has_a_way_to_the_next() -> None:
    assert sorted(opening.MIGRATIONS) == list(range(1, schema.SCHEMA_VERSION))


def _run(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for name in ("entry", "node", "checkpoint"):
            for verb in ("update", "delete"):
                connection.execute(f"DROP TRIGGER IF EXISTS {name}_no_{verb}")
        for statement in statements:
            connection.execute(statement)


def _opens(hub: SmallHub) -> None:
    Store.open(hub.url, ballast_bytes=BALLAST_BYTES).close()


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ('DELETE FROM entry WHERE "index" = 20', "entry 20 is missing"),
        ("DELETE FROM gap", ""),  # what a start does not read is for `verify`
        ("UPDATE entry SET raw = x'00' WHERE \"index\" = 12", "entry 12 is not the one"),
        ('UPDATE node SET hash = zeroblob(32) WHERE level = 2 AND "index" = 1', "entries 4 to 7"),
        ("DELETE FROM node WHERE level = 4", "entries 0 to 15 (level 4) is missing"),
        ("UPDATE ledger SET number = 30 WHERE name = 'size'", "says it has 30 entries"),
        ("UPDATE checkpoint SET note = 'x' WHERE size = 24", "checkpoint 24 cannot be read"),
    ],
)
def test_a_spoilt_tail_is_not_opened(hub: SmallHub, statement: str, sentence: str) -> None:
    hub.fill()
    hub.store.close()
    _run(hub.path, statement)
    if not sentence:
        return _opens(hub)
    with pytest.raises(LedgerCorrupt) as caught:
        _opens(hub)
    assert sentence in str(caught.value)
    return None


def test_a_cut_tail_is_not_opened(hub: SmallHub) -> None:
    hub.fill()
    hub.store.close()
    _run(
        hub.path,
        "DELETE FROM pack",
        "DELETE FROM gap",
        'DELETE FROM entry WHERE "index" >= 20',
        "UPDATE ledger SET number = 20 WHERE name = 'size'",
    )
    with pytest.raises(LedgerCorrupt, match="20 entries, fewer than the 24 of its newest"):
        _opens(hub)


def test_an_old_backup_is_not_opened(hub: SmallHub, tmp_path: Path) -> None:
    hub.fill()
    hub.store.close()
    shutil.copy(hub.path, tmp_path / "backup.db")
    again = SmallHub(tmp_path, sequences=hub.sequences)
    again.store.append([again.reading()])
    again.checkpoint()
    again.store.close()
    shutil.copy(tmp_path / "backup.db", hub.path)
    with pytest.raises(LedgerBehind) as caught:
        _opens(hub)
    assert "holds 24 entries" in str(caught.value)
    assert "handed out a checkpoint over 25" in str(caught.value)
    assert "Put the newest copy back" in str(caught.value)
    Store.open(hub.url, read_only=True).close()  # still there to be read


def test_a_fork_is_not_opened(hub: SmallHub, tmp_path: Path) -> None:
    hub.enrol()
    hub.store.close()
    shutil.copy(hub.path, tmp_path / "backup.db")
    for twin, count in ((hub, 1), (hub, 2)):
        shutil.copy(tmp_path / "backup.db", hub.path)
        hub.path.with_name("ledger.db.newest").unlink(missing_ok=True)
        made = SmallHub(tmp_path)
        made.store.append([made.reading(import_uwh=count)])
        made.checkpoint()
        made.store.close()
        if count == 1:
            shutil.copy(twin.path.with_name("ledger.db.newest"), tmp_path / "first.newest")
    shutil.copy(tmp_path / "first.newest", hub.path.with_name("ledger.db.newest"))
    with pytest.raises(LedgerBehind, match="two histories exist under one key"):
        _opens(hub)


def test_a_checkpoint_that_a_node_shows(hub: SmallHub) -> None:
    hub.fill()
    root, older = hub.store.root(), hub.store.root(7)
    hub.store.check_seen(24, root, "node n1 shows")
    hub.store.check_seen(7, older, "node n1 shows")
    with pytest.raises(LedgerBehind, match="24 entries, but node n1 shows a checkpoint over 25"):
        hub.store.check_seen(25, root, "node n1 shows")
    with pytest.raises(LedgerBehind, match="node n1 shows"):
        hub.store.append([hub.reading()])
    with pytest.raises(LedgerBehind, match="node n1 shows"):
        hub.checkpoint()


def test_a_node_that_shows_another_history(hub: SmallHub) -> None:
    hub.fill()
    with pytest.raises(LedgerBehind, match="with another root than this ledger's"):
        hub.store.check_seen(7, bytes(32), "node n1 shows")


# --- checkpoints ---------------------------------------------------------------------------


def test_a_checkpoint_is_signed_once_and_kept_before_it_is_handed_out(hub: SmallHub) -> None:
    note = hub.checkpoint()
    assert hub.checkpoint() == note
    assert NewestFile(Path(f"{hub.path}.newest")).read() == HandedOut(1, hub.store.root())
    hub.store.append([hub.reading()])
    second = hub.checkpoint()
    assert [found.note for found in hub.store.checkpoints()] == [note, second]
    assert [found.size for found in hub.store.checkpoints(2)] == [2]
    assert [found.size for found in hub.store.checkpoints(0, 1)] == [1]


def test_the_file_outside_catches_up_after_a_crash_between(hub: SmallHub) -> None:
    hub.checkpoint()
    old = Path(f"{hub.path}.newest").read_bytes()
    hub.store.append([hub.reading()])
    hub.checkpoint()
    hub.store.close()
    Path(f"{hub.path}.newest").write_bytes(old)
    _opens(hub)
    newest = NewestFile(Path(f"{hub.path}.newest")).read()
    assert newest is not None
    assert newest.size == 2


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, LedgerError)])
def test_a_checkpoint_that_could_not_be_noted_is_not_handed_out(
    hub: SmallHub, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    real = os.fdatasync

    def fail(_descriptor: int) -> None:
        monkeypatch.setattr(os, "fdatasync", real)
        raise OSError(code, os.strerror(code))

    hub.checkpoint()
    hub.store.append([hub.reading()])
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(error, match="cannot be written"):
        hub.checkpoint()
    note = hub.checkpoint()  # stored before, noted and handed out now
    assert [found.note for found in hub.store.checkpoints(2)] == [note]
    newest = NewestFile(Path(f"{hub.path}.newest")).read()
    assert newest is not None
    assert newest.size == 2


def test_a_checkpoint_that_could_not_be_stored_is_signed_again(hub: SmallHub) -> None:
    with contextlib.closing(sqlite3.connect(hub.path, isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER no BEFORE INSERT ON checkpoint BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(LedgerError):
            hub.checkpoint()
        other.execute("DROP TRIGGER no")
    hub.checkpoint()
    assert [found.size for found in hub.store.checkpoints()] == [1]


def test_newest_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "newest"
    file = NewestFile(path)
    assert file.read() is None
    for size in range(1, 6):
        file.write(HandedOut(size, bytes([size]) * 32))
    file.close()
    content = path.read_bytes()
    assert len(content) == 2 * LINE_BYTES
    for torn in range(2):
        for cut in range(0, LINE_BYTES, 37):
            spoilt = bytearray(content)
            at = torn * LINE_BYTES
            spoilt[at : at + cut] = b"\x00" * cut
            path.write_bytes(spoilt)
            found = NewestFile(path).read()
            assert found is not None
            assert found.size in (4, 5)
    path.write_bytes(b"\x00" * 2 * LINE_BYTES)
    with pytest.raises(LedgerCorrupt, match="cannot be read"):
        NewestFile(path).read()


def test_newest_goes_on_with_the_older_line(tmp_path: Path) -> None:
    first = NewestFile(tmp_path / "newest")
    for size in (1, 2, 3):
        first.write(HandedOut(size, bytes(32)))
    first.close()
    second = NewestFile(tmp_path / "newest")
    second.read()
    second.write(HandedOut(4, bytes(32)))
    second.close()
    lines = (tmp_path / "newest").read_text().splitlines()
    assert sorted(line[:10] for line in lines) == ['{"size": 3', '{"size": 4']


# --- packs, snapshots, strangers, books ----------------------------------------------------


def test_packs_wait_for_their_seal(hub: SmallHub) -> None:
    hub.enrol()
    packs = [hub.pack(), hub.pack()]
    hub.store.append([], packs)
    pending = hub.store.packs.pending()
    assert [found.sequence for found in pending] == [1, 2]
    kid = hub.meter.public.kid
    assert hub.store.packs.seals(kid, 1, 9) == {1: None, 2: None}
    with pytest.raises(LedgerError, match="sealed by one seal entry, not by 0"):
        hub.store.append([hub.reading()], sealed=[(kid, 1)])
    hub.seal()
    assert hub.store.packs.pending() == []
    assert hub.store.packs.seals(kid, 1, 9) == {1: 4, 2: 4}
    assert hub.store.packs.of_seal(4) == pending
    assert [found.raw for found in hub.store.packs.under(4)] == [found.raw for found in packs]
    assert [found.seal_index for found in hub.store.packs.sealed()] == [4, 4]
    size = hub.store.size
    seal = hub.store.entry(4)
    again = NewEntry(b"seal", leaf_hash(b"seal"), seal.kid, "seal")
    with pytest.raises(LedgerError, match="not stored, or is sealed already"):
        hub.store.append([again], sealed=[(kid, 1)])
    assert hub.store.size == size


def test_a_pack_is_stored_in_the_transaction_of_the_entries(hub: SmallHub) -> None:
    pack = hub.pack()
    hub.store.append([], [pack])
    with pytest.raises(LedgerError, match="refused a row"):
        hub.store.append([hub.reading()], [pack])
    assert (hub.store.size, hub.store.packs.count()) == (1, 1)


def test_old_bodies_of_sealed_packs_are_let_go_seal_by_seal(hub: SmallHub) -> None:
    hub.enrol()
    packs = [hub.pack() for _ in range(4)]
    for sealed in (packs[:1], packs[1:2], packs[2:3]):
        hub.store.append([], sealed)
        hub.seal()
    hub.store.append([], packs[3:])
    kept = hub.store.packs
    assert kept.forgotten() == (0, None)
    assert kept.forget_before(packs[0].at_ms) == 0
    assert kept.forget_before(packs[2].at_ms, seals_max=1) == 1
    assert kept.forget_before(packs[2].at_ms) == 1
    assert kept.forget_before(packs[2].at_ms) == 0
    assert kept.forgotten() == (2, packs[1].at_ms)
    kid = hub.meter.public.kid
    bodies = [kept.pack(kid, sequence) for sequence in (1, 2, 3, 4, 5)]
    expected = [b"", b"", packs[2].raw, packs[3].raw, None]
    assert [found and found.raw for found in bodies] == expected
    assert kept.forget_before(packs[3].at_ms + 1) == 1  # what no seal covers stays
    assert verify(hub.url, hub.trust).findings == ()


def test_a_seal_s_packs_stay_until_the_newest_of_them_is_old(hub: SmallHub) -> None:
    hub.enrol()
    old, new = hub.pack(), hub.pack()
    hub.store.append([], [old, new])
    hub.seal()
    assert hub.store.packs.forget_before(new.at_ms) == 0
    assert hub.store.packs.forget_before(new.at_ms + 1) == 2


def test_what_retention_took_is_nowhere_in_the_file(hub: SmallHub) -> None:
    hub.enrol()
    pack = hub.pack()
    hub.store.append([], [pack])
    hub.seal()
    signature = pack.raw[-64:]
    hub.store.make_room()  # the write-ahead log goes into the file
    assert signature in hub.path.read_bytes()
    hub.store.packs.forget_before(pack.at_ms + 1)
    hub.store.make_room()
    assert signature not in hub.path.read_bytes()


def test_the_newest_snapshots_stay(hub: SmallHub) -> None:
    for size in (1, 5, 9, 9, 12):
        hub.store.save_snapshot(Snapshot(size, bytes(32), b"%d" % size))
    assert [found.size for found in hub.store.snapshots()] == [12, 9, 5]


def test_strangers_are_counted(hub: SmallHub) -> None:
    strangers = hub.store.strangers
    strangers.count({("bad-signature", "n1"): 2, ("unknown-key", "n2"): 1})
    strangers.count({("bad-signature", "n1"): 3})
    strangers.count({})
    assert strangers.counts() == {("bad-signature", "n1"): 5, ("unknown-key", "n2"): 1}


def test_evidence_is_kept_once_and_not_without_end(hub: SmallHub) -> None:
    def found(number: int, kid: bytes = b"k" * 8) -> Evidence:
        offered = b"%d" % number
        return Evidence(leaf_hash(offered + kid), kid, "register", number, b"first", offered)

    strangers = hub.store.strangers
    assert strangers.keep(found(1))
    assert not strangers.keep(found(1))
    assert all(strangers.keep(found(number)) for number in range(2, 101))
    assert not strangers.keep(found(101))
    assert strangers.keep(found(1, b"j" * 8))
    assert len(strangers.evidence()) == 101


SHED = ShedRow(
    node="n1",
    relay="r1",
    from_ms=5,
    until_ms=None,
    member="bob",
    wanted_mw=1000,
    wanted_uwh=0,
    estimated=True,
    reason="deficit",
    decision_index=7,
)
ROWS: list[BookRow] = [
    SlotRow(0, 9, 1, "complete", "dep_balance", "settled", 1, 2, 3, 4, None),
    SlotRow(9, 18, 2, "deadline", "dep_balance", "failed", 0, 0, 0, 0, 5),
    SlotEnergyRow(0, "m1", "alice", 1, 2, "metered"),
    MatchRow(0, 0, "alice", "bob", 1, 2, 3),
    LineRow(0, 0, "alice", "sale", "bob", 1, 2, 3, "metered", 1),
    LineRow(9, 0, "bob", "sale", "bob", 1, 2, -3, "metered", 2),
    FateRow(0, 0, "bob", "0a", "bid", 5, 7, 1, "no ask reaches this bid"),
    FateRow(9, 1, "bob", "0b", "bid", 5, 7, 5, ""),
    SHED,
    DecisionRow(7, 5, "shed", "largest", "feeder", "too much", "n1/r1 cut", bytes(32)),
]


def test_books_are_written_over_by_key(hub: SmallHub) -> None:
    books = hub.store.books
    books.replace(ROWS)
    books.replace([*ROWS, SHED._replace(until_ms=8, wanted_uwh=3)])
    assert list(books.all(SlotRow)) == ROWS[:2]
    assert books.latest(SlotRow, 1) == [ROWS[1]]
    assert books.of_slot(SlotRow, 9) == [ROWS[1]]
    assert books.of_slot(LineRow, 9) == [ROWS[5]]
    (shed,) = books.all(ShedRow)
    assert (shed.until_ms, shed.estimated) == (8, True)
    assert books.fates_of("bob", 5) == [ROWS[7], ROWS[6]]
    assert books.fates_of("bob", 1) == [ROWS[7]]
    assert books.fates_of("alice", 5) == []
    assert books.latest(DecisionRow, 5) == [ROWS[9]]
    books.replace([])
    books.clear()
    for row in ROWS:
        assert list(books.all(type(row))) == []


@pytest.mark.parametrize("kind", list(TABLES))
def test_a_row_has_the_columns_of_its_table(kind: type[SlotRow]) -> None:
    assert list(kind._fields) == [column.name for column in TABLES[kind].columns]


def test_every_book_has_a_row_class() -> None:
    assert {TABLES[type(row)] for row in ROWS} == set(schema.BOOKS) == set(TABLES.values())
    assert Books  # what owns them


def test_all_books_are_read_by_time(hub: SmallHub) -> None:
    hub.store.books.replace(ROWS)
    rows = list(hub.store.books.history())
    assert sorted(map(repr, rows)) == sorted(map(repr, ROWS))
    assert [time_ms(row) for row in rows] == sorted(time_ms(row) for row in ROWS)


# --- a full disk ---------------------------------------------------------------------------


def test_a_full_disk_is_a_sentence_and_is_survived(tmp_path: Path) -> None:
    """`max_page_count` makes SQLite say what a full disk makes it say."""
    hub = SmallHub(tmp_path)
    big = [b"%d" % n + bytes(60_000) for n in range(40)]
    entries = [NewEntry(raw, leaf_hash(raw), b"k" * 8, "call") for raw in big]
    hub.store.append(entries[:1])
    with hub.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    _limit(hub.store, pages + 30)
    root = hub.store.root()
    with pytest.raises(StorageFull, match="the disk is full, so nothing was stored"):
        hub.store.append(entries[1:])
    assert (hub.store.size, hub.store.root()) == (2, root)
    ballast = Path(f"{hub.path}.ballast")
    assert ballast.stat().st_size == BALLAST_BYTES
    hub.store.make_room()
    assert not ballast.exists()
    assert hub.store.append(entries[1:2]) == range(2, 3)
    hub.store.close()
    _opens(hub)


def _limit(store: Store, pages: int) -> None:
    from sqlalchemy import event

    @event.listens_for(store.engine, "connect")
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}").close()

    store.engine.dispose()


def test_ballast_is_real_and_only_where_there_is_room(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "b", 1_000_000)
    assert ballast.keep()
    assert ballast.keep()
    assert (tmp_path / "b").stat().st_blocks * 512 >= 1_000_000
    ballast.free()
    ballast.free()
    assert list(tmp_path.iterdir()) == []
    whole_disk = Ballast(tmp_path / "b", shutil.disk_usage(tmp_path).total)
    assert not whole_disk.keep()
    assert list(tmp_path.iterdir()) == []


def test_packs_alone_are_an_append(hub: SmallHub) -> None:
    pack = hub.pack()
    assert hub.store.append([], [pack]) == range(1, 1)
    assert isinstance(pack, NewPack)
    assert hub.store.packs.count() == 1
