"""From what ADMM found to what a member signs: whole numbers that his devices can do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from hub.scheduling.homes import UTOK_PER_TOKEN, UWH_PER_KWH, Home
from messages.scheduling import Battery, Plan

VALUE_MAX: Final = 100_000_000


def planned(
    home: Home,
    day_ms: int,
    slot_ms: int,
    flows: Any,
    starts: tuple[int, ...],
    prices: Sequence[int],
) -> Plan:
    """Return a plan near some flows (charged, discharged, curtailed in kWh), and its values."""
    charged, discharged, curtailed = ([round(each * UWH_PER_KWH) for each in row] for row in flows)
    curtailed = [
        min(max(cut, 0), most) for cut, most in zip(curtailed, home.spare_uwh, strict=True)
    ]
    battery = home.devices.battery
    values = [0] * len(prices)
    if battery is not None:
        charged, discharged = _possible(battery, home, slot_ms, charged, discharged)
        values = _values(battery, home, slot_ms, prices)
    return Plan(
        day_ms=day_ms,
        base_uwh=home.base_uwh,
        spare_uwh=home.spare_uwh,
        curtailed_uwh=tuple(curtailed),
        charged_uwh=tuple(charged),
        discharged_uwh=tuple(discharged),
        level_uwh=home.level_uwh,
        end_uwh=home.end_uwh,
        starts=starts,
        values_utok_per_kwh=tuple(values),
    )


def _possible(
    battery: Battery, home: Home, slot_ms: int, charged: list[int], discharged: list[int]
) -> tuple[list[int], list[int]]:
    """Return flows that keep every level, and can still reach the last one, at each slot."""
    most, percent = battery.most_uwh(slot_ms), battery.efficiency_percent
    needed = [home.end_uwh]
    for _ in charged:
        needed.append(max(needed[-1] - most * percent // 100, 0))
    needed.reverse()
    level = home.level_uwh
    into, out = list[int](), list[int]()
    for low, wanted_in, wanted_out in zip(needed[1:], charged, discharged, strict=True):
        both = min(max(wanted_in, 0) * percent * percent // 10_000, max(wanted_out, 0))
        given = min(max(wanted_out - both, 0), most, max(level - low, 0) * percent // 100)
        taken = min(max(wanted_in - both * 10_000 // percent**2, 0), most)
        taken = min(
            taken, (battery.capacity_uwh - battery.level_after(level, 0, given)) * 100 // percent
        )
        lacks = low - battery.level_after(level, taken, given)
        taken += max(-(-lacks * 100 // percent), 0)
        level = battery.level_after(level, taken, given)
        into.append(taken)
        out.append(given)
    return into, out


def _values(battery: Battery, home: Home, slot_ms: int, prices: Sequence[int]) -> list[int]:
    """Return what a stored kWh is worth after each slot at these prices: HiGHS's multipliers.

    Columns: charged, discharged, level.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 - takes half a second to load

    slots = len(prices)
    right = np.zeros(slots)
    right[0] = home.level_uwh / UWH_PER_KWH
    worn, price = battery.wear_utok_per_kwh, np.array(prices)
    cost = np.concatenate([worn + price, worn - price, np.zeros(slots)]) / UTOK_PER_TOKEN
    low = np.zeros(3 * slots)
    low[-1] = home.end_uwh / UWH_PER_KWH
    most = battery.most_uwh(slot_ms) / UWH_PER_KWH
    high = np.repeat([most, battery.capacity_uwh / UWH_PER_KWH], [2 * slots, slots])
    found = linprog(
        cost,
        A_eq=_levels(slots, battery.efficiency_percent),
        b_eq=right,
        bounds=np.column_stack([low, high]),
        method="highs-ds",
    )
    if not found.success:
        raise ValueError(f"{home.member}: his battery cannot end at {home.end_uwh} uWh")
    return [min(max(round(-each * UTOK_PER_TOKEN), 0), VALUE_MAX) for each in found.eqlin.marginals]


@lru_cache(maxsize=16)
def _levels(slots: int, percent: int) -> Any:
    """Return what makes each level out of the one before."""
    from scipy.sparse import diags, eye, hstack  # noqa: PLC0415

    one, keeps = eye(slots), percent / 100
    growth = one - diags([np.ones(slots - 1)], [-1])
    return hstack([-keeps * one, one / keeps, growth]).tocsr()
