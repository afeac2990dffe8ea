"""The spool directory through which commands hand signed entries to a running hub.

`<state>/inbox/<time>-<hash>.entry` holds the exact signed bytes. Written to a temporary name,
synced, renamed: a reader sees all of it or nothing. The hub removes a file after its entry is
committed, or moves it to `inbox/refused/` with a `.reason` beside it, so that nothing a person
signed ever vanishes without a word.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ENTRY_BYTES_MAX = 65_535
TAKEN_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Spooled:
    """One signed entry that waits in the inbox."""

    path: Path
    raw: bytes


class Inbox:
    """The spool directory below a hub's state folder."""

    def __init__(self, state: Path) -> None:
        self._directory = state / "inbox"

    def open(self) -> None:
        """Make the directory; half-written files of a command that died are removed."""
        self._make()
        for path in self._directory.glob("*.partial"):
            path.unlink(missing_ok=True)

    def put(self, raw: bytes) -> Path:
        """Spool one entry durably behind those that wait; returns its file."""
        self._make()
        name = f"{time.time_ns():020}-{hashlib.sha256(raw).hexdigest()[:16]}.entry"
        path = self._directory / name
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(self._directory)
        return path

    def _make(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._directory / "refused").mkdir(exist_ok=True)

    def holds(self, raw: bytes) -> bool:
        """Whether these bytes wait already."""
        return any(self._directory.glob(f"*-{hashlib.sha256(raw).hexdigest()[:16]}.entry"))

    def waiting(self) -> tuple[Spooled, ...]:
        """Entries in the order in which they are to be taken, at most TAKEN_AT_ONCE."""
        found = []
        for path in sorted(self._directory.glob("*.entry"))[:TAKEN_AT_ONCE]:
            with suppress(FileNotFoundError), path.open("rb") as file:  # taken in the meantime
                found.append(Spooled(path, file.read(ENTRY_BYTES_MAX + 1)))
        return tuple(found)

    def done(self, spooled: Spooled) -> None:
        """Forget an entry that is committed (or was already there)."""
        spooled.path.unlink(missing_ok=True)

    def refuse(self, spooled: Spooled, reason: str) -> None:
        """Put an entry aside with the reason why it was not taken."""
        aside = self._directory / "refused" / spooled.path.name
        aside.with_suffix(".reason").write_text(reason + "\n", encoding="utf-8")
        spooled.path.replace(aside)

    def outcome(self, path: Path) -> str | None:
        """What became of a spooled entry: None while it waits, "" when taken, else the reason."""
        if path.exists():
            return None
        reason = self._directory / "refused" / path.with_suffix(".reason").name
        return reason.read_text(encoding="utf-8").strip() if reason.exists() else ""


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
