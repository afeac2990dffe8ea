"""Run one contract over all slots of a community, through the clearing and the money of the hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hub.core.clearing import Contracts, clear
from hub.core.settlement import settlement
from testbed.compare.community import Community
from testbed.compare.playing import Settings, staged
from testbed.compare.sheets import Sheets
from testbed.compare.tally import Tally
from testbed.compare.tariff import Prices

Progress = Callable[[int], None]
"""Told after each slot how many are done."""
GRID_ONLY = "grid_only"
"""The run without a contract: everybody alone with the grid, at the tariff."""


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
    community = staged(community, settings, prices)
    tally = Tally(community)
    sheets = Sheets(community, prices, settings, contracts)
    spent_s = 0.0
    for slot in range(community.slots):
        sheets.play(slot, tally)
        sheet = sheets.at(slot)
        begun_s = time.perf_counter()
        clearing, failure = clear(sheet, settings.contract, contracts)
        spent_s += time.perf_counter() - begun_s
        settled = settlement(sheet, clearing)
        if failure and settings.contract != GRID_ONLY:
            tally.failures[failure] += 1
        tally.take(slot, sheet, clearing, settled)
        sheets.settle(clearing.memory, settled.lines)
        progress(slot + 1)
    return Run(settings, tally, spent_s, sheets.calls, sheets.calls_bytes)
