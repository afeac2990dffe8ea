"""Journal against ledger: each kind of disagreement is seen and named."""

from hashlib import sha256
from pathlib import Path

import pytest

from hub.ledger.records import NewEntry, NewPack
from hub.ledger.store import Store
from messages.log.tree import leaf_hash
from testbed.accounts import compare, read_journal
from testbed.errors import LedgerDisagrees

KID = bytes(range(8))


def entry(sequence: int, stream: str = "register") -> NewEntry:
    raw = f"{stream} {sequence}".encode()
    return NewEntry(raw, leaf_hash(raw), KID, stream, stream, sequence)


def pack(sequence: int) -> NewPack:
    raw = f"telemetry {sequence}".encode()
    return NewPack(raw, leaf_hash(raw), KID, sequence, 0)


def seal() -> NewEntry:
    return NewEntry(b"seal", leaf_hash(b"seal"), KID, "seal")


def line(stream: str, sequence: int) -> str:
    digest = sha256(f"{stream} {sequence}".encode()).hexdigest()
    return f"{KID.hex()} {stream} {sequence} {digest}\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'ledger.db'}", create=True, ballast_bytes=4096)


def journal(tmp_path: Path, text: str) -> list[Path]:
    path = tmp_path / "journal-a.txt"
    path.write_text(text)
    return [path, tmp_path / "journal-of-an-edge-that-signed-nothing.txt"]


def test_what_was_signed_and_stored_once_is_in_order(tmp_path: Path, store: Store) -> None:
    store.append([entry(1), entry(1, "event")], [pack(1)])
    store.append([seal()], sealed=[(KID, 1)])
    written = line("register", 1) + line("event", 1) + line("telemetry", 1)
    accounts = compare(journal(tmp_path, written), store)
    accounts.require_equal()
    assert accounts.signed == accounts.stored == {"register": 1, "event": 1, "telemetry": 1}
    store.close()


def test_a_pack_that_no_seal_covers_is_not_there_yet(tmp_path: Path, store: Store) -> None:
    store.append([], [pack(1)])
    accounts = compare(journal(tmp_path, line("telemetry", 1)), store)
    assert [lost.sequence for lost in accounts.lost] == [1]
    with pytest.raises(LedgerDisagrees, match=f"1 lost .{KID.hex()} telemetry 1"):
        accounts.require_equal()
    store.close()


def test_what_nobody_signed_is_foreign(tmp_path: Path, store: Store) -> None:
    store.append([entry(1), entry(2)])
    accounts = compare(journal(tmp_path, line("register", 1)), store)
    assert [foreign.sequence for foreign in accounts.foreign] == [2]
    with pytest.raises(LedgerDisagrees, match="1 that no edge signed"):
        accounts.require_equal()
    store.close()


def test_another_content_under_the_same_number_is_both(tmp_path: Path, store: Store) -> None:
    store.append([entry(1)])
    other = f"{KID.hex()} register 1 {'0' * 64}\n"
    accounts = compare(journal(tmp_path, other), store)
    assert (len(accounts.lost), len(accounts.foreign)) == (1, 1)
    store.close()


def test_a_torn_last_line_counts_for_nothing(tmp_path: Path) -> None:
    (path, nowhere) = journal(tmp_path, line("register", 1) + line("register", 2)[:-9])
    assert [read.sequence for read in read_journal(path)] == [1]
    assert list(read_journal(nowhere)) == []
