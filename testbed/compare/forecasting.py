"""What members expect of a slot, for contracts whose orders name an amount before the slot is over.

Two forecasts, side by side: persistence knows the past only and expects the same slot of the day
before, nothing on the first day; perfect foresight expects what the meter will show, and says what
better forecasts are worth.
"""

from __future__ import annotations

from typing import Final

from hub.market.contract import Position
from testbed.compare.community import Community

PERFECT: Final = "perfect foresight"
PERSISTENCE: Final = "persistence"
FORECASTS: Final = (PERFECT, PERSISTENCE)


def expected(community: Community, slot: int, forecast: str) -> tuple[Position, ...]:
    """Return what everybody expects his meter to show in a slot; nobody anything: ()."""
    if forecast == PERFECT:
        return community.positions(slot)
    before = slot - community.slots_a_day
    return community.positions(before) if before >= 0 else ()
