"""Space kept in reserve: on a full disk SQLite cannot even delete, so something must be given back.

Source: measured; after freeing the ballast, checkpoint, delete and insert all work again.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

BALLAST_BYTES = 16 * 1024 * 1024
ROOM_PERCENT_MIN = 5
ROOM_BYTES_MAX = 256 * 1024 * 1024  # on a large disk 5 % would be far more than a ledger needs


class Ballast:
    """Owns one file of real blocks beside the database."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self._path = path
        self._size = size

    def keep(self) -> bool:
        """Make the file if there is room to spare; say whether it is there."""
        if self._path.exists() and self._path.stat().st_size == self._size:
            return True
        if not self._has_room_for(self._size):
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)
        return True

    def free(self) -> None:
        """Give the space back to the database."""
        self._path.unlink(missing_ok=True)

    def is_low(self) -> bool:
        """Say whether so little is free that no readings should be taken (5 % or 256 MiB)."""
        return not self._has_room_for(0)

    def _has_room_for(self, wanted: int) -> bool:
        usage = shutil.disk_usage(self._path.parent)
        reserve = min(usage.total * ROOM_PERCENT_MIN // 100, ROOM_BYTES_MAX)
        return usage.free - wanted >= reserve
