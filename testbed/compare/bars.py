"""Horizontal bars: one row a name, below zero to the left, what it is held against behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from testbed.compare.markup import Markup, tag


class Bar(NamedTuple):
    """One row. `text` stands beside it; `before` is drawn pale behind; `note` stands last.

    `tone` of the note: "good", "bad" or "".
    """

    name: str
    value: float
    text: str
    before: float | None = None
    note: str = ""
    tone: str = ""


def bars(rows: Sequence[Bar], *, title: str = "", legend: str = "") -> Markup:
    """Return all rows on one scale."""
    values = [value for row in rows for value in (row.value, row.before) if value is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    width = (high - low) or 1.0
    zero = -low / width
    head = tag("b", title, tag("small", legend) if legend else Markup("")) if title else Markup("")
    has_notes = any(row.note for row in rows)
    lines = (_line(row, zero, width, has_note=has_notes) for row in rows)
    return tag("div", head, *lines, class_="bars")


def _line(row: Bar, zero: float, width: float, *, has_note: bool) -> Markup:
    drawn = []
    if row.before is not None:
        drawn.append(_drawn("pale", row.before, zero, width))
    drawn.append(_drawn("plus" if row.value >= 0 else "minus", row.value, zero, width))
    note = tag("span", row.note, class_=f"number {row.tone}".strip()) if has_note else Markup("")
    return tag(
        "div",
        tag("span", row.name, class_="name"),
        tag("span", *drawn, tag("em", style=f"left:{zero:.2%}"), class_="rail"),
        tag("span", row.text, class_="number"),
        note,
        class_="bar noted" if has_note else "bar",
    )


def _drawn(kind: str, value: float, zero: float, width: float) -> Markup:
    left = zero if value >= 0 else zero + value / width
    return tag("i", class_=kind, style=f"left:{left:.2%};width:{abs(value) / width:.2%}")
