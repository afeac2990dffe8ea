"""The tariff file: what the grid costs and pays by time of day, and what contracts are set to.

`EXAMPLE` is a whole file and the default. Its prices are round figures near those of German homes
in 2024; its CO2 of the grid is an assumption. Replace both by yours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hub.core.pricing import Schedule, price_at, schedule_fault
from hub.market.contract import Tariff, Value
from hub.policyfile import PriceTable
from messages.config import Document, Finding, read, rest
from testbed.errors import BadHomesFile

EXAMPLE: Final = """\
[[price]]                      # what a kWh from the grid costs, by time of day
at = "00:00"
utok_per_kwh = 220_000         # 0.22 tokens

[[price]]
at = "06:00"
utok_per_kwh = 300_000

[[price]]
at = "17:00"
utok_per_kwh = 360_000

[[price]]
at = "21:00"
utok_per_kwh = 300_000

[[feed_in]]                    # what a kWh into the grid earns
at = "00:00"
utok_per_kwh = 80_000

[co2]                          # g per kWh; local fuels: medians over a plant's life, IPCC 2014
grid = 300
solar = 41
wind = 11
hydro = 24
biomass = 230
gas = 490

# What a contract is set to in the comparison, by its name; without a table: its defaults.
[contract.dep_balance]
deficit = "supplier"
"""


def _all_keys(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersTable:
    """Whole numbers by name."""

    values: Mapping[str, object] = rest(_all_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractsTable:
    """Tables of parameters by contract; each contract checks its own."""

    values: Mapping[str, object] = rest(_all_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffFile:
    """All of a tariff file."""

    price: tuple[PriceTable, ...]
    feed_in: tuple[PriceTable, ...]
    co2: NumbersTable = NumbersTable()
    contract: ContractsTable = ContractsTable()


CO2_MAX: Final = 10_000
_CO2_KEYS: Final = "a whole number of g per kWh from 0 up"


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by time of day [utok per kWh], CO2 by fuel [g per kWh], parameters by contract."""

    price: Schedule
    feed_in: Schedule
    co2_g_per_kwh: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def at(self, slot_ms: int) -> Tariff:
        """Return what the grid costs and pays at a slot's start."""
        return Tariff(price_at(self.price, slot_ms), price_at(self.feed_in, slot_ms))


def load_prices(path: Path | None) -> Prices:
    """Return what a tariff file says, or the example; BadHomesFile holds every finding."""
    if path is None:
        return read_prices(EXAMPLE, "the shipped tariff")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadHomesFile(f"{path}: cannot be read: {error}") from None
    return read_prices(text, str(path))


def read_prices(text: str, name: str) -> Prices:
    """Return what a tariff file's text says; BadHomesFile holds every finding with its line."""
    document = read(text, TariffFile)
    document = document.with_findings(_odd_values(document))
    if document.value is None:
        raise BadHomesFile("\n".join(finding.text(name) for finding in document.findings))
    file = document.value
    prices = Prices(
        _schedule(file.price),
        _schedule(file.feed_in),
        {key: value for key, value in file.co2.values.items() if isinstance(value, int)},
        {key: _plain(value) for key, value in file.contract.values.items()},
    )
    fault = schedule_fault("price", prices.price) or schedule_fault("feed_in", prices.feed_in)
    if fault:
        raise BadHomesFile(f"{name}: {fault}")
    return prices


def _schedule(tables: tuple[PriceTable, ...]) -> Schedule:
    return tuple((int(each.at[:2]) * 60 + int(each.at[3:]), each.utok_per_kwh) for each in tables)


def _plain(value: Any) -> Any:
    """Return tables as they are and lists as tuples: what a contract may be given."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value


def _odd_values(document: Document[TariffFile]) -> list[Finding]:
    found = []
    for path, value in document.values("co2", "*"):
        if type(value) is not int or not 0 <= value <= CO2_MAX:
            found.append(document.finding(path, f"co2: {path[-1]} must be {_CO2_KEYS}"))
    for path, value in document.values("contract", "*"):
        if not isinstance(value, dict):
            found.append(document.finding(path, f"contract: {path[-1]} must be a table"))
    for path, value in document.values("contract", "*", "*"):
        if not _is_value(value):
            text = f"contract.{path[1]}: {path[-1]} must be a whole number, text or list of them"
            found.append(document.finding(path, text))
    return found


def _is_value(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_value(item) for item in value)
    return type(value) in (int, str, bool)
