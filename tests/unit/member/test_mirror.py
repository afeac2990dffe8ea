"""gridtally-verify entries: a copy of a whole log, right and changed in every way."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from hub.ledger.export import export_tiles
from hub.ledger.records import NewEntry
from member.errors import Code
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import NoteKey, format_vkey
from messages.log.tiles import parse_bundle
from messages.log.tree import leaf_hash, root
from messages.trust import format_trust
from tests.support.demo_log import Told, ask
from tests.support.signers import ed25519
from tests.support.small_ledger import ORIGIN, SmallHub


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of 600 entries, exported: two full tiles of leaves, and a partial one."""
    folder = tmp_path_factory.mktemp("mirror")
    hub = SmallHub(folder)
    hub.fill(slots=3)
    while hub.store.size < 599:
        count = min(100, 599 - hub.store.size)
        hub.store.append([hub.reading() for _ in range(count)])
    hub.close_slot(9)
    hub.checkpoint()
    export_tiles(hub.store, folder / "mirror", hub.trust)
    (folder / "trust.toml").write_text(format_trust(hub.trust))
    hub.store.close()
    return folder


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(kept / "mirror", tmp_path / "mirror")
    shutil.copy(kept / "trust.toml", tmp_path)
    return tmp_path


def check(capsys: Any, folder: Path) -> Told:
    return ask(capsys, "entries", folder / "mirror", "--trust", folder / "trust.toml")


def test_a_whole_copy_is_valid_to_its_last_signature(kept: Path, capsys: Any) -> None:
    told = check(capsys, kept)
    assert told.code == 0
    assert told.facts["size"] == 600
    assert told.facts["signatures"] == 600
    assert told.facts["unknown"] == told.facts["sealed"] == 0
    key = (kept / "mirror" / "log.vkey").read_text()
    told = ask(capsys, "entries", kept / "mirror", "--key", key)
    assert told.code == 0


def test_any_bit_flipped_in_any_file_is_found(copy: Path, capsys: Any) -> None:
    files = sorted(path for path in (copy / "mirror").rglob("*") if path.is_file())
    for name in ("log.vkey", "policy"):
        files.remove(copy / "mirror" / name)  # nobody believes them: --trust or --key decides
    choose = random.Random(4)
    assert len(files) == 8
    for path in files:
        raw = path.read_bytes()
        for _ in range(12):
            at = choose.randrange(len(raw))
            flipped = bytearray(raw)
            flipped[at] ^= 1 << choose.randrange(8)
            path.write_bytes(flipped)
            assert check(capsys, copy).code != 0, (path.name, at)
        path.write_bytes(raw)
    assert check(capsys, copy).code == 0


def test_a_changed_entry_is_a_broken_tree(copy: Path, capsys: Any) -> None:
    path = copy / "mirror/tile/entries/001"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    told = check(capsys, copy)
    assert told.code == Code.PROOF
    assert "tile/0/001 does not hold the hashes of the entries below it" in told.verdict


def test_a_tile_above_the_leaves_is_compared_too(copy: Path, capsys: Any) -> None:
    path = copy / "mirror/tile/1/000.p/2"
    path.write_bytes(path.read_bytes()[::-1])
    told = check(capsys, copy)
    assert told.code == Code.PROOF
    assert "tile/1/000.p/2" in told.verdict


@pytest.mark.parametrize("name", ["tile/entries/001", "tile/0/002.p/88", "checkpoint"])
def test_what_is_missing_is_named(copy: Path, capsys: Any, name: str) -> None:
    (copy / "mirror" / name).unlink()
    told = check(capsys, copy)
    assert told.code == Code.UNREADABLE
    assert name in told.verdict


def test_a_bundle_that_is_short_is_malformed(copy: Path, capsys: Any) -> None:
    path = copy / "mirror/tile/entries/000"
    first = parse_bundle(path.read_bytes())[0]
    path.write_bytes(len(first).to_bytes(2, "big") + first)
    told = check(capsys, copy)
    assert told.code == Code.MALFORMED
    assert "1 entries, want 256" in told.verdict


def test_another_network_is_foreign(copy: Path, capsys: Any) -> None:
    text = (copy / "trust.toml").read_text()
    name = text.split('network_id = "')[1][:64]
    (copy / "trust.toml").write_text(text.replace(name, "0" * 64))
    told = check(capsys, copy)
    assert told.code == Code.FOREIGN
    assert name in told.verdict


def hand_made(folder: Path, entries: list[bytes], log: Any) -> None:
    """Write a mirror of entries that a log signed without looking at them."""
    leaves = [leaf_hash(raw) for raw in entries]
    path = folder / f"tile/entries/000.p/{len(entries)}"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(len(raw).to_bytes(2, "big") + raw for raw in entries))
    path = folder / f"tile/0/000.p/{len(entries)}"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(leaves))
    head = Checkpoint(ORIGIN, len(entries), root(leaves))
    (folder / "checkpoint").write_text(sign_checkpoint(head, log))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("forged", Code.SIGNATURE, "entry 4: the signature does not verify"),
        ("stranger", Code.SIGNATURE, "entry 4: no key"),
        ("garbage", Code.MALFORMED, "entry 4: not a COSE_Sign1"),
        ("no genesis", Code.MALFORMED, "entry 0: it is no genesis"),
        ("nothing", None, "5 signatures right"),
    ],
)
def test_a_log_that_signed_what_nobody_signed_is_caught(
    tmp_path: Path, capsys: Any, change: str, code: Code | None, words: str
) -> None:
    hub = SmallHub(tmp_path)
    hub.enrol()
    reading: NewEntry = hub.reading()
    entries = [*(entry.raw for entry in hub.store.entries()), reading.raw]
    if change == "forged":
        entries[4] = entries[4][:-1] + bytes((entries[4][-1] ^ 1,))
    elif change == "stranger":
        hub.meter = ed25519("nobody")
        entries[4] = hub.reading().raw
    elif change == "garbage":
        entries[4] = b"garbage"
    elif change == "no genesis":
        entries = entries[1:]
    hand_made(tmp_path / "mirror", entries, hub.log)
    vkey = format_vkey(NoteKey(ORIGIN, 1, hub.log.public))
    told = ask(capsys, "entries", tmp_path / "mirror", "--key", vkey)
    assert told.code == (code or 0)
    assert words in told.verdict
    hub.store.close()
