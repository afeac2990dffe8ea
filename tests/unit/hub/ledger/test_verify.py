"""The verifier finds whatever was done to a ledger, and says where."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hub.errors import LedgerError
from hub.ledger.records import NewEntry
from hub.ledger.store import Store
from hub.ledger.verify import Verifier, verify
from messages.entries import Close, Genesis, KeyEntry
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.tree import Frontier, leaf_hash
from messages.possession import Claim
from messages.reading import Reading, sign_reading
from tests.support.signers import ed25519
from tests.support.small_ledger import ORIGIN, START_MS, SmallHub


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> SmallHub:
    """A closed ledger of a little of everything."""
    hub = SmallHub(tmp_path_factory.mktemp("ledger"))
    hub.fill()
    hub.store.close()
    return hub


@pytest.fixture
def copy(original: SmallHub, tmp_path: Path) -> Path:
    """A copy to spoil, with the file that remembers what was handed out."""
    for found in original.folder.iterdir():
        if "ballast" not in found.name:
            shutil.copy(found, tmp_path / found.name)
    return tmp_path / original.name


def findings(path: Path, hub: SmallHub) -> tuple[str, ...]:
    return verify(f"sqlite:///{path}", hub.trust).findings


def spoil(path: Path, *statements: str) -> None:
    """Change rows behind the triggers' back, as an owner with a shell would."""
    with sqlite3.connect(path) as connection:
        for name in ("entry", "node", "checkpoint"):
            for verb in ("update", "delete"):
                connection.execute(f"DROP TRIGGER IF EXISTS {name}_no_{verb}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_the_untouched_ledger_is_right(original: SmallHub, copy: Path) -> None:
    report = verify(f"sqlite:///{copy}", original.trust)
    assert report.findings == ()
    assert report.size == report.checkpoint_size == 24
    assert report.signatures == 24 + 9  # one an entry and one a pack


def test_progress_is_told(original: SmallHub, copy: Path) -> None:
    told: list[tuple[int, int]] = []
    verify(f"sqlite:///{copy}", original.trust, lambda done, total: told.append((done, total)))
    assert told == [(24, 24)]


def test_what_is_new_is_verified_from_where_it_stopped(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    with hub.store, Store.open(hub.url, read_only=True) as reader:
        verifier = Verifier(reader, hub.trust)
        assert verifier.advance(2) == ()
        assert verifier.size == 2
        hub.store.append([hub.reading()])
        hub.checkpoint()
        assert verifier.advance() == ()
        assert verifier.size == 5
        forged = NewEntry(b"not signed", leaf_hash(b"not signed"), b"k" * 8, "call")
        hub.store.append([forged])
        (finding,) = verifier.advance()
        assert finding.startswith("entry 5: ")
        assert verifier.advance() == (finding,)
        assert verifier.size == 5


def test_another_network_is_not_ours(original: SmallHub, copy: Path) -> None:
    trust = replace(original.trust, network_id=bytes(32))
    (finding,) = verify(f"sqlite:///{copy}", trust).findings
    assert "entry 0: this is another network" in finding


def test_another_log_key_signed_nothing_here(original: SmallHub, copy: Path) -> None:
    vkey = format_vkey(NoteKey(ORIGIN, ED25519, ed25519("other").public))
    (finding,) = verify(f"sqlite:///{copy}", replace(original.trust, log_vkey=vkey)).findings
    assert finding.startswith("by genesis the log's key is simulation.example/bench+")
    assert finding.endswith(f"trust.toml names {vkey}")


@pytest.mark.parametrize("index", [0, 3, 11, 22])
def test_a_deleted_row_is_named(original: SmallHub, copy: Path, index: int) -> None:
    spoil(copy, f'DELETE FROM entry WHERE "index" = {index}')
    assert findings(copy, original) == (f"entry {index} is missing from the ledger",)


def test_a_cut_tail_is_fewer_entries_than_the_newest_checkpoint(
    original: SmallHub, copy: Path
) -> None:
    spoil(copy, 'DELETE FROM entry WHERE "index" >= 21')
    (finding,) = findings(copy, original)
    assert "the ledger holds 21 entries, fewer than the 24 of its newest checkpoint" in finding


def test_a_tail_cut_with_its_checkpoint_is_found_by_the_file_outside(
    original: SmallHub, copy: Path
) -> None:
    """Cut back to an older checkpoint, everything inside the database made to fit."""
    cut_to(copy, 20)
    (finding,) = findings(copy, original)
    assert "holds 20 entries" in finding
    assert "ledger.db.newest says this hub handed out a checkpoint over 24" in finding
    copy.with_name("ledger.db.newest").unlink()
    assert findings(copy, original) == ()  # now only the edges' receipts know


def cut_to(path: Path, size: int) -> None:
    spoil(
        path,
        f"DELETE FROM pack WHERE seal_index >= {size}",
        f"DELETE FROM gap WHERE entry_index >= {size}",
        f'DELETE FROM entry WHERE "index" >= {size}',
        f'DELETE FROM node WHERE (("index" + 1) << "level") > {size}',
        f"DELETE FROM checkpoint WHERE size > {size}",
        f"UPDATE ledger SET number = {size} WHERE name = 'size'",
    )


def test_swapped_rows_are_found(original: SmallHub, copy: Path) -> None:
    spoil(
        copy,
        'UPDATE entry SET "index" = -1 WHERE "index" = 5',
        'UPDATE entry SET "index" = 5 WHERE "index" = 8',
        'UPDATE entry SET "index" = 8 WHERE "index" = -1',
    )
    (finding,) = findings(copy, original)
    assert "ent" in finding


def test_history_written_anew_fails_at_its_first_checkpoint(original: SmallHub, copy: Path) -> None:
    """Somebody with the hub's disk, but not the log's key, drops an entry and hashes all again."""
    with Store.open(f"sqlite:///{copy}", read_only=True) as store:
        kept = [entry for entry in store.entries() if entry.kind != "ack"]
    spoil(copy, "DELETE FROM gap", "DELETE FROM pack", "DELETE FROM entry", "DELETE FROM node")
    edge = Frontier()
    with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
        for index, entry in enumerate(kept):
            row = (index, entry.leaf_hash, entry.kid, entry.stream, entry.sequence, entry.kind)
            connection.execute("INSERT INTO entry VALUES (?,?,?,?,?,?,?,NULL)", (*row, entry.raw))
            nodes = [node for node in edge.append(entry.leaf_hash) if node[0]]
            connection.executemany("INSERT INTO node VALUES (?,?,?)", nodes)
        connection.execute("UPDATE ledger SET number = ? WHERE name = 'size'", (len(kept),))
    (finding,) = findings(copy, original)
    assert "seals 2 packs, 0 are stored" in finding or "do not have the root" in finding


def test_a_missing_node_is_named(original: SmallHub, copy: Path) -> None:
    spoil(copy, 'DELETE FROM node WHERE "level" = 2 AND "index" = 1')
    (finding,) = findings(copy, original)
    assert finding == "the stored hash over entries 4 to 7 (level 2) is missing"


def test_a_forged_node_is_named(original: SmallHub, copy: Path) -> None:
    spoil(copy, 'UPDATE node SET hash = zeroblob(32) WHERE "level" = 1 AND "index" = 3')
    (finding,) = findings(copy, original)
    assert finding == "the stored hash over entries 6 to 7 (level 1) is not theirs"


def test_a_node_too_many_is_counted(original: SmallHub, copy: Path) -> None:
    spoil(copy, "INSERT INTO node VALUES (9, 9, zeroblob(32))")
    (finding,) = findings(copy, original)
    assert finding == "the ledger stores 23 hashes of subtrees, 24 entries have 22"


def test_a_checkpoint_of_another_key_is_refused(original: SmallHub, copy: Path) -> None:
    with Store.open(f"sqlite:///{copy}", read_only=True) as store:
        root_hash = store.root(24)
    note = sign_checkpoint(Checkpoint(ORIGIN, 24, root_hash), ed25519("thief"))
    spoil(copy, f"UPDATE checkpoint SET note = '{note}' WHERE size = 24")
    (finding,) = findings(copy, original)
    assert finding.startswith("the checkpoint over 24 entries: ")


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE pack SET raw = zeroblob(200) WHERE sequence = 3", "pack 3 of key"),
        ("UPDATE pack SET leaf_hash = zeroblob(32) WHERE sequence = 3", "pack 3 of key"),
        ("DELETE FROM pack WHERE sequence = 3", "it seals 2 packs, 1 are stored"),
        ("UPDATE pack SET seal_index = 7 WHERE sequence = 3", "it seals 2 packs, 3 are stored"),
        ("UPDATE pack SET at_ms = at_ms + 1 WHERE sequence = 3", "is stored as another"),
        ("UPDATE gap SET last_sequence = 99", "is not the gap it says"),
        ("DELETE FROM gap", "is not the gap it says"),
        ("UPDATE ledger SET number = 23 WHERE name = 'size'", "says it has 23 entries"),
        ("UPDATE ledger SET number = 25 WHERE name = 'size'", "says it has 25 entries"),
        ("UPDATE entry SET preimage = x'00' WHERE \"index\" = 5", "has a preimage"),
    ],
)
def test_what_stands_beside_the_entries_is_checked(
    original: SmallHub, copy: Path, statement: str, sentence: str
) -> None:
    spoil(copy, statement)
    (finding,) = findings(copy, original)
    assert sentence in finding


