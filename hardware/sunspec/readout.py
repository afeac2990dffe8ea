"""What a read of a SunSpec inverter or meter says in whole numbers, and what is in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from hardware.errors import ImplausibleSample
from hardware.sunspec.points import Layout, scale_factor, value

_PLAUSIBLE: Final[Mapping[str, int]] = MappingProxyType(
    {"W": 10_000_000, "V": 100_000, "A": 100_000, "Hz": 100}
)
"""Unit -> the largest size of a value that is believed."""

_ACC32: Final = 1 << 32
_UWH_PER_WH: Final = 1_000_000
_CONTRADICTIONS: Final = 3


@dataclass(slots=True)
class Readout:
    """The words of one block, by their offset from its ID.

    Attributes:
        doubts: words of quality, in the order in which they came up.
    """

    layout: Layout
    words: Mapping[int, int]
    doubts: list[str] = field(default_factory=list)

    def number(self, point: str) -> Fraction | None:
        """Return a point in its unit; None: not implemented, or impossible and then in doubt."""
        try:
            number = value(self.layout, point, self.words)
        except ImplausibleSample:
            self.doubts.append("range")
            return None
        if not isinstance(number, Fraction):
            return None
        most = _PLAUSIBLE.get(self.layout.by_name[point].unit)
        if most is not None and abs(number) > most:
            self.doubts.append("range")
            return None
        return number

    def milli(self, *points: str) -> int | None:
        """Return the first of these points that is implemented. [thousandths of its unit]"""
        for point in points:
            number = self.number(point)
            if number is not None:
                return round(number * 1_000)
        return None

    def counter_uwh(self, point: str) -> int | None:
        """Return an energy counter. [uWh]"""
        number = self.number(point)
        return None if number is None else round(number * _UWH_PER_WH)

    def step_uwh(self, point: str) -> int:
        """Return the step of an energy counter; 0: it is a single, or its step is not known."""
        row = self.layout.by_name[point]
        if row.type != "acc32":
            return 0
        try:
            factor = scale_factor(self.words[self.layout.by_name[row.factor].offset], row)
        except ImplausibleSample:
            return 0
        return 0 if factor is None else int(_UWH_PER_WH * Fraction(10) ** factor)

    def wrap_uwh(self, point: str) -> int | None:
        """Return where an energy counter is 0 again; None: it is a single, or not known. [uWh]"""
        return _ACC32 * self.step_uwh(point) or None

    def quality(self, *, is_missing: bool) -> str:
        """Return the doubts as words; "unavailable" if something is missing for no other reason."""
        if is_missing and not self.doubts:
            self.doubts.append("unavailable")
        return " ".join(dict.fromkeys(self.doubts))


@dataclass(slots=True)
class SignWatch:
    """Whether a meter's counters contradict the sign of its power.

    A counter that moves while the other one rests says which way energy went. Its step may be
    older than the power, so several contradictions in a row are waited for.
    """

    in_a_row: int = 0
    last: tuple[int | None, int | None] = (None, None)

    def contradicts(
        self, power_mw: int | None, import_uwh: int | None, export_uwh: int | None
    ) -> bool:
        """Take in a sample; return whether the counters contradict its power."""
        imported, exported = (
            new is not None and old is not None and new > old
            for new, old in zip((import_uwh, export_uwh), self.last, strict=True)
        )
        self.last = (import_uwh, export_uwh)
        if power_mw and imported != exported:
            self.in_a_row = 0 if imported == (power_mw > 0) else self.in_a_row + 1
        return self.in_a_row >= _CONTRADICTIONS
