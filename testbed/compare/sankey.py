"""Who bought from whom, as bands between two columns: sellers left, buyers right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from testbed.compare.markup import Markup, tag

WIDTH, HEIGHT = 1000, 1000
NODE = 14
LABEL_PX = 29
"""A name and its energy below need so much height."""
HEIGHT_PX_MIN = 170
SIDE_MAX = 14
"""More names on a side are folded into one."""
COLOURS = 8
OTHERS = "others"

Flows = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Block:
    """A name on one side: where it begins and ends, from 0 to HEIGHT."""

    name: str
    total: int
    top: float
    bottom: float


def folded(flows: Flows, most: int = SIDE_MAX) -> dict[tuple[str, str], int]:
    """Return the flows with all but the largest names of each side called `others`."""
    kept = [_largest(flows, side, most) for side in (0, 1)]
    found: dict[tuple[str, str], int] = {}
    for pair, amount in flows.items():
        seller, buyer = (
            name if name in names else OTHERS for name, names in zip(pair, kept, strict=True)
        )
        found[seller, buyer] = found.get((seller, buyer), 0) + amount
    return found


def _largest(flows: Flows, side: int, most: int) -> set[str]:
    totals = _totals(flows, side)
    if len(totals) <= most:
        return set(totals)
    return set(sorted(totals, key=lambda name: (-totals[name], name))[: most - 1])


def _totals(flows: Flows, side: int) -> dict[str, int]:
    totals: dict[str, int] = {}
    for pair, amount in flows.items():
        totals[pair[side]] = totals.get(pair[side], 0) + amount
    return totals


def scale_for(amounts: Iterable[int], least: float, end: float) -> float:
    """Return the largest height of one unit so that all fit, each with at least so much room.

    >>> round(scale_for([90, 10], 0, 100), 3), round(scale_for([90, 10], 28, 100), 3)
    (1.0, 0.8)
    """
    found = sorted(amounts)
    low = 0
    while low < len(found) and found[low] * (end - low * least) <= least * sum(found[low:]):
        low += 1
    return (end - low * least) / sum(found[low:]) if low < len(found) else 0.0


def blocks(flows: Flows, side: int, scale: float, least: float) -> dict[str, Block]:
    """Return the names of one side from top to bottom, largest first, `others` last.

    What room is left goes between them in equal parts.
    """
    totals = _totals(flows, side)
    names = sorted(totals, key=lambda name: (name == OTHERS, -totals[name], name))
    rooms = [max(totals[name] * scale, least) for name in names]
    gap = (HEIGHT - sum(rooms)) / len(names) if names else 0.0
    found, at = {}, gap / 2
    for name, room in zip(names, rooms, strict=True):
        height = totals[name] * scale
        middle = at + room / 2
        found[name] = Block(name, totals[name], middle - height / 2, middle + height / 2)
        at += room + gap
    return found


def sankey(flows: Flows, text: Mapping[str, str], title: str) -> Markup:
    """Return the picture of (seller, buyer) -> amount.

    `text` says what stands beside a name: by "seller NAME" and "buyer NAME".
    """
    flows = folded({pair: amount for pair, amount in flows.items() if amount > 0})
    count = max(len(_totals(flows, side)) for side in (0, 1))
    height_px = max(count * LABEL_PX * 1.25, HEIGHT_PX_MIN)
    least = LABEL_PX / height_px * HEIGHT
    scale = min(scale_for(_totals(flows, side).values(), least, HEIGHT) for side in (0, 1))
    left, right = (blocks(flows, side, scale, least) for side in (0, 1))
    colours = {name: f"hue{place % COLOURS}" for place, name in enumerate(left)}
    shapes = [*_bands(flows, left, right, colours)]
    for name, block in left.items():
        shapes.append(_node(block, 0, colours[name]))
    shapes += [_node(block, WIDTH - NODE, "buyer") for block in right.values()]
    picture = tag(
        "svg",
        *shapes,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=title,
    )
    return tag(
        "div",
        _labels(left.values(), "seller", text),
        picture,
        _labels(right.values(), "buyer", text),
        class_="sankey",
        style=f"height:{height_px:.0f}px",
    )


def _bands(
    flows: Flows,
    left: Mapping[str, Block],
    right: Mapping[str, Block],
    colours: Mapping[str, str],
) -> Sequence[Markup]:
    """Draw each flow from where its seller's last one ended to where its buyer's did."""
    from_at = {name: block.top for name, block in left.items()}
    to_at = {name: block.top for name, block in right.items()}
    shapes = []
    for seller in left:
        for buyer in right:
            amount = flows.get((seller, buyer), 0)
            if not amount:
                continue
            height = amount * _scale(left[seller])
            other = amount * _scale(right[buyer])
            a, b = from_at[seller], to_at[buyer]
            from_at[seller], to_at[buyer] = a + height, b + other
            first, middle, last = NODE, WIDTH // 2, WIDTH - NODE
            path = (
                f"M{first} {a:.1f}C{middle} {a:.1f} {middle} {b:.1f} {last} {b:.1f}"
                f"V{b + other:.1f}C{middle} {b + other:.1f} {middle} {a + height:.1f} "
                f"{first} {a + height:.1f}Z"
            )
            shapes.append(
                tag(
                    "path",
                    tag("title", f"{seller} → {buyer}"),
                    d=path,
                    class_=f"band {colours[seller]}",
                )
            )
    return shapes


def _scale(block: Block) -> float:
    return (block.bottom - block.top) / block.total


def _node(block: Block, left: int, colour: str) -> Markup:
    return tag(
        "rect",
        x=left,
        y=f"{block.top:.1f}",
        width=NODE,
        height=f"{max(block.bottom - block.top, 1):.1f}",
        class_=f"node {colour}",
    )


def _labels(found: Iterable[Block], side: str, text: Mapping[str, str]) -> Markup:
    return tag(
        "div",
        *(
            tag(
                "span",
                block.name,
                tag("small", text.get(f"{side} {block.name}", "")),
                style=f"top:{(block.top + block.bottom) / 2 / HEIGHT:.2%}",
            )
            for block in found
        ),
        class_=f"names {side}",
    )
