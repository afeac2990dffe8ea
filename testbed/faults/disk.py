"""A disk that fails under chosen processes: full, read-only, not syncing, writing short.

By a small library that is compiled here and loaded into a process when it starts. It stands between
the process and its files below one folder, and does what a file says at that moment. So a disk is
filled and freed in no time, for one process alone, and nothing else on this machine notices.
"""

import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from testbed.errors import Unplayable

SOURCE = Path(__file__).parent / "failing_disk.c"
COMPILER_S = 60


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

    def be(self, mode: Mode) -> None:
        """Behave like this from now on."""
        written = self.file.with_suffix(".new")
        written.write_text(mode, "ascii")
        written.replace(self.file)

    def environment(self) -> dict[str, str]:
        """Return what a process has to be started with."""
        return {
            "LD_PRELOAD": str(self.library),
            "GRIDTALLY_DISK": str(self.folder),
            "GRIDTALLY_DISK_MODE": str(self.file),
        }


def build_library(folder: Path) -> Path:
    """Compile the library into a folder and return it.

    Raises:
        Unplayable: there is no C compiler, or it refuses.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Unplayable("a disk that fails needs a C compiler: apt install gcc libc6-dev")
    built = folder / "failing_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(built), str(SOURCE), "-ldl"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=COMPILER_S, check=False)
    if ended.returncode:
        raise Unplayable(f"a disk that fails could not be compiled: {ended.stderr.strip()[-300:]}")
    return built
