"""For tests only: a list, apart from the outbox, of everything that was signed durably.

One line a row, `<kid> <stream> <sequence> <sha-256 of the signed bytes>`, on disk before it leaves.
A row is listed after its transaction; one whose line a crash cut off is listed at the next start,
before anything can be sent or deleted.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from edge.outbox_records import Row
from messages.sealed import signed_part


class Journal:
    """Appends to a journal file."""

    def __init__(self, path: Path) -> None:
        self._newest: dict[tuple[str, str], int] = {}
        whole = _drop_torn_line(path)
        for line in whole.splitlines():
            kid, stream, sequence, _ = line.split()
            self._newest[kid, stream] = int(sequence)
        self._file = path.open("ab")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def note(self, rows: Iterable[Row]) -> None:
        """List rows that are not listed yet, and wait for the disk."""
        lines = [self._line(row) for row in rows if row.sequence > self._known(row)]
        if lines:
            self._file.write("".join(lines).encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def _known(self, row: Row) -> int:
        return self._newest.get((row.kid.hex(), row.stream), 0)

    def _line(self, row: Row) -> str:
        kid = row.kid.hex()
        self._newest[kid, row.stream] = row.sequence
        digest = hashlib.sha256(signed_part(row.raw)).hexdigest()
        return f"{kid} {row.stream} {row.sequence} {digest}\n"


def _drop_torn_line(path: Path) -> str:
    """Return the whole lines of a journal, after cutting off one that a crash left half written."""
    written = path.read_bytes() if path.exists() else b""
    whole = written[: written.rfind(b"\n") + 1]
    if whole != written:
        os.truncate(path, len(whole))
    return whole.decode("ascii")
