"""What a benchmark says: one figure, and what was aimed for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What is aimed for: at most, or at least, so much."""

    bound: Literal["at most", "at least"]
    value: float

    def is_reached(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value <= self.value if self.bound == "at most" else value >= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; without a target it is told for what it is."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    note: str = ""

    @property
    def line(self) -> str:
        """One line for a person."""
        parts = [f"{self.name}: {number(self.value)} {self.unit}".rstrip()]
        if self.target is not None:
            reached = "reached" if self.target.is_reached(self.value) else "NOT reached"
            parts.append(f"target {self.target.bound} {number(self.target.value)}: {reached}")
        if self.note:
            parts.append(f"({self.note})")
        return ", ".join(parts[:-1] if self.note else parts) + (
            f" {parts[-1]}" if self.note else ""
        )


def number(value: float) -> str:
    """Return a number with as many digits as it is good for."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def percentile(values: list[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
