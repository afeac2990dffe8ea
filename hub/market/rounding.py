"""The roundings of the house: each market uses these and no other.

An amount is rounded half to even, once a deal. What is divided among several is divided by largest
remainder, so that the parts always make up the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

KWH_UWH: Final = 1_000_000_000


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient, halves to the even neighbour; the denominator is above 0.

    >>> [half_even(n, 10) for n in (14, 15, 25, -15, -25)]
    [1, 2, 2, -2, -2]
    """
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        return quotient + 1
    return quotient


def amount_utok(energy_uwh: int, price_utok_per_kwh: int) -> int:
    """Return what an energy costs. [utok]

    >>> amount_utok(1_500_000_000, 220_000)
    330000
    """
    return half_even(energy_uwh * price_utok_per_kwh, KWH_UWH)


def shares(whole: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole by weights: each gets the floor of its part, the largest remainders one more.

    Equal remainders: the earlier one. Where all weights are 0 nobody gets anything.

    >>> shares(100, [1, 1, 1]), shares(7, [0, 5, 2]), shares(-5, [1, 1])
    ([34, 33, 33], [0, 5, 2], [-2, -3])
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    parts = [divmod(whole * weight, total) for weight in weights]
    found = [part for part, _ in parts]
    by_rest = sorted(range(len(parts)), key=lambda place: (-parts[place][1], place))
    for place in by_rest[: whole - sum(found)]:
        found[place] += 1
    return found
