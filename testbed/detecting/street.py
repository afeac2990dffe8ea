"""What homes really use and make, hour by hour: drawn from a seed, or measured ones from a file.

Synthetic homes have a base, a morning and an evening of their own, appliances, some a car that
charges at night; half of them have panels under one sky. Not fitted to any data.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, exp, pi
from random import Random
from typing import Final

from testbed.errors import BadHomesFile
from testbed.homes import Homes

HOUR_MS: Final = 3_600_000
DAYS: Final = 28
HOURS: Final = 24 * DAYS
HOMES: Final = 16


@dataclass(frozen=True, slots=True)
class House:
    """One home's true energy in each slot; `made_wh` empty where it has no panels. [Wh]"""

    used_wh: tuple[float, ...]
    made_wh: tuple[float, ...] = ()


def drawn_street(seed: int) -> tuple[House, ...]:
    """Return sixteen homes over four weeks of hours."""
    random = Random(seed)
    cloud = [random.betavariate(3, 1.5) for _ in range(DAYS)]
    haze = [min(1.0, max(0.05, random.gauss(1, 0.15))) for _ in range(HOURS)]
    sky = [cloud[hour // 24] * haze[hour] for hour in range(HOURS)]
    return tuple(
        House(_used(random), _made(random, sky) if random.random() < 1 / 2 else ())
        for _ in range(HOMES)
    )


def measured_street(homes: Homes) -> tuple[House, ...]:
    """Return measured homes; BadHomesFile unless they have weeks of hours or shorter slots."""
    days = homes.slots * homes.slot_ms // (24 * HOUR_MS)
    if homes.slot_ms > HOUR_MS or days < DAYS // 2:
        raise BadHomesFile((f"{days} days of slots of {homes.slot_ms} ms: want 14 days of hours",))
    return tuple(
        House(
            tuple(each / 1e6 for each in home.consumption_uwh),
            tuple(each / 1e6 for each in home.generation_uwh) if any(home.generation_uwh) else (),
        )
        for home in homes.homes
    )


def _used(random: Random) -> tuple[float, ...]:
    base, morning, evening = (
        random.uniform(80, 250),
        random.uniform(100, 900),
        random.uniform(300, 1_800),
    )
    early, late = random.gauss(7, 1), random.gauss(19, 1.2)
    restless, has_car = random.uniform(0.25, 0.6), random.random() < 1 / 4
    found = []
    for hour in range(HOURS):
        at = hour % 24
        used = base + morning * exp(-(((at - early) / 1.3) ** 2))
        used = (used + evening * exp(-(((at - late) / 2) ** 2))) * exp(random.gauss(0, restless))
        if has_car and at in (22, 23, 0, 1) and random.random() < 1 / 2:
            used += 3_000
        if random.random() < 1 / 25:
            used += random.uniform(500, 2_500)
        found.append(used)
    return tuple(found)


def _made(random: Random, sky: list[float]) -> tuple[float, ...]:
    peak, turned = random.uniform(2_000, 6_000), random.uniform(-0.7, 0.7)
    return tuple(
        peak * _sun(hour % 24 - turned) * clear * exp(random.gauss(0, 0.05))
        for hour, clear in enumerate(sky)
    )


def _sun(hour: float) -> float:
    """Return a part of the peak: a cosine from six to seven, 0 at night."""
    return float(max(0.0, cos((hour - 12.5) / 6.5 * pi / 2)) ** 1.3) if 6 <= hour <= 19 else 0.0
