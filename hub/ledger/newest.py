"""The newest checkpoint that was handed out, kept in a file outside the database.

A database put back from a backup does not know what it signed since. This one line does: a ledger
that is behind it, or different, must not sign (trust 8.8). The edges' receipts say the same from
further away.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from hub.errors import LedgerCorrupt


@dataclass(frozen=True, slots=True)
class HandedOut:
    """Size and root of a checkpoint that somebody else may hold."""

    size: int
    root: bytes


class NewestFile:
    """Owns one small file: a JSON object `{"size": n, "root": "hex"}` in one line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """Where the line stands."""
        return self._path

    def read(self) -> HandedOut | None:
        """Return what was handed out last, None if nothing was."""
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        try:
            line = json.loads(text)
            return HandedOut(int(line["size"]), bytes.fromhex(line["root"]))
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerCorrupt(
                f"{self._path} cannot be read as the newest checkpoint: {error}. "
                "Compare the ledger with the edges' receipts before you remove this file."
            ) from error

    def write(self, newest: HandedOut) -> None:
        """Replace the line durably: a power cut leaves the old one or the new one."""
        line = json.dumps({"size": newest.size, "root": newest.root.hex()}) + "\n"
        fresh = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(self._path)
        sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
