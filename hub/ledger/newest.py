"""The newest checkpoint that was handed out, kept in a file outside the database.

A database put back from a backup does not know what it signed since. This file does: a ledger that
is behind it, or different, must not sign (trust 8.8). The edges' receipts say the same from further
away.

The file is two lines, each a JSON object padded to one disk sector; writes take turns, so that a
torn one leaves the other, and cost one sync:

    {"size": 1204, "root": "9f0c..."}
    {"size": 1187, "root": "77ab..."}
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

from hub.errors import LedgerCorrupt, LedgerError, StorageFull

LINE_BYTES = 512


@dataclass(frozen=True, slots=True)
class HandedOut:
    """Size and root of a checkpoint that somebody else may hold."""

    size: int
    root: bytes


class NewestFile:
    """Owns that file. Only the ledger's writer writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._turn = 0

    def read(self) -> HandedOut | None:
        """Return what was handed out last, None if nothing was."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        lines = [content[at : at + LINE_BYTES] for at in range(0, len(content), LINE_BYTES)]
        parsed = [_parse(line) for line in lines]
        found = [line for line in parsed if line is not None]
        if not found and content.strip():
            raise LedgerCorrupt(
                f"{self.path} cannot be read, and it says which checkpoint was handed out last. "
                "Compare the ledger with the edges' receipts before you remove it."
            )
        newest = max(found, key=lambda line: line.size, default=None)
        self._turn = 1 - parsed.index(newest) if newest in parsed[:2] else 0
        return newest

    def write(self, newest: HandedOut) -> None:
        """Replace the older line durably.

        Raises:
            StorageFull, LedgerError: it could not be written, so nothing may be handed out.
        """
        text = json.dumps({"size": newest.size, "root": newest.root.hex()})
        try:
            if self._descriptor < 0:
                self._open()
            os.pwrite(self._descriptor, _pad(text), self._turn * LINE_BYTES)
            os.fdatasync(self._descriptor)
        except OSError as error:
            self.close()  # never sync again what failed to sync
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            kind = StorageFull if full else LedgerError
            raise kind(f"{self.path} cannot be written: {error}") from error
        self._turn = 1 - self._turn

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        is_new = not self.path.exists()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if is_new:
            os.pwrite(self._descriptor, _pad("") * 2, 0)
            os.fsync(self._descriptor)
            sync_folder(self.path.absolute().parent)


def _pad(text: str) -> bytes:
    return text.ljust(LINE_BYTES - 1).encode("ascii") + b"\n"


def _parse(line: bytes) -> HandedOut | None:
    try:
        parts = json.loads(line)
        return HandedOut(int(parts["size"]), bytes.fromhex(parts["root"]))
    except (ValueError, KeyError, TypeError):
        return None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
