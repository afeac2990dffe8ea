"""The wall clock of chosen processes jumps; the clocks that leases are counted by do not.

By libfaketime, which is loaded into a process when it starts and reads an offset from a file.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import Unplayable


@dataclass(frozen=True, slots=True)
class JumpingClock:
    """A file that says how wrong the wall clock is, for every process with `environment`."""

    file: Path

    def __post_init__(self) -> None:
        """Begin with the right time."""
        self.jump(0)

    def jump(self, offset_s: int) -> None:
        """Be wrong by so much from now on. [s]"""
        written = self.file.with_suffix(".new")
        written.write_text(f"{offset_s:+d}\n", "ascii")
        written.replace(self.file)  # a process that reads it sees the old offset or the new one

    def environment(self) -> dict[str, str]:
        """Return what a process has to be started with.

        Raises:
            Unplayable: libfaketime is not installed.
        """
        program = shutil.which("faketime")
        if program is None:
            raise Unplayable("a clock that jumps needs libfaketime: apt install faketime")
        command = [program, "-m", "-f", "+0", "printenv", "LD_PRELOAD"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return {
            "LD_PRELOAD": found.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
