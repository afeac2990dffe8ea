"""Homes cut to days and cut or joined to other slots, in whole micro-watt-hours.

A longer slot is the sum of its parts. A shorter one gets an even share; what does not divide goes
to the first ones, a micro-watt-hour each, so that no energy is made or lost. Shares know nothing of
what happened inside the measured slot: PV and load that took turns there look as if they had met.
"""

from __future__ import annotations

from collections.abc import Callable

from testbed.errors import BadComparison
from testbed.homes import MINUTES_PER_DAY, MS_PER_DAY, MS_PER_MINUTE, Home, Homes

Change = Callable[[list[int]], list[int]]


def first_days(homes: Homes, days: int) -> Homes:
    """Return the first days; fewer where there are no more."""
    slots = min(homes.slots, days * (MS_PER_DAY // homes.slot_ms))
    return _with(homes, slots, homes.slot_ms, lambda energies: energies[:slots])


def resampled(homes: Homes, slot_min: int) -> Homes:
    """Return the homes in slots of so many minutes.

    A last slot that would not be whole is left out. Raises BadComparison where neither length is a
    whole part of the other.
    """
    slot_ms, has_ms = slot_min * MS_PER_MINUTE, homes.slot_ms
    if slot_min < 1 or MINUTES_PER_DAY % slot_min:
        raise BadComparison(f"--slot {slot_min}: wanted minutes that divide a day")
    if slot_ms == has_ms:
        return homes
    if slot_ms % has_ms == 0:
        count = slot_ms // has_ms
        slots = homes.slots // count
        if not slots:
            raise BadComparison(f"--slot {slot_min}: longer than all that is in the file")
        return _with(homes, slots, slot_ms, lambda energies: joined(energies, count))
    if has_ms % slot_ms == 0:
        count = has_ms // slot_ms
        return _with(homes, homes.slots * count, slot_ms, lambda energies: split(energies, count))
    has_min = has_ms // MS_PER_MINUTE
    raise BadComparison(f"--slot {slot_min}: the file has slots of {has_min} min, no whole part")


def joined(energies: list[int], count: int) -> list[int]:
    """Return the sums of so many in a row; an incomplete end is left out.

    >>> joined([1, 2, 3, 4, 5], 2)
    [3, 7]
    """
    whole = len(energies) // count * count
    return [sum(energies[at : at + count]) for at in range(0, whole, count)]


def split(energies: list[int], count: int) -> list[int]:
    """Return each energy as so many equal shares; the rest goes to the first ones.

    >>> split([5, 4], 3)
    [2, 2, 1, 2, 1, 1]
    """
    return [
        energy // count + (part < energy % count) for energy in energies for part in range(count)
    ]


def _with(homes: Homes, slots: int, slot_ms: int, change: Change) -> Homes:
    return Homes(
        tuple(
            Home(home.name, change(home.consumption_uwh), change(home.generation_uwh))
            for home in homes.homes
        ),
        slots,
        slot_ms,
        homes.start_minute,
    )
