"""A comparison small enough to reckon by hand, and one with names that want to be markup."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hub.market.catalog import CONTRACTS
from testbed.compare import optimum
from testbed.compare.community import community
from testbed.compare.comparison import Comparison, Section
from testbed.compare.members import Member
from testbed.compare.outcome import result, yardsticks
from testbed.compare.playing import Settings
from testbed.compare.running import GRID_ONLY, run_contract
from testbed.compare.tariff import Prices
from testbed.homes import Home, Homes

KWH = 1_000_000_000
EVIL = '<img src=x onerror="alert(1)">'
PRICES = Prices(
    ((0, 300_000),),
    ((0, 100_000),),
    {"grid": 300, "solar": 40},
    {"dep_balance": {"deficit": "supplier"}},
)
MEMBERS = (
    Member("ann", "family", "north", 0, 0),
    Member("bob", "single", "north", 300, 400, has_pv=False, bid_utok_per_kwh=200_000),
    Member("cia", "single", "south", 0, 1000, has_pv=False),
)
HOMES = Homes(
    (
        Home("ann", [1 * KWH, 1 * KWH, 2 * KWH, 0], [0, 5 * KWH, 1 * KWH, 0]),
        Home("bob", [1 * KWH, 1 * KWH, 1 * KWH, 3 * KWH], [0, 9 * KWH, 0, 0]),
        Home("cia", [1 * KWH, 2 * KWH, 1 * KWH, 3 * KWH], [0, 0, 0, 0]),
    ),
    4,
    6 * 3_600_000,
)
"""Only in slot 1 is there anything to trade: ann has 4 kWh over, bob lacks 1 and cia 2."""


def section(members: tuple[Member, ...], contracts: tuple[str, ...]) -> Section:
    """Return the small homes under some contracts."""
    rows = community(HOMES, members)

    def run(settings: Settings):
        return run_contract(rows, PRICES, settings, CONTRACTS, lambda done: None)

    alone = run(Settings(GRID_ONLY))
    tariffs = [PRICES.at(rows.at_ms(slot)) for slot in range(rows.slots)]
    trades = [
        trade
        for slot in range(rows.slots)
        for trade in optimum.trades_of(slot, rows.positions(slot), rows, tariffs[slot])
    ]
    sticks = yardsticks(
        rows, alone, optimum.most_welfare(trades), optimum.least_cost(rows, tariffs)
    )
    results = tuple(
        result(run(Settings(name, PRICES.parameters.get(name, {}))), sticks, PRICES)
        for name in contracts
    )
    return Section(rows, sticks, result(alone, sticks, PRICES), results)


@cache
def small_comparison() -> Comparison:
    """Return the comparison of two contracts over three homes."""
    found = section(MEMBERS, ("dep_balance", "double_auction"))
    return Comparison("small", ("A note.",), (found,), "2026-01-01 00:00 UTC", "0")


@cache
def evil_comparison() -> Comparison:
    """Return a comparison whose names are markup."""
    members = tuple(replace(each, group=EVIL, area=EVIL) for each in MEMBERS)
    return Comparison(EVIL, (EVIL,), (section(members, ("dep_balance",)),), EVIL, EVIL)
