"""How clearing a market grows with its orders, from 100 to a million a side; drawn on request.

Four ways over the same seeded books: numpy's sort alone, the auction by columns with numpy and
without, and the contract with an object an order, as a hub clears it, up to 100,000. Where a vector
is known the result is compared with it.

    python -m bench growth
    python -m bench.growth docs/img/market-growth.svg      draws it, too
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bench.figure import Figure, number
from bench.market import NEVER, VECTORS, check, clear, in_turns, sides, sort
from hub.market.columns import Side, auction
from testbed.compare.markup import Markup, tag
from tests.support.order_books import columns, orders

COUNTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
OBJECTS_MAX: Final = 100_000
TURNS_S: Final = 5.0
SORT, NUMPY, PLAIN, CONTRACT = (
    "numpy's sort alone",
    "auction by columns, numpy",
    "auction by columns, plain Python",
    "contract, an object an order",
)
COLOURS: Final = {SORT: "#888888", NUMPY: "#0072b2", PLAIN: "#d55e00", CONTRACT: "#009e73"}
DASHES: Final = {SORT: "2 4", NUMPY: None, PLAIN: "8 4", CONTRACT: "12 4 2 4"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 770, 420, 80, 245, 20, 50

Curves = dict[str, list[tuple[int, float]]]
"""Name of a way -> (orders a side, ms)."""


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the time of each way at each size."""
    for count in COUNTS[:3] if quick else COUNTS:
        for way, took_ms in measure(count).items():
            yield Figure(f"{way}: {count:,} + {count:,} orders", took_ms, "ms")


def measure(count: int) -> dict[str, float]:
    """Return the milliseconds of each way at one size, best of turns; results compared."""
    vectors = {row["n"]: row for row in json.loads(VECTORS.read_text())["books"] if row["tick"] < 2}
    bids, asks = sides(count)
    quick_bids, quick_asks = (Side(*(np.array(each) for each in side)) for side in (bids, asks))
    works = {
        SORT: lambda: sort(quick_bids, quick_asks),
        NUMPY: lambda: auction(quick_bids, quick_asks, large=0),
        PLAIN: lambda: auction(bids, asks, large=NEVER),
    }
    for way in (NUMPY, PLAIN):
        check(works[way](), vectors[count])  # type: ignore[arg-type]
    if count <= OBJECTS_MAX:
        book = orders(columns(count))
        works[CONTRACT] = lambda: clear(book)
    best = in_turns(*works.values(), for_s=TURNS_S)
    return {way: took_s * 1000 for way, took_s in zip(works, best, strict=True)}


class Sheet:
    """Where a number of orders and a time lie on the drawing; both axes in powers of ten."""

    def __init__(self, points: Sequence[tuple[int, float]]) -> None:
        self.counts = sorted({count for count, _ in points})
        times = [math.log10(ms) for _, ms in points]
        self.powers = range(math.floor(min(times)), math.ceil(max(times)) + 1)

    def at(self, count: int, ms: float) -> tuple[int, int]:
        """Return where a point lies. [px]"""
        first, last = math.log10(self.counts[0]), math.log10(self.counts[-1])
        right = (math.log10(count) - first) / (last - first)
        up = (math.log10(ms) - self.powers[0]) / (self.powers[-1] - self.powers[0])
        return (
            round(LEFT + right * (WIDTH - LEFT - RIGHT)),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)),
        )


def drawn(curves: Curves) -> Markup:
    """Return the curves as SVG."""
    sheet = Sheet([point for curve in curves.values() for point in curve])
    shapes = [tag("rect", width=WIDTH, height=HEIGHT, fill="white")]
    for power in sheet.powers:
        _, y = sheet.at(sheet.counts[0], 10.0**power)
        shapes.append(line([(LEFT, y), (WIDTH - RIGHT, y)], "#dddddd"))
        shapes.append(text(LEFT - 8, y + 4, f"{10.0**power:,g} ms", "end"))
    for count in sheet.counts:
        x, _ = sheet.at(count, 1.0)
        shapes.append(line([(x, TOP), (x, HEIGHT - BOTTOM)], "#dddddd"))
        shapes.append(text(x, HEIGHT - BOTTOM + 18, f"{count:,}", "middle"))
    middle = (LEFT + WIDTH - RIGHT) // 2
    shapes.append(text(middle, HEIGHT - 10, "bids, and as many asks", "middle"))
    for way, curve in curves.items():
        places = [sheet.at(count, ms) for count, ms in curve]
        shapes.append(line(places, COLOURS[way], 2.5, DASHES[way]))
        x, y = places[-1]
        is_whole = x == WIDTH - RIGHT
        place = (x + 8, y + 4, way, "start") if is_whole else (x - 8, y - 10, way, "end")
        shapes.append(text(*place, COLOURS[way]))
    size = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": WIDTH, "height": HEIGHT}
    return tag("svg", *shapes, xmlns="http://www.w3.org/2000/svg", role="img", **size)


def line(
    places: Sequence[tuple[int, int]], colour: str, width: float = 1.0, dashes: str | None = None
) -> Markup:
    """Return a line through some places."""
    points = " ".join(f"{x},{y}" for x, y in places)
    style = {"stroke": colour, "stroke_width": width, "stroke_dasharray": dashes}
    return tag("polyline", points=points, fill="none", **style)


def text(x: int, y: int, words: str, anchor: str, colour: str = "#333333") -> Markup:
    """Return words at a place."""
    style = {"font_family": "sans-serif", "font_size": 13, "text_anchor": anchor, "fill": colour}
    return tag("text", words, x=x, y=y, **style)


def main(path: Path) -> None:
    """Measure every size, tell each time, and draw them."""
    curves: Curves = {}
    for count in COUNTS:
        for way, took_ms in measure(count).items():
            curves.setdefault(way, []).append((count, took_ms))
            print(f"{way}: {count:,} + {count:,} orders: {number(took_ms)} ms", flush=True)
    path.write_text(drawn(curves) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
