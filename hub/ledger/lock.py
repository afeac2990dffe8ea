"""One writer: an exclusive lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hub.errors import LedgerLocked


class WriterLock:
    """Owns `<database>.lock` for as long as this process may write."""

    def __init__(self, path: Path) -> None:
        """Take the lock or raise LedgerLocked, naming the process that has it."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise LedgerLocked(
                f"{path.with_suffix('')} is being written by process {holder or 'unknown'}: "
                "a ledger has one writer. Stop that process first."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process write. The file stays: removing it would race."""
        os.close(self._descriptor)
