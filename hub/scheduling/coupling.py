"""The aggregator's step of ADMM: it sees what members would exchange on average, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
"""One number a slot. [kWh, or tokens per kWh]"""

RELAXATION: Final = 1.6


@dataclass(frozen=True, slots=True)
class Grid:
    """What the grid takes and gives: tariff, feed-in price, and the most that flows. [tokens, kWh]

    `most` is a member's part of what the connection bears in a slot.
    """

    tariff: Series
    feed_in: Series
    most: float


class Aggregator:
    """Holds the price, and what each member should exchange on average for the grid to bear it.

    `rho` is how dear a kWh beside the target is. [tokens per kWh^2]
    """

    def __init__(self, grid: Grid, rho: float) -> None:
        self._grid = grid
        self._rho = rho
        self._price = (grid.tariff + grid.feed_in) / (2 * rho)
        self._wanted: Any = None

    @property
    def prices(self) -> Series:
        """What a kWh is worth in each slot, within feed-in price and tariff. [tokens per kWh]"""
        found: Series = np.clip(self._rho * self._price, self._grid.feed_in, self._grid.tariff)
        return found

    def shift(self, mean: Series) -> Series:
        """Return what each member is to take off his last exchange, by price and by what lacks."""
        if self._wanted is None:
            self._wanted = mean
        found: Series = mean - self._wanted + self._price
        return found

    def take(self, mean: Series) -> None:
        """Move the price by what members would exchange now, on average."""
        relaxed = RELAXATION * mean + (1 - RELAXATION) * self._wanted
        wanted = self._borne(relaxed + self._price)
        self._price = self._price + relaxed - wanted
        self._wanted = wanted

    def _borne(self, target: Series) -> Series:
        """Return what the grid would exchange: cheapest for it, and not far from the target."""
        draws, feeds = (
            target - self._grid.tariff / self._rho,
            target - self._grid.feed_in / self._rho,
        )
        found = np.where(draws > 0, draws, np.where(feeds < 0, feeds, 0.0))
        return np.clip(found, -self._grid.most, self._grid.most)
