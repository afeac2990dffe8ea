"""What members hold of something that is not money: credits, coins; a row of memory for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub.market.contract import Value


def held(memory: Mapping[str, Value], key: str) -> int:
    """Return the whole number in a row; 0 where there is none."""
    value = memory.get(key, 0)
    return value if isinstance(value, int) else 0


def held_after(
    memory: Mapping[str, Value], prefix: str, changes: Iterable[tuple[str, int]]
) -> dict[str, Value]:
    """Return the rows "<prefix>.<member>" once members hold so much more or less.

    >>> held_after({"coin.ann": 3}, "coin", [("ann", -3), ("bob", 2), ("bob", 1)])
    {'coin.ann': None, 'coin.bob': 3}
    """
    totals: dict[str, int] = {}
    for member, change in changes:
        key = f"{prefix}.{member}"
        totals[key] = totals.get(key, held(memory, key)) + change
    return {key: total or None for key, total in totals.items()}
