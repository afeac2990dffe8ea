"""Where meters stand, as the registry tells it, and how far that is.

A location is an area, with metres from a corner of the microgrid where they are told:

    "north"    "north (120, 40)"    "Upper Mill, north bank (0, 1200)"
"""

from __future__ import annotations

import re
from math import isqrt
from typing import Final

from hub.market.contract import Site

_METRES: Final = re.compile(r"(.*?) ?\((-?\d{1,7}), (-?\d{1,7})\)")


def site_of(fuel: str, location: str) -> Site:
    """Return what a meter's entry says of its place.

    >>> site_of("solar", "north (120, 40)")
    Site(fuel='solar', area='north', x_m=120, y_m=40)
    >>> site_of("", "46.53, 7.47")
    Site(fuel='', area='46.53, 7.47', x_m=None, y_m=None)
    """
    found = _METRES.fullmatch(location)
    if found is None:
        return Site(fuel, location)
    area, x_m, y_m = found.groups()
    return Site(fuel, area, int(x_m), int(y_m))


def distance_m(one: Site, other: Site) -> int | None:
    """Return how far apart two meters stand, whole metres rounded down; None: nobody knows.

    >>> distance_m(Site(x_m=0, y_m=0), Site(x_m=30, y_m=40))
    50
    """
    if one.x_m is None or one.y_m is None or other.x_m is None or other.y_m is None:
        return None
    return isqrt((one.x_m - other.x_m) ** 2 + (one.y_m - other.y_m) ** 2)
