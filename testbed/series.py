"""Power over time: what the sun offers and what people want, in microwatts.

A series may jump at an instant only; between instants the world takes it as linear.
So each has two values at an instant: just before it and just after it.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR
UW_PER_W = 1_000_000


class Series(Protocol):
    """Power as a function of time."""

    def power_uw(self, at_ms: int, *, after: bool) -> int:
        """Return the power just before or just after an instant. [uW], never negative."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """One constant power a slot, with jumps at slot edges; zero outside its slots."""

    start_ms: int
    slot_ms: int
    powers_uw: tuple[int, ...]

    def power_uw(self, at_ms: int, *, after: bool) -> int:
        """Return the power of the slot that ends or begins here, or that holds this instant."""
        moment = at_ms - self.start_ms - (0 if after else 1)
        slot = moment // self.slot_ms
        return self.powers_uw[slot] if 0 <= slot < len(self.powers_uw) else 0


def steps_of_energy(start_ms: int, slot_ms: int, energies_uwh: Sequence[int]) -> Steps:
    """Return steps whose integral over each slot is the energy given. [uWh]

    Exact for slots that divide an hour; else what is below a microwatt is carried to the next slot.
    """
    powers = []
    carried = 0
    for energy_uwh in energies_uwh:
        power_uw, carried = divmod(energy_uwh * MS_PER_HOUR + carried, slot_ms)
        powers.append(power_uw)
    return Steps(start_ms, slot_ms, tuple(powers))


@dataclass(frozen=True, slots=True)
class Shaded:
    """Another series under clouds: (from, until, thousandths that come through) [ms UTC]."""

    series: Series
    shades: tuple[tuple[int, int, int], ...]

    def power_uw(self, at_ms: int, *, after: bool) -> int:
        """Return what comes through just before or just after an instant. [uW]"""
        power_uw = self.series.power_uw(at_ms, after=after)
        moment = at_ms - (0 if after else 1)
        for from_ms, until_ms, permille in self.shades:
            if from_ms <= moment < until_ms:
                power_uw = power_uw * permille // 1000
        return power_uw


@dataclass(frozen=True, slots=True)
class Flapping:
    """Another series that is on for a while and off for as long, over and over."""

    series: Series
    start_ms: int
    half_ms: int

    def power_uw(self, at_ms: int, *, after: bool) -> int:
        """Return the power just before or just after an instant. [uW]"""
        moment = at_ms - self.start_ms - (0 if after else 1)
        is_on = moment // self.half_ms % 2 == 0
        return self.series.power_uw(at_ms, after=after) if is_on else 0


@dataclass(frozen=True, slots=True)
class ClearSky:
    """A photovoltaic panel under a cloudless sky, in local solar time.

    Declination: Cooper (1969), Solar Energy 12(3). Global horizontal irradiance: Haurwitz (1945),
    J. Meteorol. 2, `1098 cos z exp(-0.059 / cos z)` W/m2. The panel gives its peak at 1000 W/m2.
    Left out: equation of time (at most 16 min), tilt, temperature, clouds.
    """

    peak_uw: int
    latitude_deg: float
    longitude_deg: float

    def power_uw(self, at_ms: int, *, after: bool) -> int:
        """Return the panel's power; it is continuous, so both sides are equal. [uW]"""
        irradiance = clear_sky_w_per_m2(at_ms, self.latitude_deg, self.longitude_deg)
        return int(self.peak_uw * irradiance / 1000.0)


def clear_sky_w_per_m2(at_ms: int, latitude_deg: float, longitude_deg: float) -> float:
    """Return the global horizontal irradiance of a cloudless sky. [W/m2]

    Source: Cooper (1969) for the declination, Haurwitz (1945) for the irradiance.
    """
    day = datetime.fromtimestamp(at_ms / 1000, UTC).timetuple().tm_yday
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day) / 365)
    solar_hours = (at_ms % MS_PER_DAY) / MS_PER_HOUR + longitude_deg / 15
    hour_angle = math.radians(15 * (solar_hours - 12))
    latitude = math.radians(latitude_deg)
    cos_zenith = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(
        declination
    ) * math.cos(hour_angle)
    if cos_zenith <= 0:
        return 0.0
    return 1098 * cos_zenith * math.exp(-0.059 / cos_zenith)


@dataclass(frozen=True, slots=True)
class Household:
    """A household's load: a base, a morning and an evening hump, and seeded switching each slot.

    Bumps are Gaussian around 7:30 and 19:30 local solar time, 1 h and 1.5 h wide; the switching is
    a factor of 0.5 to 1.5 a slot. It imitates no measured home: for that, give `--homes`.
    """

    base_uw: int
    peak_uw: int
    slot_ms: int
    longitude_deg: float
    seed: str

    def power_uw(self, at_ms: int, *, after: bool) -> int:
        """Return the load of the slot on that side of the instant. [uW]"""
        slot = (at_ms - (0 if after else 1)) // self.slot_ms
        hours = (slot * self.slot_ms % MS_PER_DAY) / MS_PER_HOUR + self.longitude_deg / 15
        hump = _hump(hours, 7.5, 1.0) * 0.6 + _hump(hours, 19.5, 1.5)
        factor = random.Random(f"{self.seed}/{slot}").uniform(0.5, 1.5)
        return int((self.base_uw + self.peak_uw * hump) * factor)


def _hump(hours: float, centre: float, width: float) -> float:
    distance = (hours - centre + 12) % 24 - 12
    return math.exp(-((distance / width) ** 2) / 2)
