"""A CSV file of measured homes (plain or gzip) as exact energies, or every finding with its line.

Columns: home, slot, interval_min, consumption_kwh, generation_kwh; `minute`, if it is there, is the
minute of the day at which the slot begins (UTC, or whatever clock the tariff is meant for). Others
are ignored. Rows of one home are in slot order without gaps, and all homes cover the same slots.

Energies are read as decimal text: exact up to nine decimals of a kWh, beyond that rounded half to
even to a whole micro-watt-hour.
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
MINUTES_PER_DAY = 1440
MORE_CELLS = "more cells than columns"
ENERGY_UWH_MAX = 1_000_000 * UWH_PER_KWH  # a slip of the comma, not a home
FINDINGS_MAX = 50
"""So many findings are told one by one; the others are counted."""


@dataclass(slots=True)
class Home:
    """One home: its name on topics, and each slot's energy in order. [uWh]"""

    name: str
    consumption_uwh: list[int] = field(default_factory=list)
    generation_uwh: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Homes:
    """All homes of one file; every home has `slots` slots of `slot_ms`.

    `start_minute` is the minute of the day at which the first slot begins.
    """

    homes: tuple[Home, ...]
    slots: int
    slot_ms: int
    start_minute: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    home: str
    slot: int
    slot_ms: int
    consumption_uwh: int
    generation_uwh: int
    minute: int | None


class _BadCell(Exception):
    """One cell is not what its column wants."""


