"""The limits of a microgrid, as a policy entry sets them among the dispatch parameters.

`import_mw_max`: what the grid tie may bring in beyond the members' own generation; 0 on an island,
below 0 what must be exported. `export_mw_max`: what it may take out, below 0 what must be imported;
without it as much as there is. `pv_retry_s`: after so long a generator that a relay cut off is
tried again, though its rated power would not fit (`hub.balancing.exporting`). `battery_first`: 1
if batteries discharge before loads are cut (`hub.balancing.batteries`). `reserve_mw`: what is never
given to loads. `stale_after_ms`: older samples count as danger. A feeder is a line that several
members hang on:

    nominal_mv = 12_000
    feeder_north = "ann bob"
    feeder_north_ma_max = 5_000
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hub.balancing.errors import BadParameter
from hub.balancing.policy import Feeder, Limits

Parameters = Mapping[str, int | str]

TIE: Final = ("import_mw_max", "export_mw_max")
SOURCES: Final = ("pv_retry_s", "battery_first")
"""How generators and batteries are told, under every policy alike."""
ISLAND: Final = (
    "island_import_mw_max",
    "island_below_mv",
    "island_below_mhz",
    "sag_below_mv",
    "sag_below_mhz",
)
"""What `hub.switching.islanding` goes by."""
NUMBERS: Final = (*TIE, "stale_after_ms", "reserve_mw", "nominal_mv", *SOURCES, *ISLAND)
_MEMBERS: Final = re.compile(r"feeder_([a-z0-9-]+)")
_CURRENT: Final = re.compile(r"feeder_([a-z0-9-]+)_ma_max")
_UV_PER_MV: Final = 1000


def limits_of(parameters: Parameters) -> Limits:
    """Return the limits among a policy's parameters; what cannot be used counts as not given."""
    usual, export = Limits(), parameters.get("export_mw_max")
    return Limits(
        import_mw_max=number(parameters, "import_mw_max", usual.import_mw_max),
        stale_after_ms=number(parameters, "stale_after_ms", usual.stale_after_ms),
        reserve_mw=number(parameters, "reserve_mw", usual.reserve_mw),
        feeders=tuple(_feeders(parameters)),
        export_mw_max=export if type(export) is int else None,
    )


def number(parameters: Parameters, key: str, otherwise: int) -> int:
    """Return a whole number among the parameters, or what counts without one."""
    value = parameters.get(key)
    return value if type(value) is int else otherwise


def _feeders(parameters: Parameters) -> Iterator[Feeder]:
    for key, members in sorted(parameters.items()):
        named = _MEMBERS.fullmatch(key)
        if named is None or not isinstance(members, str):
            continue
        current_ma = number(parameters, f"{key}_ma_max", 0)
        power_mw = current_ma * number(parameters, "nominal_mv", 0) // _UV_PER_MV
        yield Feeder(named[1], tuple(sorted(set(members.split()))), power_mw)


def is_limit(key: str) -> bool:
    """Whether a parameter is one of this file's."""
    return key in NUMBERS or key.startswith("feeder_")


def check_limits(rule: str, parameters: Parameters) -> None:
    """Raise BadParameter unless the limits among the parameters can be used by the rule."""
    for key in NUMBERS:
        lowest = None if key in TIE else 0
        value = parameters.get(key, 0)
        if type(value) is not int or (lowest is not None and value < lowest):
            least = "" if lowest is None else ", 0 or more"
            raise BadParameter(f"{rule}: {key} is a whole number{least}, not {value!r}")
    names = {found[1] for key in parameters if (found := _MEMBERS.fullmatch(key))}
    for key, value in sorted(parameters.items()):
        if key.startswith("feeder_"):
            _check_feeder(rule, key, value, names)
    if names and number(parameters, "nominal_mv", 0) <= 0:
        raise BadParameter(f"{rule}: a feeder's current needs nominal_mv, the voltage it counts at")
    for name in sorted(names):
        if f"feeder_{name}_ma_max" not in parameters:
            raise BadParameter(f"{rule}: feeder_{name} needs feeder_{name}_ma_max, its limit")


def _check_feeder(rule: str, key: str, value: int | str, names: set[str]) -> None:
    current = _CURRENT.fullmatch(key)
    if current is not None:
        if current[1] not in names:
            raise BadParameter(f"{rule}: {key} needs feeder_{current[1]}, its members")
        if type(value) is not int or value < 0:
            raise BadParameter(f"{rule}: {key} is a whole number, 0 or more, not {value!r}")
    elif _MEMBERS.fullmatch(key) is None:
        raise BadParameter(f"{rule} has no parameter {key!r}")
    elif not isinstance(value, str) or not value.split():
        raise BadParameter(f'{rule}: {key} names members, like "ann bob", not {value!r}')
