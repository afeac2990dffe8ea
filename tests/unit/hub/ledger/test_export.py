"""Exports hold exactly the newest checkpoint's tree, and tables a sheet can read."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.errors import ExportRefused, LedgerCorrupt, NoSuchEntry
from hub.ledger.books import DecisionRow, FateRow, LineRow, MatchRow, SlotRow
from hub.ledger.export import export_csv, export_tiles, prove
from hub.ledger.records import Cosigned
from messages.log.checkpoint import open_checkpoint
from messages.log.cosignature import cosign
from messages.log.note import COSIGNATURE, NoteKey, format_vkey, parse_note, parse_vkey
from messages.log.policy import parse_policy
from messages.log.proof import check_proof, parse_proof
from messages.log.tiles import parse_bundle
from messages.log.tree import leaf_hash
from messages.log.tree import root as root_of
from tests.support.signers import ed25519
from tests.support.small_ledger import START_MS, SmallHub, append_all, raw_entries


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    """A running hub with a filled ledger."""
    (tmp_path / "state").mkdir()
    made = SmallHub(tmp_path / "state")
    made.fill()
    yield made
    made.store.close()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_tiles_of_a_small_tree(hub: SmallHub, tmp_path: Path) -> None:
    hub.store.append([hub.reading()])  # not under the checkpoint, so not in the export
    out = tmp_path / "out"
    newest = export_tiles(hub.store, out, hub.trust)
    assert newest.size == 24
    assert files(out) == {
        "checkpoint",
        "log.vkey",
        "policy",
        "tile/0/000.p/24",
        "tile/entries/000.p/24",
    }
    assert (out / "policy").read_text() == hub.trust.policy
    key = parse_vkey((out / "log.vkey").read_text().rstrip("\n"))
    assert key.kind == 0x01
    head = open_checkpoint((out / "checkpoint").read_text(), key)
    entries = parse_bundle((out / "tile/entries/000.p/24").read_bytes())
    leaves = [leaf_hash(raw) for raw in entries]
    assert (out / "tile/0/000.p/24").read_bytes() == b"".join(leaves)
    assert root_of(leaves) == head.root


def test_where_witnesses_have_to_agree_only_what_is_final_goes_out(
    hub: SmallHub, tmp_path: Path
) -> None:
    witness = ed25519("w1")
    key = NoteKey("w1", COSIGNATURE, witness.public)
    policy = f"log {hub.trust.log_vkey}\nwitness w1 {format_vkey(key)}\nquorum w1\n"
    trust = replace(hub.trust, policy=policy)
    with pytest.raises(NoSuchEntry, match="no checkpoint has met the quorum"):
        export_tiles(hub.store, tmp_path / "out", trust)
    note = hub.checkpoint()
    line = cosign(parse_note(note).text, 7, "w1", witness)
    hub.store.cosignatures.keep(Cosigned(24, "w1", key.key_id, 7, line), 0)
    hub.store.append([hub.reading()])
    hub.checkpoint()
    assert export_tiles(hub.store, tmp_path / "out", trust).size == 24
    assert (tmp_path / "out" / "checkpoint").read_text() == note + line
    assert (tmp_path / "out" / "policy").read_text() == policy
    parsed = parse_policy(policy)
    assert parse_proof(prove(hub.store, 23, parsed)).checkpoint == note + line
    beyond = parse_proof(prove(hub.store, 24, parsed)).checkpoint
    assert open_checkpoint(beyond, parse_vkey(trust.log_vkey)).size == 25


def test_tiles_of_three_levels(tmp_path: Path) -> None:
    """70,000 leaves: full and partial tiles, and the path of a tile past 999."""
    hub = SmallHub(tmp_path)
    append_all(hub.store, raw_entries(69_999), batch=10_000)
    hub.checkpoint()
    out = tmp_path / "out"
    told: list[tuple[int, int]] = []
    export_tiles(hub.store, out, hub.trust, lambda done, all_: told.append((done, all_)))
    found = files(out)
    assert told[-1] == (len(found) - 3, len(found) - 3)
    assert {"tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"} <= found
    assert not any(name.startswith("tile/3") for name in found)
    level1 = (out / "tile/1/000").read_bytes()
    first = (out / "tile/0/000").read_bytes()
    assert len(first) == len(level1) == 8192
    assert root_of([first[at : at + 32] for at in range(0, 8192, 32)]) == level1[:32]
    level2 = (out / "tile/2/000.p/1").read_bytes()
    assert root_of([level1[at : at + 32] for at in range(0, 8192, 32)]) == level2


def test_a_second_export_leaves_nothing_of_the_first(hub: SmallHub, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_tiles(hub.store, out, hub.trust)
    hub.store.append([hub.reading()])
    hub.checkpoint()
    export_tiles(hub.store, out, hub.trust)
    assert {name for name in files(out) if name.startswith("tile")} == {
        "tile/0/000.p/25",
        "tile/entries/000.p/25",
    }


def test_running_and_stopped_hub_export_the_same_bytes(hub: SmallHub, tmp_path: Path) -> None:
    from hub.ledger.store import Store

    with Store.open(hub.url, read_only=True) as reader:
        export_tiles(reader, tmp_path / "running", hub.trust)
    hub.store.close()
    with Store.open(hub.url, read_only=True) as reader:
        export_tiles(reader, tmp_path / "stopped", hub.trust)

    def digests(folder: Path) -> dict[str, str]:
        return {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files(folder)
        }

    assert digests(tmp_path / "running") == digests(tmp_path / "stopped")


def test_nothing_foreign_is_written_over(hub: SmallHub, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tile").mkdir(parents=True)
    (other / "tile" / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ExportRefused, match="no export of ours"):
        export_tiles(hub.store, other, hub.trust)
    assert (other / "tile" / "photo.jpg").read_bytes() == b"x"
    third = tmp_path / "third"
    third.mkdir()
    (third / "log.vkey").write_text("another+00000000+AAAA\n")
    with pytest.raises(ExportRefused, match="another log"):
        export_tiles(hub.store, third, hub.trust)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportRefused, match="file"):
        export_tiles(hub.store, tmp_path / "file", hub.trust)


def test_without_a_checkpoint_there_is_nothing_to_export(tmp_path: Path) -> None:
    hub = SmallHub(tmp_path)
    with pytest.raises(NoSuchEntry, match="no checkpoint"):
        export_tiles(hub.store, tmp_path / "out", hub.trust)
    with pytest.raises(NoSuchEntry, match="no checkpoint"):
        prove(hub.store, 0)


def test_entries_that_do_not_fit_the_checkpoint_are_not_exported(
    hub: SmallHub, tmp_path: Path
) -> None:
    import sqlite3

    with sqlite3.connect(hub.path) as connection:
        connection.execute("DROP TRIGGER entry_no_update")
        connection.execute("UPDATE entry SET raw = x'00' WHERE \"index\" = 5")
    connection.close()
    with pytest.raises(LedgerCorrupt, match="do not have the root"):
        export_tiles(hub.store, tmp_path / "out", hub.trust)
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_a_proof_as_text(hub: SmallHub) -> None:
    entry = hub.store.entry(7)
    key = parse_vkey(hub.trust.log_vkey)
    for wanted in (7, "7", entry.leaf_hash.hex(), entry.leaf_hash.hex()[:16]):
        proof = parse_proof(prove(hub.store, wanted))
        assert check_proof(proof, entry.leaf_hash, key).size == 24
    hub.store.append([hub.reading()])
    with pytest.raises(NoSuchEntry, match="not yet under a checkpoint"):
        prove(hub.store, 24)
    with pytest.raises(NoSuchEntry, match="no entry 99"):
        prove(hub.store, 99)
    with pytest.raises(NoSuchEntry, match="no entry has the id"):
        prove(hub.store, "00" * 32)
    with pytest.raises(NoSuchEntry, match="hex digits"):
        prove(hub.store, "not hex")


def test_an_index_is_never_taken_for_an_id(hub: SmallHub) -> None:
    of_digits = "1234567890123456"  # as an id may begin, and no index is
    for name, why in (
        ("123456789012345", "there is no entry 123456789012345"),
        (of_digits, f"no entry has the id {of_digits}"),
        ("abcdef", "'abcdef' is no index, and no entry id of 16 to 64 hex digits"),
    ):
        with pytest.raises(NoSuchEntry, match=why):
            hub.store.named(name)


def test_tables(hub: SmallHub, tmp_path: Path) -> None:
    rows = [
        SlotRow(START_MS, START_MS + 900_000, 6, "complete", "dep_balance", "settled",
                1, 2, 3, 4, None),
        MatchRow(START_MS, 0, "=alice", "bob", 5, 6, 7),
        LineRow(START_MS, 0, "alice", "sale", "bob, \"B\"", 5, 6, 7, "metered", 6),
        FateRow(START_MS, 0, "bob", "0a", "bid", 5, 6, 5, ""),
        DecisionRow(9, START_MS, "shed", "rule\r\nsix", "feeder", "too much", "r1 cut", b"\x0a"),
    ]  # fmt: skip
    hub.store.books.replace(rows)
    written = export_csv(hub.store, tmp_path / "out")
    assert written == {
        "readings.csv": 5,
        "slots.csv": 1,
        "slot_energies.csv": 0,
        "matches.csv": 1,
        "lines.csv": 1,
        "fates.csv": 1,
        "sheds.csv": 0,
        "decisions.csv": 1,
    }
    raw = (tmp_path / "out" / "slots.csv").read_bytes()
    assert raw.splitlines()[0].startswith(b"start_ms,end_ms,close_index,")
    assert raw.endswith(b",4,\r\n")  # None is empty, and a line ends as RFC 4180 wants it
    assert b'"bob, ""B"""' in (tmp_path / "out" / "lines.csv").read_bytes()
    with (tmp_path / "out" / "matches.csv").open(newline="") as file:
        (match,) = csv.DictReader(file)
    assert match["seller"] == "'=alice"
    with (tmp_path / "out" / "decisions.csv").open(newline="") as file:
        (decision,) = csv.DictReader(file)
    assert (decision["rule"], decision["view_root"]) == ("rule\r\nsix", "0a")
    with (tmp_path / "out" / "readings.csv").open(newline="") as file:
        first, *_, last = csv.DictReader(file)
    assert first["time_utc"] == "2026-01-01T00:15:00.000Z"
    assert (first["meter"], first["import_uwh"], first["export_uwh"]) == ("m1", "1000003", "17")
    assert (last["index"], last["sequence"]) == ("22", "7")
