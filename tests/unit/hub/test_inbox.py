"""What a command signed reaches the hub whole, once, or comes back with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.inbox import ENTRY_BYTES_MAX, Inbox


def test_entries_wait_in_the_order_they_were_put(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.open()
    for raw in (b"third comes last", b"a", b"second"):
        inbox.put(raw)
    assert [item.raw for item in inbox.waiting()] == [b"third comes last", b"a", b"second"]


def test_a_taken_entry_is_gone_and_its_outcome_is_good(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.open()
    path = inbox.put(b"entry")
    assert inbox.outcome(path) is None
    (waiting,) = inbox.waiting()
    inbox.done(waiting)
    inbox.done(waiting)
    assert inbox.waiting() == ()
    assert inbox.outcome(path) == ""


def test_a_refused_entry_is_kept_with_its_reason(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.open()
    path = inbox.put(b"entry")
    (waiting,) = inbox.waiting()
    inbox.refuse(waiting, "the signer is not an administrator")
    assert inbox.waiting() == ()
    assert inbox.outcome(path) == "the signer is not an administrator"
    assert (tmp_path / "inbox" / "refused" / path.name).read_bytes() == b"entry"


def test_half_written_files_are_not_entries_and_go(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.open()
    (tmp_path / "inbox" / "0001-aa.partial").write_bytes(b"half")
    assert inbox.waiting() == ()
    inbox.open()
    assert list((tmp_path / "inbox").glob("*.partial")) == []


def test_an_oversized_file_is_read_no_further_than_needed_to_refuse_it(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.open()
    inbox.put(bytes(ENTRY_BYTES_MAX + 1_000))
    (waiting,) = inbox.waiting()
    assert len(waiting.raw) == ENTRY_BYTES_MAX + 1


def test_nobody_else_on_the_machine_reads_what_waits(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "state")
    inbox.put(b"entry")
    assert (tmp_path / "state" / "inbox").stat().st_mode & 0o077 == 0


def test_what_is_taken_while_somebody_looks_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The web process counts what waits while the hub takes it."""
    inbox = Inbox(tmp_path)
    inbox.open()
    gone, stays = inbox.put(b"gone"), inbox.put(b"stays")
    assert gone < stays

    def listed(folder: Path, pattern: str) -> list[Path]:
        gone.unlink(missing_ok=True)
        return [gone, stays]

    monkeypatch.setattr(Path, "glob", listed)
    assert [item.raw for item in inbox.waiting()] == [b"stays"]
