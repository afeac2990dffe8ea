"""The seeded days that day-ahead scheduling is held to, the same in any language.

splitmix64 draws 100 numbers a home, as fractions u of 1. Load in kW at hour t, times 15 minutes:
(0.35 + 0.5 exp(-((t - 7.5) / 1.5)^2) + 1.1 exp(-((t - 19) / 2.2)^2)) (0.4 + 1.2 u0) (0.6 + 0.8 u),
one u a slot from the fifth on. Sun: max(cos(1.15 pi (t - 12.75) / 12), 0)^1.3 times 2 + 6 u2 kW
where u1 < 0.6. Battery: 3 + 7 u2 kWh where u3 < 0.7. Whole uWh, rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, exp, pi

from hub.scheduling.homes import Home
from hub.scheduling.rounds import Day
from messages.scheduling import Battery, Devices
from tests.support.order_books import splitmix64

SLOTS = 96
SLOT_MS = 900_000
UWH_PER_KWH = 1e9
KW_OF_GRID = 20
"""A home's part of the connection."""


def homes(count: int) -> tuple[Home, ...]:
    """Return the homes of a case, m000 and on."""
    drawn = [(each >> 11) / 2**53 for each in splitmix64(7 + count, count * (SLOTS + 4))]
    rows = [drawn[place : place + SLOTS + 4] for place in range(0, len(drawn), SLOTS + 4)]
    return tuple(_home(f"m{number:03}", row) for number, row in enumerate(rows))


def _home(member: str, drawn: Sequence[float]) -> Home:
    hours = [slot / 4 for slot in range(SLOTS)]
    size, has_sun, big, has_battery = drawn[:4]
    load = [
        _shape(t) * (0.4 + 1.2 * size) * (0.6 + 0.8 * u) / 4
        for t, u in zip(hours, drawn[4:], strict=True)
    ]
    peak_kw = 2 + 6 * big if has_sun < 0.6 else 0.0
    made = [max(cos((t - 12.75) / 12 * pi * 1.15), 0.0) ** 1.3 * peak_kw / 4 for t in hours]
    capacity = round((3 + 7 * big) * UWH_PER_KWH) if has_battery < 0.7 else 0
    battery = Battery(capacity, capacity // 2000, 95, 100) if capacity else None
    return Home(
        member,
        Devices(battery),
        tuple(round((used - sun) * UWH_PER_KWH) for used, sun in zip(load, made, strict=True)),
        tuple(round(sun * UWH_PER_KWH) for sun in made),
        capacity // 2,
        capacity // 2,
    )


def _shape(t: float) -> float:
    return 0.35 + 0.5 * exp(-(((t - 7.5) / 1.5) ** 2)) + 1.1 * exp(-(((t - 19) / 2.2) ** 2))


def day(count: int, day_ms: int = 0) -> Day:
    """Return the prices of a case: cheap at night, dear in the evening."""
    tariff = tuple(
        360_000 if 68 <= slot < 84 else 220_000 if slot < 24 else 300_000 for slot in range(SLOTS)
    )
    return Day(day_ms, SLOT_MS, tariff, (80_000,) * SLOTS, KW_OF_GRID * 1_000_000 * count)
