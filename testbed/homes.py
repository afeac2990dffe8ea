"""A CSV file of measured homes (plain or gzip) as exact energies, or one sentence why not.

Columns: home, slot, interval_min, consumption_kwh, generation_kwh; others are ignored. Rows of one
home are in slot order without gaps, and all homes cover the same slots.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from testbed.errors import BadHomesFile

COLUMNS = ("home", "slot", "interval_min", "consumption_kwh", "generation_kwh")
UWH_PER_KWH = 1_000_000_000
MS_PER_MINUTE = 60_000
NAME_LENGTH_MAX = 20  # leaves room for "-consumption" in a name of 32
MS_PER_DAY = 86_400_000


@dataclass(slots=True)
class Home:
    """One home: its name on topics, and each slot's energy in order. [uWh]"""

    name: str
    consumption_uwh: list[int] = field(default_factory=list)
    generation_uwh: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Homes:
    """All homes of one file; every home has `slots` slots of `slot_ms`."""

    homes: tuple[Home, ...]
    slots: int
    slot_ms: int


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    home: str
    slot: int
    slot_ms: int
    consumption_uwh: int
    generation_uwh: int


def read_homes(path: Path) -> Homes:
    """Return what the file holds.

    Raises BadHomesFile with the file, the line and what was expected there.
    """
    homes: dict[str, Home] = {}
    first_slot: int | None = None
    slot_ms: int | None = None
    for row in _rows(path):
        first_slot = row.slot if first_slot is None else first_slot
        slot_ms = row.slot_ms if slot_ms is None else slot_ms
        if row.slot_ms != slot_ms:
            raise _bad(path, row.line, f"interval_min differs from {slot_ms // MS_PER_MINUTE}")
        home = homes.setdefault(row.home, Home(_topic_name(path, row)))
        expected = first_slot + len(home.consumption_uwh)
        if row.slot != expected:
            raise _bad(
                path, row.line, f"gap: home {row.home} has slot {row.slot} here, not {expected}"
            )
        home.consumption_uwh.append(row.consumption_uwh)
        home.generation_uwh.append(row.generation_uwh)
    if not homes or slot_ms is None:
        raise BadHomesFile(f"{path}: no home in it, only the header line")
    _require_same(path, homes)
    slots = max(len(home.consumption_uwh) for home in homes.values())
    return Homes(tuple(homes.values()), slots, slot_ms)


def _require_same(path: Path, homes: Mapping[str, Home]) -> None:
    lengths = {name: len(home.consumption_uwh) for name, home in homes.items()}
    longest = max(lengths.values())
    for name, length in lengths.items():
        if length < longest:
            raise BadHomesFile(
                f"{path}: gap: home {name} ends after {length} slots, others have {longest}"
            )
    names = [home.name for home in homes.values()]
    for name in names:
        if names.count(name) > 1:
            raise BadHomesFile(f"{path}: two homes would both be called {name!r} on the broker")


def _rows(path: Path) -> Iterator[_Row]:
    try:
        yield from _parsed(path)
    except (OSError, EOFError, zlib.error) as error:
        raise BadHomesFile(f"{path}: cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadHomesFile(f"{path}: is no CSV text: {error}") from error


def _parsed(path: Path) -> Iterator[_Row]:
    opener = gzip.open if _is_gzip(path) else open
    with opener(path, "rt", encoding="utf-8", newline="") as stream:
        table = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise _bad(path, 1, f"column {', '.join(missing)} is missing")
        for fields in table:
            yield _row(path, table.line_num, fields)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _row(path: Path, line: int, fields: Mapping[str, str | None]) -> _Row:
    minutes = _whole(path, line, "interval_min", fields)
    slot_ms = minutes * MS_PER_MINUTE
    if minutes <= 0 or MS_PER_DAY % slot_ms:
        raise _bad(path, line, f"interval_min is {minutes}, wanted minutes that divide a day")
    return _Row(
        line,
        fields["home"] or "",
        _whole(path, line, "slot", fields),
        slot_ms,
        _energy_uwh(path, line, "consumption_kwh", fields),
        _energy_uwh(path, line, "generation_kwh", fields),
    )


def _whole(path: Path, line: int, column: str, fields: Mapping[str, str | None]) -> int:
    text = (fields[column] or "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _bad(path, line, f"{column} is {text!r}, wanted a whole number from 0 up")
    return int(text)


def _energy_uwh(path: Path, line: int, column: str, fields: Mapping[str, str | None]) -> int:
    """Return an energy; exact up to nine decimals of a kWh, rounded to a microwatt-hour beyond."""
    text = (fields[column] or "").strip()
    try:
        energy = Decimal(text) * UWH_PER_KWH
    except InvalidOperation as error:
        raise _bad(path, line, f"{column} is {text!r}, wanted kWh as a number") from error
    if not energy.is_finite() or energy < 0:
        raise _bad(path, line, f"{column} is {text}, wanted kWh of 0 or more")
    return int(energy.to_integral_value())


def _topic_name(path: Path, row: _Row) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", row.home.lower()).strip("-")
    if not name or len(name) > NAME_LENGTH_MAX:
        raise _bad(
            path, row.line, f"home is {row.home!r}, wanted 1 to {NAME_LENGTH_MAX} letters or digits"
        )
    return name


def _bad(path: Path, line: int, what: str) -> BadHomesFile:
    return BadHomesFile(f"{path}:{line}: {what}")
