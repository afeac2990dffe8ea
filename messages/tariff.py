"""The prices of the coming slots, as the hub tells every node. Signed by the hub's key.

It binds nobody: what a slot costs is settled when it closes. A node that plans by it only asks; the
hub leases as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

SLOTS_MAX: Final = 192
"""Two days of quarter hours: 4 kB."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices slot by slot from `first_slot_ms` on.

    Of two that tell of now the one made later counts. `prices` and `feed_in`: the grid's, as the
    policy and facts told ahead have them. `expected`: what a member may expect to pay, by what the
    market contract has published; else the grid's price. [ms UTC, utok per kWh]
    """

    KIND: ClassVar[str] = "tariff"
    made_ms: int
    slot_ms: int
    first_slot_ms: int
    prices: tuple[int, ...]
    feed_in: tuple[int, ...]
    expected: tuple[int, ...]

    def expected_at(self, slot_start_ms: int) -> int | None:
        """Return what a kWh is expected to cost in a slot; None where nothing is told of it."""
        place, rest = divmod(slot_start_ms - self.first_slot_ms, self.slot_ms)
        return self.expected[place] if not rest and 0 <= place < len(self.expected) else None
