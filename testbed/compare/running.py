"""Run one contract over all slots of a community, through the clearing and the money of the hub."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hub.core.clearing import Contracts, clear
from hub.core.settlement import settlement
from hub.market.contract import Order, SlotBook, Value
from testbed.compare.community import Community, orders
from testbed.compare.ledgersize import call_bytes
from testbed.compare.tally import Tally
from testbed.compare.tariff import Prices

Progress = Callable[[int], None]
"""Told after each slot how many are done."""
GRID_ONLY = "grid_only"
"""The run without a contract: everybody alone with the grid, at the tariff."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run is set to. `variant` and `forecast` are empty where there is but one."""

    contract: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    variant: str = ""
    forecast: str = ""

    @property
    def label(self) -> str:
        """The run's name in tables."""
        return ", ".join(filter(None, (self.contract, self.variant, self.forecast)))


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it. `clearing_s` is the contract's own time with the hub's checks of it."""

    settings: Settings
    tally: Tally
    clearing_s: float
    calls: int
    calls_bytes: int


def run_contract(
    community: Community,
    prices: Prices,
    settings: Settings,
    contracts: Contracts,
    progress: Progress,
) -> Run:
    """Clear and settle every slot in order; what a contract remembers goes from one to the next."""
    tally = Tally(community)
    book = _Book(community, prices, settings)
    spent_s = 0.0
    for slot in range(community.slots):
        sheet = book.at(slot)
        begun_s = time.perf_counter()
        clearing, failure = clear(sheet, settings.contract, contracts)
        spent_s += time.perf_counter() - begun_s
        settled = settlement(sheet, clearing)
        if failure and settings.contract != GRID_ONLY:
            tally.failures[failure] += 1
        tally.take(slot, sheet.positions, sheet.tariff, clearing, settled)
        book.remember(clearing.memory)
        book.took_orders |= bool(clearing.fates)
        progress(slot + 1)
    calls, weight = book.calls()
    return Run(settings, tally, spent_s, calls, weight)


class _Book:
    """The next slot's book: memory, balances and orders as they stand."""

    def __init__(self, community: Community, prices: Prices, settings: Settings) -> None:
        self._community = community
        self._prices = prices
        self._settings = settings
        self._memory: dict[str, Value] = {}
        self._standing: dict[str, Order] = {}
        self._placed: list[Order] = []
        self.balances: dict[str, int] = {}
        self.took_orders = False

    def at(self, slot: int) -> SlotBook:
        """Return what the contract sees of a slot."""
        community = self._community
        positions = community.positions(slot)
        tariff = self._prices.at(community.at_ms(slot))
        wanted = orders(community.members, positions, tariff, community.sites)
        for order in wanted:
            if self._standing.get(order.order_id) != order:
                self._placed.append(order)
                self._standing[order.order_id] = order
        return SlotBook(
            slot_ms=community.at_ms(slot),
            length_ms=community.slot_ms,
            positions=positions,
            tariff=tariff,
            parameters=self._settings.parameters,
            memory=MappingProxyType(self._memory),
            orders=wanted,
            sites=community.sites,
            balances=MappingProxyType(self.balances),
        )

    def remember(self, changed: Mapping[str, Value]) -> None:
        """Keep the rows that a contract changed, as the fold does."""
        for key, value in changed.items():
            if value is None:
                self._memory.pop(key, None)
            else:
                self._memory[key] = value

    def calls(self) -> tuple[int, int]:
        """Return how many orders were placed or replaced, and what those calls weigh. [bytes]

        An order stands until its price changes. 0 under a contract that takes no orders.
        """
        if not self.took_orders:
            return 0, 0
        weight = 0
        for order in self._placed:
            asked = (("side", order.side), ("price_utok_per_kwh", order.price_utok_per_kwh))
            weight += call_bytes(self._settings.contract, "order", asked)
        return len(self._placed), weight
