"""Lives of a program that end too soon: after five of them in a row it keeps its relays safe.

Something here kills it then, such as a coil that pulls a weak supply down, and each new start would
move contacts again. It goes on metering. A life is good once it lasted a minute, or five minutes
where relays are kept safe; one that ended as asked counts neither way.

The count is a small file, written before anything else is done; to delete it is to begin anew.
Source of the figures: the safe mode of ESPHome (a good boot lasts 60 s, safe mode 5 min).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from edge.clock import boottime_ms

SHORT_BOOTS_MAX: Final = 5
GOOD_MS: Final = 60_000
HOLD_MS: Final = 300_000
PROGRAMS: Final = ("agent", "guard")
UNREADABLE: Final = 1_000
"""What a file that cannot be read counts as: nobody knows, so relays stay safe."""

log = logging.getLogger("edge.boots")


def is_held(short: int, most: int) -> bool:
    """Whether relays are kept safe after so many short lives in a row; `most` 0: never."""
    return 0 < most <= short


def good_after_ms(short: int, most: int) -> int:
    """Return how long a life has to last to be a good one. [ms]"""
    return HOLD_MS if is_held(short, most) else GOOD_MS


def sentence(program: str, short: int) -> str:
    """Say why no relay moves, and what ends that."""
    count = "nobody knows how many" if short >= UNREADABLE else f"{short}"
    return (
        f"metering only: {count} starts of the {program} in a row ended within "
        f"{GOOD_MS // 1000} s; ends after {HOLD_MS // 60_000} min of running, "
        "or with gridtally-edge relay allow"
    )


def boots_file(state: Path, program: str) -> Path:
    """Return where the lives of the guard or of the agent are counted."""
    return state / f"{program}.boots"


def read_short(path: Path) -> int:
    """Return how many lives in a row ended too soon; without a file none did."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        return UNREADABLE


def write_short(path: Path, short: int) -> None:
    """Keep the count over a power cut; 0 leaves no file.

    Raises:
        OSError: the disk does not take it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if short:
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="ascii") as file:
            file.write(f"{short}\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    else:
        path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def short_lives(state: Path) -> dict[str, int]:
    """Return how many lives in a row ended too soon, the present one included, by program."""
    found = {program: read_short(boots_file(state, program)) for program in PROGRAMS}
    return {program: short for program, short in found.items() if short}


def forget(state: Path) -> dict[str, int]:
    """Delete the counts, and return what they were.

    Raises:
        OSError: one cannot be deleted.
    """
    found = short_lives(state)
    for program in found:
        write_short(boots_file(state, program), 0)
    return found


@dataclass(slots=True)
class Boots:
    """This life of a program. Until it is a good one, the file says that it was a short one.

    Attributes:
        state: the folder of the node's state.
        program: "guard" or "agent".
        most: after so many short lives relays are kept safe; 0: nothing is counted.
        short: lives before this one that ended too soon, in a row.
    """

    state: Path
    program: str
    most: int = SHORT_BOOTS_MAX
    clock_ms: Callable[[], int] = boottime_ms
    short: int = 0
    _began_ms: int = 0
    _is_counted: bool = False

    def __enter__(self) -> Self:
        """Count this life as a short one, before it does anything."""
        self._began_ms = self.clock_ms()
        if not self.most:
            return self
        self.short = read_short(self.path)
        self._is_counted = True
        self._keep(min(self.short, UNREADABLE) + 1)
        if self.hold:
            log.error("%s", self.hold)
        return self

    @property
    def path(self) -> Path:
        """Where it is counted."""
        return boots_file(self.state, self.program)

    @property
    def hold(self) -> str:
        """Why no relay may move, "" if one may."""
        return sentence(self.program, self.short) if is_held(self.short, self.most) else ""

    def look(self) -> str:
        """Return why no relay may move; ends when this life is a good one, or without its file."""
        if not self._is_counted:
            return ""
        is_good = self.clock_ms() - self._began_ms >= good_after_ms(self.short, self.most)
        if is_good or not self.path.exists():
            if self.hold:
                log.warning("relays may move again")
            self.short, self._is_counted = 0, False
            self._keep(0)
        return self.hold

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Count a life neither way that ended because somebody asked it to."""
        if self._is_counted and error is None:
            self._is_counted = False
            self._keep(self.short)

    def _keep(self, short: int) -> None:
        try:
            write_short(self.path, short)
        except OSError as error:
            log.warning("%s: %s; starts are not counted", self.path, error)
