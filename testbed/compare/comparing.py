"""From what was asked for to a comparison: read, shape, run every contract, hold against optima."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

from hub.core.clearing import Contracts
from hub.market.errors import MarketError
from testbed.compare import optimum
from testbed.compare.battery import Battery
from testbed.compare.community import Community, community
from testbed.compare.comparison import Comparison, Section
from testbed.compare.members import (
    Member,
    every_third,
    plain_members,
    read_members,
    with_battery,
)
from testbed.compare.outcome import result, yardsticks
from testbed.compare.playing import Settings, settings_of
from testbed.compare.running import GRID_ONLY, run_contract
from testbed.compare.shaping import first_days, resampled
from testbed.compare.tariff import Prices, load_prices
from testbed.errors import BadComparison
from testbed.homes import Homes, read_homes

Told = Callable[[str, int, int], None]
"""Told what is being done, how many slots of it are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for. `homes` None: the shipped ones. `consumers` None: every third home."""

    homes: Path | None = None
    members: Path | None = None
    contracts: tuple[str, ...] = ()
    consumers: tuple[str, ...] | None = None
    battery: Battery | None = None
    tariff: Path | None = None
    slot_mins: tuple[int, ...] = ()
    days: int | None = None


def compare(asked: Asked, contracts: Contracts, told: Told) -> Comparison:
    """Run everything that was asked for; all wrong input is told before anything runs."""
    prices = load_prices(asked.tariff)
    chosen, left_out = _chosen(asked.contracts, contracts, prices)
    source, homes, members, notes = _homes(asked)
    notes += left_out
    if asked.days is not None:
        homes = first_days(homes, asked.days)
    lengths = asked.slot_mins or (homes.slot_ms // 60_000,)
    shaped = [resampled(homes, minutes) for minutes in lengths]
    notes += _shape_notes(homes, shaped)
    sections = []
    for each in shaped:
        sections.append(_section(community(each, members), prices, chosen, contracts, told))
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Comparison(source, tuple(notes), tuple(sections), now, version("gridtally"))


def _chosen(
    names: Sequence[str], contracts: Contracts, prices: Prices
) -> tuple[tuple[Settings, ...], list[str]]:
    """Return the runs, and which contracts are left out since nobody asked for them by name."""
    unknown = sorted({*names, *prices.parameters} - contracts.keys())
    if unknown:
        there = ", ".join(sorted(contracts))
        raise BadComparison(f"no contract {', '.join(unknown)}; there are {there}")
    chosen: list[Settings] = []
    left_out = []
    for name in dict.fromkeys(names or sorted(contracts)):
        found = settings_of(name, prices)
        try:
            for each in found:
                contracts[name]().check(each.parameters)
        except MarketError as error:
            if names or name in prices.parameters:
                raise BadComparison(f"[contract.{name}] of the tariff: {error}") from None
            left_out.append(f"{name} is left out: {error}. [contract.{name}] of --tariff sets it.")
            continue
        chosen += found
    return tuple(chosen), left_out


def example(name: str) -> str:
    """Return the text of a shipped example: homes.csv or members.csv."""
    return (files("testbed.compare") / f"example_{name}").read_text(encoding="utf-8")


def _homes(asked: Asked) -> tuple[str, Homes, tuple[Member, ...], list[str]]:
    notes: list[str] = []
    if asked.homes is not None:
        source, homes = asked.homes.name, read_homes(asked.homes)
    else:
        source = "nine made-up homes"
        with as_file(files("testbed.compare") / "example_homes.csv") as path:
            homes = read_homes(path)
        notes.append("These homes are made up, shipped as an example. --homes FILE takes yours.")
    names = [home.name for home in homes.homes]
    if asked.members is not None:
        members = read_members(asked.members, names)
    elif asked.homes is None and asked.consumers is None:
        with as_file(files("testbed.compare") / "example_members.csv") as path:
            members = read_members(path, names)
    else:
        members = _made(names, asked.consumers, notes)
    if asked.battery is not None:
        members = with_battery(members, asked.battery)
        count = sum(each.battery == asked.battery for each in members)
        size = asked.battery.capacity_uwh / 1e9
        notes.append(
            f"{count} homes that keep their PV got a battery of {size:g} kWh (--battery-kwh)."
        )
    return source, homes, members, notes


def _made(
    names: Sequence[str], consumers: tuple[str, ...] | None, notes: list[str]
) -> tuple[Member, ...]:
    unknown = sorted(set(consumers or ()) - set(names))
    if unknown:
        raise BadComparison(f"--consumers {', '.join(unknown)}: no such home in the homes file")
    chosen = every_third(names) if consumers is None else consumers
    if chosen:
        how = "every third one, since none was named" if consumers is None else "as asked"
        notes.append(
            f"Without a members file consumers were made by dropping the PV of {len(chosen)} of "
            f"{len(names)} homes ({how}): {', '.join(sorted(chosen))}."
        )
    else:
        notes.append("Without a members file: every home keeps its PV, as --consumers none asks.")
    return plain_members(names, chosen)


def _shape_notes(homes: Homes, shaped: Sequence[Homes]) -> list[str]:
    notes = []
    for each in shaped:
        if each.slot_ms < homes.slot_ms:
            notes.append(
                f"The file has slots of {homes.slot_ms // 60_000} min; those of "
                f"{each.slot_ms // 60_000} min are even shares of them and know nothing of what "
                "happened inside."
            )
        lost = homes.slots * homes.slot_ms - each.slots * each.slot_ms
        if lost:
            notes.append(f"The last {lost // 60_000} min make no whole slot and are left out.")
    return notes


def _section(
    homes: Community,
    prices: Prices,
    chosen: Sequence[Settings],
    contracts: Contracts,
    told: Told,
) -> Section:
    def progress(name: str) -> Callable[[int], None]:
        return lambda done: told(f"{name}, {homes.slot_ms // 60_000} min", done, homes.slots)

    alone = run_contract(homes, prices, Settings(GRID_ONLY), {}, progress("grid only"))
    told("optimum by HiGHS", 0, homes.slots)
    tariffs = [prices.at(homes.at_ms(slot)) for slot in range(homes.slots)]
    trades = [
        trade
        for slot, tariff in enumerate(tariffs)
        for trade in optimum.trades_of(slot, homes.positions(slot), homes, tariff)
    ]
    sticks = yardsticks(
        homes, alone, optimum.most_welfare(trades), optimum.least_cost(homes, tariffs)
    )
    results = []
    for settings in chosen:
        run = run_contract(homes, prices, settings, contracts, progress(settings.label))
        results.append(result(run, sticks, prices))
    return Section(homes, sticks, result(alone, sticks, prices), tuple(results))
