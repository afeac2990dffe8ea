"""The bus itself: how much its inertia still holds, and whether it stands, is dark or starts.

A deficit that no source covers is drawn from the inertia, and voltage or frequency fall with its
square root. When it is used up the bus collapses: nothing is fed until the grid is back, or until
somebody who may start it has waited his time. Then the inertia is filled first, and loads follow.
"""

from dataclasses import dataclass, field
from math import isqrt

from testbed.grid.parts import Inertia

TICKS_PER_WS = 2_000_000_000
FILLED_IN_MS = 2_000


@dataclass(slots=True)
class Swing:
    """The inertia of one bus. `dark_ms`: since when it is dark; `starts`: it is being filled."""

    inertia: Inertia
    level_ticks: int = field(init=False)
    dark_ms: int | None = None
    starts: bool = False
    collapses: int = 0

    def __post_init__(self) -> None:
        """Begin filled."""
        self.level_ticks = self.full_ticks

    @property
    def full_ticks(self) -> int:
        """What it holds above the level of collapse. [ticks]"""
        return self.inertia.content_ws * TICKS_PER_WS

    @property
    def feeds(self) -> bool:
        """Whether loads and generators are on the bus."""
        return self.dark_ms is None and not self.starts

    def out_uw(self, step_ms: int) -> int:
        """Return what it can give for a whole step. [uW]"""
        return self.level_ticks // (2 * step_ms) if self.feeds else 0

    def in_uw(self, step_ms: int) -> int:
        """Return what it takes while there is something to spare. [uW]"""
        if self.dark_ms is not None:
            return 0
        missing_ticks = self.full_ticks - self.level_ticks
        return min(missing_ticks // (2 * step_ms), self.full_ticks // (2 * FILLED_IN_MS))

    def collapse(self, now_ms: int) -> int:
        """Go dark; return what was left in it, which is lost. [ticks]"""
        left_ticks, self.level_ticks = self.level_ticks, 0
        self.dark_ms, self.starts = now_ms, False
        self.collapses += 1
        return left_ticks

    def follow(self, now_ms: int, step_ms: int, *, has_grid: bool, has_starter: bool) -> None:
        """Begin to start where somebody can, and stand once it is filled as far as a step tells."""
        if self.dark_ms is not None:
            waited = now_ms - self.dark_ms >= self.inertia.restart_ms
            if has_grid or (has_starter and waited):
                self.dark_ms, self.starts = None, True
        elif self.starts and self.full_ticks - self.level_ticks < 2 * step_ms:
            self.starts = False

    def permyriad(self, *, has_grid: bool) -> int:
        """Return voltage or frequency in ten-thousandths of nominal."""
        if self.dark_ms is not None:
            return 0
        low = self.inertia.collapse_permille
        top = 1000 if has_grid else self.inertia.island_permille
        span = (top * top - low * low) * 100
        return isqrt(low * low * 100 + span * self.level_ticks // max(self.full_ticks, 1))
