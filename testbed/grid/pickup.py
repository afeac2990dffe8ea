"""Since when each load draws, and what it draws beyond its usual because of that."""

from dataclasses import dataclass

from testbed.grid.parts import Pickup

USUAL_PERMILLE = 1000


@dataclass(slots=True)
class Drawing:
    """One load: since when it draws (None: it does not), and how long it was without before."""

    since_ms: int | None = None
    stopped_ms: int = 0
    was_without_ms: int = 0

    def note(self, is_drawing: bool, now_ms: int) -> None:
        """Note whether it draws from this instant on."""
        if is_drawing and self.since_ms is None:
            self.since_ms, self.was_without_ms = now_ms, now_ms - self.stopped_ms
        elif not is_drawing and self.since_ms is not None:
            self.since_ms, self.stopped_ms = None, now_ms

    def permille(self, pickup: Pickup, at_ms: int, *, after: bool) -> int:
        """Return the power in thousandths of its usual, just before or after an instant."""
        if self.since_ms is None:
            return USUAL_PERMILLE
        age_ms = at_ms - self.since_ms - (0 if after else 1)
        if age_ms < pickup.inrush_ms:
            return pickup.inrush_permille
        if age_ms < pickup.cold_ms and self.was_without_ms >= pickup.cold_after_ms:
            return pickup.cold_permille
        return USUAL_PERMILLE
