"""Charts as inline SVG with labels in HTML, so that they stretch from a phone to a sheet of paper.

The SVG has no text and may be stretched in both directions; lines keep their width. Numbers for the
pointer ride along as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from testbed.compare.markup import Markup, tag

HEIGHT = 1000
POINTS_MAX = 800
"""More slots than this are drawn as means of neighbours."""

TICK_SHARE_MAX = 0.96
STEPS = tuple(map(Decimal, ("1", "1.2", "1.6", "2", "3", "4", "5", "6", "8", "10")))

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Layer:
    """One series; `colour` is a class of the style sheet.

    `kind`: "area" is stacked on the areas before it, "below" hangs under zero, "line" and "step"
    are lines.
    """

    name: str
    colour: str
    kind: str
    values: Values


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands under the chart: labels at points; `name` finds what each point is called."""

    name: str
    ticks: Sequence[tuple[int, str]]
    names: Sequence[str]


def thinned(values: Values, most: int = POINTS_MAX) -> list[float | None]:
    """Return means of neighbours, so that at most so many points are left; None where all are.

    >>> thinned([1, 3, None, 5, None, None], most=3)
    [2.0, 5.0, None]
    """
    size = -(-len(values) // most) if values else 1
    if size == 1:
        return list(values)
    found: list[float | None] = []
    for at in range(0, len(values), size):
        known = [value for value in values[at : at + size] if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found


def mean_day(values: Values, slots_a_day: int) -> list[float | None]:
    """Return the mean of each time of day.

    >>> mean_day([1, 2, 3, 4], 2)
    [2.0, 3.0]
    """
    found: list[float | None] = []
    for at in range(min(slots_a_day, len(values))):
        known = [value for value in values[at::slots_a_day] if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found


def nice_top(value: float) -> float:
    """Return the next number at or above that is easy to halve, by powers of ten.

    >>> nice_top(7.2), nice_top(0.23), nice_top(0)
    (8.0, 0.3, 1.0)
    """
    if value <= 0:
        return 1.0
    power = Decimal(10) ** Decimal(value).adjusted()
    return next(float(step * power) for step in STEPS if float(step * power) >= value)


def chart(title: str, unit: str, layers: Sequence[Layer], axis: Axis) -> Markup:
    """Return a figure: heading with legend, the plot between its axes, numbers for the pointer."""
    top, bottom = _bounds(layers)
    count = max((len(layer.values) for layer in layers), default=0)
    shapes = _shapes(layers, top, bottom)
    plot = tag(
        "svg",
        *(_grid(each, count, top, bottom) for each in _marks(top, bottom)),
        *shapes,
        viewBox=f"0 0 {max(count - 1, 1)} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{title}, in {unit}",
    )
    numbers = {
        "axis": axis.name,
        "unit": unit,
        "layers": [
            {"name": layer.name, "values": [_short(value) for value in layer.values]}
            for layer in layers
        ],
    }
    return tag(
        "figure",
        tag("figcaption", tag("b", title), tag("span", f" {unit}", class_="soft"), _legend(layers)),
        tag(
            "div",
            tag(
                "div", *(_mark_label(each, top, bottom) for each in _marks(top, bottom)), class_="y"
            ),
            tag("div", plot, tag("div", class_="hair"), class_="plot"),
            tag("div", *_ticks(axis, count), class_="x"),
            class_="chart",
        ),
        json_script(numbers),
    )


def json_script(numbers: object, **attributes: str) -> Markup:
    """Return values for the page's own script; no browser can take them for the element's end."""
    written = json.dumps(numbers, separators=(",", ":")).replace("<", "\\u003c")
    return tag("script", Markup(written), type="application/json", **attributes)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _bounds(layers: Sequence[Layer]) -> tuple[float, float]:
    stack: dict[int, float] = {}
    peak, low = 0.0, 0.0
    for layer in layers:
        for at, value in enumerate(layer.values):
            number = value or 0.0
            if layer.kind == "area":
                stack[at] = stack.get(at, 0.0) + number
            elif layer.kind == "below":
                low = max(low, number)
            else:
                peak = max(peak, number)
    top = nice_top(max(peak, max(stack.values(), default=0.0)))
    return top, (nice_top(low) if low else 0.0)


def _marks(top: float, bottom: float) -> list[float]:
    marks = [top, top / 2, 0.0]
    return [*marks, -bottom] if bottom > top / 4 else marks


def _y(value: float, top: float, bottom: float) -> int:
    return round((top - value) / (top + bottom) * HEIGHT)


def _grid(value: float, count: int, top: float, bottom: float) -> Markup:
    at = _y(value, top, bottom)
    name = "zero" if value == 0 else "rule"
    return tag("path", d=f"M0 {at}H{max(count - 1, 1)}", class_=name)


def _mark_label(value: float, top: float, bottom: float) -> Markup:
    place = f"top:{_y(value, top, bottom) / HEIGHT:.1%}"
    return tag("span", f"{abs(value):g}", style=place)


def _ticks(axis: Axis, count: int) -> Iterator[Markup]:
    """Yield the labels below; every second one is left out where there is little room."""
    for place, (at, text) in enumerate(axis.ticks):
        share = at / max(count - 1, 1)
        if share <= TICK_SHARE_MAX:
            kind = "tick first" if share < 0.02 else "tick odd" if place % 2 else "tick"
            yield tag("span", text, style=f"left:{share:.1%}", class_=kind)


def _legend(layers: Sequence[Layer]) -> Markup:
    return tag(
        "span",
        *(
            tag("span", tag("i", class_=f"key {layer.kind} {layer.colour}"), layer.name)
            for layer in layers
        ),
        class_="legend",
    )


def _shapes(layers: Sequence[Layer], top: float, bottom: float) -> list[Markup]:
    base: list[float] = []
    shapes = []
    for layer in layers:
        if layer.kind == "area":
            base = base or [0.0] * len(layer.values)
            upper = [low + (value or 0.0) for low, value in zip(base, layer.values, strict=True)]
            shapes.append(_area(layer.colour, base, upper, (top, bottom)))
            base = upper
        elif layer.kind == "below":
            under = [-(value or 0.0) for value in layer.values]
            shapes.append(_area(layer.colour, [0.0] * len(under), under, (top, bottom)))
    for layer in layers:
        if layer.kind in ("line", "step"):
            path = _line(layer.values, top, bottom, is_step=layer.kind == "step")
            shapes.append(tag("path", d=path, class_=f"line {layer.colour}"))
    return shapes


def _area(
    colour: str, low: Sequence[float], high: Sequence[float], bounds: tuple[float, float]
) -> Markup:
    there = [f"{at} {_y(value, *bounds)}" for at, value in enumerate(high)]
    back = [f"{at} {_y(low[at], *bounds)}" for at in reversed(range(len(low)))]
    return tag("path", d=f"M{'L'.join(there + back)}Z", class_=f"area {colour}")


def _line(values: Values, top: float, bottom: float, *, is_step: bool) -> str:
    parts, is_down, before = [], False, 0
    for at, value in enumerate(values):
        if value is None:
            is_down = False
            continue
        height = _y(value, top, bottom)
        if not is_down:
            parts.append(f"M{at} {height}h0.01")
        elif is_step:
            parts.append(f"H{at}V{height}")
        elif height != before:
            parts.append(f"L{at} {height}")
        else:
            parts.append(f"H{at}")
        is_down, before = True, height
    return "".join(parts)
