"""A copy of the ledger while the hub runs, and the way back.

SQLite's backup API is the only way: a copied file may be half of a commit, and lacks what its -wal
holds. A copy is verified before it gets its name. A ledger put back from a copy is behind whatever
was signed since, and signing on would fork the log: what finds that is, in this order, the file
`<database>.newest` on this disk, the witnesses, the nodes' receipts.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.errors import BackupRefused
from hub.ledger import opening
from hub.ledger.engine import database_path
from hub.ledger.lock import WriterLock
from hub.ledger.newest import HandedOut, NewestFile, sync_folder
from hub.ledger.store import Store
from hub.ledger.verify import Report, verify
from messages.trust import Trust

PAGES_A_STEP: Final = 1_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """A verified copy: where it lies and what it holds."""

    path: Path
    report: Report


def back_up(url: str, trust: Trust, target: Path, progress: Progress) -> Copied:
    """Copy a SQLite ledger to a new file, whether its hub runs or not, and verify the copy.

    Raises:
        BackupRefused: the file exists, the database is no SQLite file, or the copy has a fault.
    """
    _require_free(target)
    source = _path(url)
    Store.open(url, read_only=True).close()  # says in a sentence what is wrong with it
    return _placed(source, target, trust, progress)


def restore(url: str, trust: Trust, copy: Path, progress: Progress) -> Copied:
    """Put a verified copy where the hub expects its ledger; nothing there is written over.

    Raises:
        BackupRefused: a ledger is there, or the copy has a fault.
        LedgerBehind: this hub handed out more than the copy holds.
        LedgerLocked: a hub runs.
    """
    target = _path(url)
    lock = WriterLock(Path(f"{target}.lock"))
    try:
        _require_free(target)
        _require_free(Path(f"{target}-wal"))
        _check_newest(copy, target)
        copied = _placed(copy, target, trust, progress)
        _remember(url, target)
        return copied
    finally:
        lock.release()


def check_copy(copy: Path, trust: Trust, progress: Progress) -> Copied:
    """Verify a copy where it lies."""
    if not copy.is_file():
        raise BackupRefused(f"{copy}: there is no such file")
    report = verify(f"sqlite:///{copy}", trust, progress)
    if report.findings:
        raise BackupRefused(f"{copy} is no good copy: {report.findings[0]}")
    return Copied(copy, report)


def _placed(source: Path, target: Path, trust: Trust, progress: Progress) -> Copied:
    """Copy to a draft, verify it, and only then give it its name."""
    draft = target.with_name(f"{target.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        _copy(source, draft, progress)
        report = check_copy(draft, trust, progress).report
        with suppress(FileNotFoundError):
            Path(f"{draft}-shm").unlink()
        os.link(draft, target)  # unlike a rename it never replaces what came meanwhile
    except FileExistsError:
        raise BackupRefused(f"{target} is there already: choose another name") from None
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.absolute().parent)
    return Copied(target, report)


def _copy(source: Path, draft: Path, progress: Progress) -> None:
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    uri = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as old, closing(sqlite3.connect(draft)) as new:
            old.backup(
                new,
                pages=PAGES_A_STEP,
                progress=lambda _status, left, total: progress(total - left, total),
            )
            new.execute("PRAGMA journal_mode=DELETE")  # one file, with no -wal to forget
    except sqlite3.Error as error:
        raise BackupRefused(f"{source} cannot be copied: {error}") from error
    with draft.open("rb") as file:
        os.fsync(file.fileno())


def _check_newest(copy: Path, target: Path) -> None:
    """Refuse a copy that is behind what this disk remembers to have handed out."""
    newest = NewestFile(Path(f"{target}.newest")).read()
    if newest is not None and copy.is_file():
        with Store.open(f"sqlite:///{copy}", read_only=True) as store:
            source = f"{target.name}.newest says this hub handed out"
            opening.check_continues(newest, store.nodes, store.size, source)


def _remember(url: str, target: Path) -> None:
    """Write down what the copy itself shows to have been handed out."""
    with Store.open(url, read_only=True) as store:
        newest = store.newest_checkpoint()
    file = NewestFile(Path(f"{target}.newest"))
    if newest is not None and file.read() is None:
        file.write(HandedOut(newest.size, opening.head_of(newest).root))
        file.close()


def _path(url: str) -> Path:
    path = database_path(url)
    if path is None:
        raise BackupRefused(f"{url}: only SQLite is backed up here; ask your server's own tools")
    return path


def _require_free(target: Path) -> None:
    if target.exists():
        raise BackupRefused(f"{target} is there already: nothing is ever written over")
