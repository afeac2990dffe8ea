"""A copy is whole and verified, and a ledger put back never signs behind what was handed out."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from hub.commands.words import restored_lines
from hub.errors import BackupRefused, LedgerBehind, LedgerLocked
from hub.ledger.store import Store
from hub.ledger.verify import verify
from hub.upkeep.backup import back_up, check_copy, restore
from tests.support.small_ledger import SmallHub


def silent(_done: int, _total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def hub(tmp_path: Path) -> SmallHub:
    (tmp_path / "live").mkdir()
    made = SmallHub(tmp_path / "live")
    made.fill()
    return made


def lose(hub: SmallHub, *, all_of_it: bool) -> None:
    """Lose the database, or the whole disk."""
    hub.store.close()
    for found in hub.folder.iterdir():
        if all_of_it or not found.name.endswith(".newest"):
            found.unlink()


def test_a_copy_of_a_running_hub_is_whole(hub: SmallHub, tmp_path: Path) -> None:
    hub.store.append([hub.reading()])  # still in the -wal
    made = back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    assert made.report.size == hub.store.size == 25
    assert [found.name for found in tmp_path.iterdir() if "copy" in found.name] == ["copy.db"]
    assert made.path.stat().st_mode & 0o077 == 0
    hub.store.append([hub.reading()])  # the hub goes on
    assert check_copy(made.path, hub.trust, silent).report.size == 25


def test_nothing_is_written_over(hub: SmallHub, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(BackupRefused, match="nothing is ever written over"):
        back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    good = back_up(hub.url, hub.trust, tmp_path / "good.db", silent)
    with pytest.raises(LedgerLocked):
        restore(hub.url, hub.trust, good.path, silent)
    hub.store.close()
    with pytest.raises(BackupRefused, match="nothing is ever written over"):
        restore(hub.url, hub.trust, good.path, silent)


def test_a_copy_of_a_spoiled_ledger_gets_no_name(hub: SmallHub, tmp_path: Path) -> None:
    with sqlite3.connect(hub.path) as connection:
        connection.execute("DROP TRIGGER node_no_update")
        connection.execute('UPDATE node SET hash = zeroblob(32) WHERE "index" = 3')
    connection.close()
    with pytest.raises(BackupRefused, match=r"no good copy: the stored hash over entries 6 to 7"):
        back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    assert not [found for found in tmp_path.iterdir() if "copy" in found.name]


def test_a_spoiled_copy_is_not_put_back(hub: SmallHub, tmp_path: Path) -> None:
    made = back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    content = bytearray(made.path.read_bytes())
    at = content.find(b"application/x.gridtally.close+cbor")
    content[at + 60] ^= 1
    made.path.write_bytes(content)
    lose(hub, all_of_it=True)
    with pytest.raises(BackupRefused, match="no good copy"):
        restore(hub.url, hub.trust, made.path, silent)
    assert not hub.path.exists()
    with pytest.raises(BackupRefused, match="no such file"):
        check_copy(tmp_path / "other.db", hub.trust, silent)


def test_a_ledger_put_back_on_a_new_disk_goes_on(hub: SmallHub, tmp_path: Path) -> None:
    made = back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    lose(hub, all_of_it=True)
    restore(hub.url, hub.trust, made.path, silent)
    assert verify(hub.url, hub.trust).findings == ()
    with Store.open(hub.url, ballast_bytes=1) as store:
        assert store.size == 24
        with pytest.raises(LedgerBehind, match="node n1 shows a checkpoint over 30"):
            store.check_seen(30, bytes(32), "node n1 shows")
        with pytest.raises(LedgerBehind):
            store.append([hub.reading()])


def test_an_old_copy_is_refused_where_the_disk_remembers(hub: SmallHub, tmp_path: Path) -> None:
    made = back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    hub.store.append([hub.reading()])
    hub.checkpoint()
    lose(hub, all_of_it=False)
    with pytest.raises(LedgerBehind, match="handed out a checkpoint over 25"):
        restore(hub.url, hub.trust, made.path, silent)
    assert not hub.path.exists()


def test_the_newest_copy_is_put_back_where_the_disk_remembers(
    hub: SmallHub, tmp_path: Path
) -> None:
    made = back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    lose(hub, all_of_it=False)
    assert restore(hub.url, hub.trust, made.path, silent).report.size == 24


def test_only_sqlite_is_copied_here(hub: SmallHub, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="only SQLite"):
        back_up("postgresql://localhost/x", hub.trust, tmp_path / "copy.db", silent)


def test_a_copy_of_another_network_is_refused(hub: SmallHub, tmp_path: Path) -> None:
    made = back_up(hub.url, hub.trust, tmp_path / "copy.db", silent)
    with pytest.raises(BackupRefused, match="this is another network"):
        check_copy(made.path, replace(hub.trust, network_id=bytes(32)), silent)


@pytest.mark.parametrize(("witnessed", "word"), [(True, "witnesses"), (False, "receipts")])
def test_what_to_do_next_is_said(*, witnessed: bool, word: str) -> None:
    assert word in " ".join(restored_lines(witnessed=witnessed))
