"""Space kept in reserve beside the outbox: on a full disk SQLite cannot even delete.

Source: measured; once the ballast is given back, checkpoint, delete and insert all work again.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOM_FACTOR: Final = 2
FULL_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Ballast:
    """One file of real blocks, `size` bytes long; 0 for none."""

    path: Path
    size: int

    def keep(self) -> bool:
        """Make the file if there is room to spare; return whether it is there."""
        if self.size == 0:
            return False
        try:
            return self._is_there() or self._make()
        except OSError:  # a full or read-only disk is told by whoever writes to it next
            self.free()
            return False

    def is_needed(self) -> bool:
        """Whether so little is free that a write that failed may have failed for that."""
        return shutil.disk_usage(self.path.parent).free < FULL_BYTES

    def free(self) -> bool:
        """Give the space back; return whether there was any."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def _is_there(self) -> bool:
        return self.path.exists() and self.path.stat().st_size == self.size

    def _make(self) -> bool:
        if shutil.disk_usage(self.path.parent).free < ROOM_FACTOR * self.size:
            return False
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, self.size)
        finally:
            os.close(handle)
        return True
