"""The wall clock of chosen processes jumps; the clocks that leases are counted by do not."""

from dataclasses import dataclass
from pathlib import Path

from testbed.faults.preload import build, replace

SOURCE = Path(__file__).parent / "wrong_clock.c"


@dataclass(frozen=True, slots=True)
class WrongClock:
    """How wrong the wall clock is, for every process started with `environment`."""

    library: Path
    file: Path

    @classmethod
    def right(cls, folder: Path) -> "WrongClock":
        """Return a clock that is right until it jumps; Unplayable without a C compiler."""
        clock = cls(build(SOURCE, folder), folder / "offset")
        clock.jump(0)
        return clock

    def jump(self, offset_s: int) -> None:
        """Be wrong by so much from now on. [s]"""
        replace(self.file, f"{offset_s}\n")

    def environment(self) -> dict[str, str]:
        """Return what a process has to be started with."""
        return {"LD_PRELOAD": str(self.library), "GRIDTALLY_CLOCK": str(self.file)}
