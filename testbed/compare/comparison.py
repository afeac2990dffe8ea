"""A whole comparison: where the homes come from, and all runs over them for each length of slot."""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.compare.community import Community
from testbed.compare.forecasting import PERFECT, PERSISTENCE
from testbed.compare.outcome import Result, Yardsticks


@dataclass(frozen=True, slots=True)
class Section:
    """All runs over the same slots."""

    community: Community
    yardsticks: Yardsticks
    grid_only: Result
    results: tuple[Result, ...]

    @property
    def slot_min(self) -> int:
        """How long a slot is. [min]"""
        return self.community.slot_ms // 60_000

    @property
    def alike(self) -> tuple[Result, ...]:
        """The runs over these very homes, without a storage that the others do not have."""
        return tuple(each for each in self.results if not each.run.tally.community.shared)

    def foreseen(self, result: Result) -> Result | None:
        """Return the run with perfect foresight beside one by persistence."""
        here = result.run.settings
        if here.forecast != PERSISTENCE:
            return None
        wanted = replace(here, forecast=PERFECT)
        return next((each for each in self.results if each.run.settings == wanted), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared. `source` names the homes; `notes` say what was done to them."""

    source: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    made_at: str
    version: str