class _Reading:
    """Takes row after row and gathers what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[str] = []
        self.homes: dict[str, Home] = {}
        self.first: _Row | None = None
        self.first_slot: int | None = None  # of the first row that says one, be it good or bad
        self.next_slots: dict[str, int] = {}

    def find(self, line: int, what: str) -> None:
        self.findings.append(f"{self.path}:{line}: {what}")

    def take(self, line: int, fields: Mapping[str, str | None]) -> None:
        row = self._row(line, fields)
        name = (fields["home"] or "").strip()
        if row is None:
            self._go_on(name)
            return
        if self.first is None:
            self.first = row
        self._check(row)
        self._append(row.home, row.slot, row.consumption_uwh, row.generation_uwh)

    def _append(self, name: str, slot: int, consumption_uwh: int, generation_uwh: int) -> None:
        home = self.homes.setdefault(name, Home(topic_name(name)))
        home.consumption_uwh.append(consumption_uwh)
        home.generation_uwh.append(generation_uwh)
        self.next_slots[name] = slot + 1

    def _go_on(self, name: str) -> None:
        """After a bad row: count it as there, so that it is not called a gap as well."""
        if self.first_slot is not None and topic_name(name):
            self._append(name, self.next_slots.get(name, self.first_slot), 0, 0)

    def _row(self, line: int, fields: Mapping[str, str | None]) -> _Row | None:
        found: dict[str, int] = {}
        before = len(self.findings)
        for column, read in _CELLS.items():
            if column not in fields:
                continue
            try:
                found[column] = read(column, (fields[column] or "").strip())
            except _BadCell as error:
                self.find(line, str(error))
        if self.first_slot is None:
            self.first_slot = found.get("slot")
        if MORE_CELLS in fields:
            self.find(line, MORE_CELLS)
        home = (fields["home"] or "").strip()
        if not 0 < len(topic_name(home)) <= NAME_LENGTH_MAX:
            self.find(line, f"home is {home!r}, wanted 1 to {NAME_LENGTH_MAX} letters or digits")
        if len(self.findings) > before:
            return None
        return _Row(
            line,
            home,
            found["slot"],
            found["interval_min"] * MS_PER_MINUTE,
            found["consumption_kwh"],
            found["generation_kwh"],
            found.get("minute"),
        )

    def _check(self, row: _Row) -> None:
        first = self.first or row
        if row.slot_ms != first.slot_ms:
            self.find(row.line, f"interval_min differs from {first.slot_ms // MS_PER_MINUTE}")
        expected = self.next_slots.get(row.home, self.first_slot)
        if row.slot != expected:
            self.find(row.line, f"gap: home {row.home} has slot {row.slot} here, not {expected}")
        elif row.minute is not None and first.minute is not None:
            passed = (row.slot - first.slot) * (first.slot_ms // MS_PER_MINUTE)
            minute = (first.minute + passed) % MINUTES_PER_DAY
            if row.minute != minute:
                self.find(row.line, f"minute is {row.minute}, slot {row.slot} begins at {minute}")

    def check_whole(self) -> None:
        """Find what no row alone shows."""
        lengths = {name: len(home.consumption_uwh) for name, home in self.homes.items()}
        longest = max(lengths.values(), default=0)
        for name, length in lengths.items():
            if length < longest:
                ends = f"ends after {length} slots, others have {longest}"
                self.findings.append(f"{self.path}: gap: home {name} {ends}")
        names = [home.name for home in self.homes.values()]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.findings.append(
                f"{self.path}: two homes would both be called {name!r} on the broker"
            )


def read_homes(path: Path) -> Homes:
    """Return what the file holds.

    Raises BadHomesFile with every finding: the file, the line and what was expected there.
    """
    reading = _Reading(path)
    for line, fields in _rows(path):
        reading.take(line, fields)
    reading.check_whole()
    raise_findings(reading.findings)
    first = reading.first
    if first is None:
        raise BadHomesFile(f"{path}: no home in it, only the header line")
    homes = tuple(reading.homes.values())
    slots = max(len(home.consumption_uwh) for home in homes)
    return Homes(homes, slots, first.slot_ms, first.minute or 0)


def raise_findings(findings: list[str]) -> None:
    """Raise BadHomesFile with all findings, a line each, if there is one."""
    if findings:
        more = len(findings) - FINDINGS_MAX
        told = findings[:FINDINGS_MAX] + ([f"and {more} more"] if more > 0 else [])
        raise BadHomesFile("\n".join(told))


def csv_rows(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield (line, fields) of a CSV file, plain or gzip.

    Raises BadHomesFile when it cannot be read, or lacks one of the wanted columns.
    """
    try:
        yield from _parsed(path, wanted)
    except (OSError, EOFError, zlib.error) as error:
        raise BadHomesFile(f"{path}: cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadHomesFile(f"{path}: is no CSV text: {error}") from error


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    return csv_rows(path, COLUMNS)


def _parsed(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str | None]]]:
    opener = gzip.open if _is_gzip(path) else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, restkey=MORE_CELLS)
        missing = [name for name in wanted if name not in (table.fieldnames or ())]
        if missing:
            raise BadHomesFile(f"{path}:1: column {', '.join(missing)} is missing")
        for fields in table:
            yield table.line_num, fields


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _whole(column: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _BadCell(f"{column} is {text!r}, wanted a whole number from 0 up")
    return int(text)


def _minute(column: str, text: str) -> int:
    minute = _whole(column, text)
    if minute >= MINUTES_PER_DAY:
        raise _BadCell(f"{column} is {minute}, wanted a minute of the day below {MINUTES_PER_DAY}")
    return minute


def _interval(column: str, text: str) -> int:
    minutes = _whole(column, text)
    if minutes <= 0 or MINUTES_PER_DAY % minutes:
        raise _BadCell(f"{column} is {minutes}, wanted minutes that divide a day")
    return minutes


def _energy_uwh(column: str, text: str) -> int:
    try:
        energy = Decimal(text) * UWH_PER_KWH
    except InvalidOperation as error:
        raise _BadCell(f"{column} is {text!r}, wanted kWh as a number") from error
    if not energy.is_finite() or energy < 0:
        raise _BadCell(f"{column} is {text}, wanted kWh of 0 or more")
    if energy > ENERGY_UWH_MAX:
        raise _BadCell(f"{column} is {text}, wanted at most a million kWh")
    return int(energy.to_integral_value())


_CELLS = {
    "slot": _whole,
    "interval_min": _interval,
    "consumption_kwh": _energy_uwh,
    "generation_kwh": _energy_uwh,
    "minute": _minute,
}


def topic_name(home: str) -> str:
    """Return a home's name as it stands on topics and in reports: small letters, digits, `-`."""
    return re.sub(r"[^a-z0-9]+", "-", home.lower()).strip("-")
