"""A home's own battery, the plain rule of most inverters: surplus in, deficit out.

Integers only. What goes in loses once, what comes out loses once; both roundings are down, so that
a battery never gives what it did not get. It begins empty: nobody is given energy. The rule knows
no prices and no neighbours; a contract that plans batteries (`day_ahead`) takes it off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MS_PER_HOUR = 3_600_000
UWH_PER_MWH = 1000


@dataclass(frozen=True, slots=True)
class Battery:
    """What it holds [uWh], how fast it moves at its terminals [mW], what a way keeps [%]."""

    capacity_uwh: int
    power_mw: int
    efficiency_percent: int = 95

    def per_slot_uwh(self, slot_ms: int) -> int:
        """Return the most that goes in or out in a slot. [uWh]"""
        return self.power_mw * UWH_PER_MWH * slot_ms // MS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Stored:
    """What went in and out at the terminals, and what was held at each slot's end. [uWh]"""

    charged_uwh: list[int]
    discharged_uwh: list[int]
    level_uwh: list[int]


def store(
    battery: Battery, generation_uwh: Sequence[int], consumption_uwh: Sequence[int], slot_ms: int
) -> Stored:
    """Return what a battery does for a home that generates and consumes so much, slot by slot."""
    most_uwh, percent = battery.per_slot_uwh(slot_ms), battery.efficiency_percent
    charged, discharged, levels = list[int](), list[int](), list[int]()
    level_uwh = 0
    for generated, consumed in zip(generation_uwh, consumption_uwh, strict=True):
        net_uwh = generated - consumed
        room_uwh = (battery.capacity_uwh - level_uwh) * 100 // percent
        into_uwh = max(min(net_uwh, most_uwh, room_uwh), 0)
        out_uwh = max(min(-net_uwh, most_uwh, level_uwh * percent // 100), 0)
        level_uwh += into_uwh * percent // 100 - -(-out_uwh * 100 // percent)
        charged.append(into_uwh)
        discharged.append(out_uwh)
        levels.append(level_uwh)
    return Stored(charged, discharged, levels)
