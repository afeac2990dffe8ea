"""What a market has scheduled for a member: when loads run, and what his battery does slot by slot.

A contract says so by a row of its memory, `schedule.<from>.<member>`, as `day_ahead` does of an
accepted day. It binds from that instant on, for as many slots as it has: a load with a run is kept
cut outside of it, and a battery that can be told is told its power. A load's own wish to run later
is no energy that was kept from its member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SCHEDULE: Final = "schedule."
SHIFTED: Final = "its time in the day's schedule is not now"
"""Why a load with a run is cut outside of it."""
_UWH_MS_PER_MWH: Final = 3_600


class Agenda(NamedTuple):
    """One member's schedule. `runs`: "node/relay" -> the first slot, and the one after the last.

    `battery_uwh`: what goes into the battery in each slot, below 0 comes out, at its terminals.
    """

    from_ms: int
    slot_ms: int
    runs: Mapping[str, tuple[int, int]]
    battery_uwh: tuple[int, ...]

    def slot(self, at_ms: int) -> int | None:
        """Return which of its slots a time is in; None: none of them."""
        slot = (at_ms - self.from_ms) // self.slot_ms
        return slot if 0 <= slot < len(self.battery_uwh) else None

    def shifts(self, relay: str, at_ms: int) -> bool:
        """Whether a relay's load is to wait now."""
        slot, run = self.slot(at_ms), self.runs.get(relay)
        return slot is not None and run is not None and not run[0] <= slot < run[1]

    def battery_mw(self, at_ms: int) -> int | None:
        """Return what the battery is to take now, below 0 give; None: nothing is planned. [mW]"""
        slot = self.slot(at_ms)
        if slot is None or not any(self.battery_uwh):
            return None
        size_mw = abs(self.battery_uwh[slot]) * _UWH_MS_PER_MWH // self.slot_ms
        return size_mw if self.battery_uwh[slot] > 0 else -size_mw


def agendas_of(
    memory: Mapping[tuple[str, str], Any], contract: str, at_ms: int
) -> dict[str, Agenda]:
    """Return what a contract's memory has scheduled for each member at that time."""
    found = {}
    for (owner, key), row in memory.items():
        if owner == contract and key.startswith(SCHEDULE):
            agenda = Agenda(row["from_ms"], row["slot_ms"], row["runs"], row["battery_uwh"])
            if agenda.slot(at_ms) is not None:
                found[key.rpartition(".")[2]] = agenda
    return found