def test_a_pack_whose_body_was_let_go_is_still_sealed(original: SmallHub, copy: Path) -> None:
    spoil(copy, "UPDATE pack SET raw = x''")
    assert findings(copy, original) == ()
    spoil(copy, "UPDATE pack SET leaf_hash = zeroblob(32) WHERE sequence = 1")
    (finding,) = findings(copy, original)
    assert "not those it sealed" in finding


Wrong = Callable[[SmallHub], NewEntry]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda hub: (hub.next("register"), hub.reading())[1], "register 2 of key"),
        (lambda hub: hub.reading(sequence=7), "row says reading register 1"),
        (lambda hub: hub.entry(hub.meter, hub.reading().raw[:-1] + b"x", "reading"), "row says"),
        (lambda hub: hub.say(hub.meter, Close(START_MS, "x", (), 0)), "is not signed by meter m1"),
        (lambda hub: hub.say(ed25519("x"), Close(START_MS, "x", (), 0)), "no key"),
        (
            lambda hub: hub.say(
                hub.hub, Genesis("b", "o", 1, 1, "open", True, b"", b"", b"", "", 0)
            ),
            "not signed by hub",
        ),
    ],
)
def test_what_a_hub_should_not_have_appended_is_named(
    tmp_path: Path, make: Wrong, sentence: str
) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    with hub.store:
        hub.store.append([make(hub)])
    (finding,) = verify(hub.url, hub.trust).findings
    assert finding.startswith("entry 4: ")
    assert sentence in finding


