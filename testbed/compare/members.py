"""The members file: who a home is, where it stands, what it has, and what it would pay.

A CSV with the column `home` and any of the others; an empty cell is the default:

    home                      as in the homes file
    group                     any word: single, student, family; "home"
    area                      any word; pairs are counted by it; ""
    x_m, y_m                  where its meter stands, whole metres east and north; none
    fuel                      what its generation comes from; "solar"
    pv                        on | off: off drops its generation, a consumer; on
    battery_kwh               what its battery holds; none, or what --battery-kwh says
    battery_kw                how fast it moves; half of battery_kwh
    battery_percent           what each way keeps, 50 to 100; 95
    bid_utok_per_kwh          the most it pays a neighbour; the tariff's price
    ask_utok_per_kwh          the least it sells to a neighbour for; the tariff's feed-in price
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from messages import scheduling
from messages.scheduling import Devices
from testbed.compare.battery import Battery
from testbed.homes import MORE_CELLS, UWH_PER_KWH, csv_rows, raise_findings, topic_name

MW_PER_KW = 1_000_000
MARKET_PRICE_MAX = 100_000_000
KWH_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One home as a member of the market. Limits None: what the tariff says at the slot."""

    home: str
    group: str = "home"
    area: str = ""
    x_m: int | None = None
    y_m: int | None = None
    fuel: str = "solar"
    has_pv: bool = True
    battery: Battery | None = None
    bid_utok_per_kwh: int | None = None
    ask_utok_per_kwh: int | None = None

    @property
    def devices(self) -> Devices:
        """What the home lets be scheduled: its battery, without wear."""
        battery = self.battery
        if battery is None or not battery.capacity_uwh or not battery.power_mw:
            return Devices()
        percent = battery.efficiency_percent
        return Devices(scheduling.Battery(battery.capacity_uwh, battery.power_mw, percent, 0))


class _BadCell(Exception):
    """One cell is not what its column wants."""


def plain_members(homes: Sequence[str], consumers: Sequence[str]) -> tuple[Member, ...]:
    """Return members without a file: `consumers` lose their generation, the rest keep it."""
    return tuple(
        Member(home, "consumer" if home in consumers else "prosumer", has_pv=home not in consumers)
        for home in sorted(homes)
    )


def every_third(homes: Sequence[str]) -> tuple[str, ...]:
    """Return the homes that become consumers if nobody names any: every third in order of name."""
    return tuple(sorted(homes)[2::3])


def with_battery(members: Sequence[Member], battery: Battery) -> tuple[Member, ...]:
    """Return the members, each that has generation and no battery of its own with this one."""
    return tuple(
        replace(each, battery=battery) if each.has_pv and each.battery is None else each
        for each in members
    )


def read_members(path: Path, homes: Sequence[str]) -> tuple[Member, ...]:
    """Return one member a home, by name; BadHomesFile holds every finding with its line."""
    findings: list[str] = []
    members: dict[str, Member] = {}
    for line, fields in csv_rows(path, ("home",)):
        if line <= 2:
            findings += [f"{path}:1: {what}" for what in _odd_columns(fields)]
        if MORE_CELLS in fields:
            findings.append(f"{path}:{line}: more cells than columns")
        member = _member(f"{path}:{line}", fields, findings)
        if member.home not in homes:
            findings.append(f"{path}:{line}: home {member.home!r} is not in the homes file")
        elif member.home in members:
            findings.append(f"{path}:{line}: home {member.home} stands here a second time")
        members[member.home] = member
    findings += [f"{path}: home {home} has no row" for home in homes if home not in members]
    raise_findings(findings)
    return tuple(members[home] for home in sorted(homes))


def _odd_columns(fields: Mapping[str, Any]) -> list[str]:
    odd = [name for name in fields if name not in ("home", MORE_CELLS, *_CELLS)]
    known = ", ".join(("home", *_CELLS))
    return [f"column {name!r} is none of {known}" for name in odd]


def _member(place: str, fields: Mapping[str, str | None], findings: list[str]) -> Member:
    found: dict[str, Any] = {}
    for column, read in _CELLS.items():
        text = (fields.get(column) or "").strip()
        if not text:
            continue
        try:
            found[column] = read(text)
        except _BadCell as error:
            findings.append(f"{place}: {column} is {text!r}, wanted {error}")
    capacity_uwh = found.pop("battery_kwh", 0)
    power_mw = found.pop("battery_kw", capacity_uwh // 2000)
    percent = found.pop("battery_percent", 95)
    battery = Battery(capacity_uwh, power_mw, percent) if capacity_uwh else None
    found["has_pv"] = found.pop("pv", True)
    return Member(topic_name((fields["home"] or "").strip()), battery=battery, **found)


def _word(text: str) -> str:
    if len(text) > 40 or not text.isprintable():
        raise _BadCell("a word of at most 40 letters")
    return text


def _metres(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,7}", text):
        raise _BadCell("whole metres")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise _BadCell("on or off")
    return text == "on"


def _number(unit: str, factor: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise _BadCell(f"{unit} as a number") from None
        if not number.is_finite() or not 0 <= number <= KWH_MAX:
            raise _BadCell(f"{unit} from 0 up")
        return int((number * factor).to_integral_value())

    return read


def _percent(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 50 <= int(text) <= 100:
        raise _BadCell("a whole number from 50 to 100")
    return int(text)


def _price(text: str) -> int:
    if not re.fullmatch(r"[0-9_]{1,11}", text) or int(text) > MARKET_PRICE_MAX:
        raise _BadCell(f"a whole number of utok per kWh from 0 to {MARKET_PRICE_MAX}")
    return int(text)


_CELLS: Mapping[str, Callable[[str], object]] = {
    "group": _word,
    "area": _word,
    "x_m": _metres,
    "y_m": _metres,
    "fuel": _word,
    "pv": _switch,
    "battery_kwh": _number("kWh", UWH_PER_KWH),
    "battery_kw": _number("kW", MW_PER_KW),
    "battery_percent": _percent,
    "bid_utok_per_kwh": _price,
    "ask_utok_per_kwh": _price,
}
