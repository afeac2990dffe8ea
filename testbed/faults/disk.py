"""A disk that fails under chosen processes: full, read-only, not syncing, writing short.

It concerns what lies below one folder, and does what a file says at that moment. So a disk is
filled and freed in no time, for one process alone, and nothing else on this machine notices.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from testbed.faults.preload import build, replace

SOURCE = Path(__file__).parent / "failing_disk.c"


class Mode(StrEnum):
    """What a disk does."""

    RIGHT = "right"
    FULL = "full"  # ENOSPC, and no block is free
    READ_ONLY = "readonly"  # EROFS
    NO_SYNC = "nosync"  # EIO on fsync
    SHORT = "short"  # half of what is asked is written, and said so


@dataclass(frozen=True, slots=True)
class FailingDisk:
    """The files below `folder`, for every process started with `environment`."""

    library: Path
    folder: Path
    file: Path

    @classmethod
    def right(cls, folder: Path, scratch: Path, name: str = "disk") -> "FailingDisk":
        """Return one that is right until told otherwise; Unplayable without a C compiler.

        Args:
            folder: what lies on it.
            scratch: where its library and its file go; not in that folder.
            name: of this disk, if there are several.
        """
        disk = cls(build(SOURCE, scratch), folder, scratch / name)
        disk.be(Mode.RIGHT)
        return disk

    def be(self, mode: Mode) -> None:
        """Behave like this from now on."""
        replace(self.file, mode)

    def environment(self) -> dict[str, str]:
        """Return what a process has to be started with."""
        return {
            "LD_PRELOAD": str(self.library),
            "GRIDTALLY_DISK": str(self.folder),
            "GRIDTALLY_DISK_MODE": str(self.file),
        }
