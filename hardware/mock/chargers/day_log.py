"""The logger inside a charge controller: what was counted, and the extremes, since a day began.

A simulated controller has no thread of its own: a new day is noticed at the first request after
it began, and what was counted up to the last request before belongs to the old one.
"""

from __future__ import annotations

from collections.abc import Hashable


class DayLog:
    """Counters and extremes of one period: a day, a month, a year."""

    def __init__(self) -> None:
        """Begin with an empty log."""
        self._period: Hashable = None
        self._begun: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._extremes: dict[str, int] = {}

    def turn(self, period: Hashable) -> None:
        """Say which period it is now; with another one than before everything begins anew."""
        if period != self._period:
            self._period = period
            self.clear()

    def clear(self) -> None:
        """Begin anew within the period."""
        self._begun = dict(self._newest)
        self._extremes.clear()

    def since(self, counter: str, total: int) -> int:
        """Return what this ever-growing counter counted in the period."""
        self._newest[counter] = total
        return total - self._begun.setdefault(counter, total)

    def least(self, quantity: str, value: int) -> int:
        """Return the least value of the period, this one included."""
        found = min(value, self._extremes.get(f"least {quantity}", value))
        self._extremes[f"least {quantity}"] = found
        return found

    def most(self, quantity: str, value: int) -> int:
        """Return the greatest value of the period, this one included."""
        found = max(value, self._extremes.get(f"most {quantity}", value))
        self._extremes[f"most {quantity}"] = found
        return found


class Dawns:
    """Counts mornings, for controllers that have no clock and know the day by their panels."""

    def __init__(self) -> None:
        """Begin by day."""
        self.count = 0
        self._was_dark = False

    def look(self, is_dark: bool) -> int:
        """Return the number of nights that ended so far, given whether it is dark now."""
        if self._was_dark and not is_dark:
            self.count += 1
        self._was_dark = is_dark
        return self.count