def test_a_bad_signature_is_named(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    raw = bytearray(hub.reading().raw)
    raw[-1] ^= 1
    with hub.store:
        hub.store.append([hub.entry(hub.meter, bytes(raw), "reading", "register", 1)])
    (finding,) = verify(hub.url, hub.trust).findings
    assert finding == "entry 4: the signature does not verify under the registered key"


def test_a_revoked_key_signs_nothing_after(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    revoke = KeyEntry("revoke", "meter", "m1", b"")
    with hub.store:
        hub.store.append([hub.reading(), hub.say(hub.administrator, revoke), hub.reading()])
    (finding,) = verify(hub.url, hub.trust).findings
    assert finding == "entry 6: the key of meter m1 was revoked by entry 5"


def test_a_rotated_key_signs_up_to_its_last_sequence(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    old, new = hub.meter.public, ed25519("m1 again")
    rotate = KeyEntry(
        "rotate",
        "meter",
        "m1",
        new.public.cose_key,
        replaces=old.kid,
        last_sequences={"register": 2},
        proof=Claim(hub.trust.network_id, "meter", "m1").prove(new),
    )
    with hub.store:
        entries = [hub.reading(), hub.say(hub.administrator, rotate), hub.reading()]
        hub.store.append(entries)
        assert Verifier(hub.store, hub.trust).advance() == ()
        hub.store.append([hub.reading()])
    (finding,) = verify(hub.url, hub.trust).findings
    assert finding == "entry 7: meter m1 had a new key by then"


def test_a_key_that_nobody_with_the_right_enrolled_does_not_count(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    member, stranger = ed25519("bob"), ed25519("m2")
    enrol = KeyEntry("enrol", "member", "bob", member.public.cose_key)
    sneak = KeyEntry("enrol", "meter", "m2", stranger.public.cose_key, node="n1", member="bob")
    with hub.store:
        hub.store.append([hub.say(hub.administrator, enrol), hub.say(member, sneak)])
        assert Verifier(hub.store, hub.trust).advance() == ()
        body = Reading("bench", "m2", 1, START_MS, 1, 0)
        hub.store.append(
            [hub.entry(stranger, sign_reading(stranger, body), "reading", "register", 1)]
        )
    (finding,) = verify(hub.url, hub.trust).findings
    assert finding.startswith("entry 6: no key ")


def test_a_file_that_is_no_ledger(tmp_path: Path, original: SmallHub) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="damaged"):
        verify(f"sqlite:///{tmp_path}/x.db", original.trust)
    with pytest.raises(LedgerError, match="there is no ledger"):
        verify(f"sqlite:///{tmp_path}/y.db", original.trust)
    sqlite3.connect(tmp_path / "z.db").close()
    with pytest.raises(LedgerError, match="holds no ledger"):
        verify(f"sqlite:///{tmp_path}/z.db", original.trust)


def contents(path: Path) -> object:
    """All that stands in the log's tables, whatever the file's bytes are."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in (*COLUMNS, "ledger", "gap", "pack")
        ]


def test_a_bit_turned_anywhere_in_the_file_is_found_or_changes_nothing(
    original: SmallHub, copy: Path
) -> None:
    """Also in what no row shows: page headers, indexes, free space."""
    pristine = copy.read_bytes()
    before = contents(copy)
    chooser = random.Random(20261121)
    found = 0
    for _ in range(200):
        bit = chooser.randrange(len(pristine) * 8)
        turned = bytearray(pristine)
        turned[bit // 8] ^= 1 << bit % 8
        copy.write_bytes(turned)
        try:
            is_found = bool(findings(copy, original))
        except LedgerError:
            is_found = True
        if not is_found:
            assert contents(copy) == before, f"bit {bit}"
        found += is_found
    assert found > 12


def flips(value: object) -> Iterator[object]:
    """Yield the value with each of its bits turned, one at a time."""
    if isinstance(value, bytes):
        for bit in range(len(value) * 8):
            turned = bytearray(value)
            turned[bit // 8] ^= 1 << bit % 8
            yield bytes(turned)
    elif isinstance(value, int):
        for bit in range(max(value.bit_length(), 1) + 1):
            yield value ^ (1 << bit)
    elif isinstance(value, str):
        for at, character in enumerate(value):
            for bit in range(7):
                turned_character = chr(ord(character) ^ (1 << bit))
                yield value[:at] + turned_character + value[at + 1 :]


COLUMNS = {
    "entry": ("index", "leaf_hash", "kid", "stream", "sequence", "kind", "raw"),
    "node": ("level", "index", "hash"),
    "checkpoint": ("size", "note"),
}
LONG = ("raw", "note", "leaf_hash", "hash")


@dataclass(frozen=True)
class Cell:
    """One value of one row, and how to write it."""

    table: str
    column: str
    key: dict[str, object]
    value: object

    @property
    def statement(self) -> str:
        """An UPDATE of this cell alone."""
        key = " AND ".join(f'"{name}" = :{name}_key' for name in self.key)
        return f'UPDATE {self.table} SET "{self.column}" = :value WHERE {key}'

    def parameters(self, value: object) -> dict[str, object]:
        """The statement's parameters; where the key itself is changed, the new one finds it."""
        return {"value": value} | {f"{name}_key": part for name, part in self.key.items()}


def cells(connection: sqlite3.Connection, table: str) -> Iterator[Cell]:
    keys = {"entry": ("leaf_hash", "index"), "node": ("level", "index"), "checkpoint": ("size",)}
    names = COLUMNS[table]
    listed = ", ".join(f'"{name}"' for name in names)
    for row in connection.execute(f"SELECT {listed} FROM {table}").fetchall():
        values = dict(zip(names, row, strict=True))
        for name, value in values.items():
            yield Cell(table, name, {key: values[key] for key in keys[table][:2]}, value)


def turn_bits(copy: Path, hub: SmallHub, table: str, *, every: int) -> int:
    """Turn single bits of single values, demand a finding for each, and turn them back."""
    spoil(copy)
    tried = 0
    connection = sqlite3.connect(copy, isolation_level=None)
    with contextlib.closing(connection), Store.open(f"sqlite:///{copy}", read_only=True) as store:
        for cell in list(cells(connection, table)):
            step = every if cell.column in LONG else max(every // 30, 1)
            for turned in list(flips(cell.value))[::step]:
                try:
                    connection.execute(cell.statement, cell.parameters(turned))
                except sqlite3.IntegrityError:
                    continue  # the database refused it: that key is taken
                found = Verifier(store, hub.trust).advance() or _uncounted(store)
                assert found, f"{table} {cell.key}: {cell.column} {cell.value!r} -> {turned!r}"
                back = replace(cell, key=cell.key | {cell.column: turned})
                if cell.column not in cell.key:
                    back = cell
                connection.execute(back.statement, back.parameters(cell.value))
                tried += 1
        assert not Verifier(store, hub.trust).advance()
    return tried


def _uncounted(store: Store) -> bool:
    """A node under a place that no tree of this size has is found by counting."""
    nodes, size = store.node_count()
    return nodes != size - size.bit_count()


@pytest.mark.parametrize(("table", "every"), [("entry", 211), ("node", 53), ("checkpoint", 53)])
def test_a_turned_bit_in_any_value_is_found(
    original: SmallHub, copy: Path, table: str, every: int
) -> None:
    assert turn_bits(copy, original, table, every=every) > 50


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("table", ["entry", "node", "checkpoint"])
def test_every_turned_bit_is_found(original: SmallHub, copy: Path, table: str) -> None:
    assert turn_bits(copy, original, table, every=1) > 5_000
