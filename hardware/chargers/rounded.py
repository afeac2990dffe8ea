"""Exact values of registers as the whole numbers that ports want."""

from __future__ import annotations

from fractions import Fraction

from hardware.registers import Value


def milli(value: Value) -> int | None:
    """Return a value in thousandths of its unit; None is not measured."""
    return round(value * 1000) if isinstance(value, Fraction) else None


def whole(value: Value) -> int | None:
    """Return a value in its unit, cut off; None is not measured."""
    return int(value) if isinstance(value, Fraction) else None


def named(value: Value, names: tuple[str, ...]) -> str:
    """Return the name of a code that counts from 0; what has none is unknown."""
    code = whole(value)
    return names[code] if code is not None and 0 <= code < len(names) else "unknown"
