"""Which loads stay on: the most power that fits, found exactly for up to sixteen loads.

Meet in the middle (Horowitz and Sahni, 1974): both halves' subsets are listed, and for each sum of
the one the largest fitting sum of the other is looked up, so 16 loads cost 512 sums, not 65 536.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from hub.balancing.demand import Switchable

LOADS_EXACT_MAX: Final = 16
_CHANGE: Final = 1 << 32
_CUT: Final = 1 << 24


class Load(NamedTuple):
    """One load that may be on or off. `name` breaks ties; `is_cut` is how it stands now."""

    name: tuple[str, str]
    power_mw: int
    is_cut: bool


def fit(loads: Sequence[Load], room_mw: int) -> frozenset[tuple[str, str]]:
    """Return the loads that stay on: the largest sum of power not above `room_mw`.

    Equal sums: the fewest contacts move; then the fewest loads are cut; then those are cut that
    come first by name. Beyond sixteen loads the sixteen largest are chosen exactly and the smaller
    ones fill what room is left, largest first. A load of no power stays on, or is fed again: how
    else would anybody learn that it wants some?
    """
    order = sorted(
        (load for load in loads if load.power_mw > 0), key=lambda load: (-load.power_mw, load.name)
    )
    large, small = order[:LOADS_EXACT_MAX], order[LOADS_EXACT_MAX:]
    kept = {load.name for load in loads if load.power_mw <= 0}
    kept |= _fit_exactly(sorted(large, key=lambda load: load.name), room_mw)
    left_mw = room_mw - sum(load.power_mw for load in large if load.name in kept)
    for load in small:
        if load.power_mw <= left_mw:
            kept.add(load.name)
            left_mw -= load.power_mw
    return frozenset(kept)


def smallest(loads: Sequence[Switchable], need_mw: int) -> frozenset[tuple[str, str]]:
    """Return the fed loads of least power that make up the need; all of them where that is less."""
    fed = [Load(load.relay.name, load.power_mw, False) for load in loads]
    room_mw = sum(load.power_mw for load in fed) - need_mw
    kept = fit(fed, room_mw)
    return frozenset(load.name for load in fed if load.name not in kept)


def _fit_exactly(loads: Sequence[Load], room_mw: int) -> set[tuple[str, str]]:
    middle = len(loads) // 2
    left, right = _sums(loads[:middle], 0), _sums(loads[middle:], middle)
    right_sums = sorted(right)
    best = (-1, 0)
    for left_mw, left_penalty in left.items():
        place = bisect_right(right_sums, max(room_mw, 0) - left_mw)
        if place:
            right_mw = right_sums[place - 1]
            best = max(best, (left_mw + right_mw, -(left_penalty + right[right_mw])))
    cut = -best[1] % _CUT
    return {load.name for number, load in enumerate(loads) if not cut >> number & 1}


def _sums(loads: Sequence[Load], first: int) -> dict[int, int]:
    """Return sum of power -> least penalty, over all subsets.

    A penalty counts contacts that move, then loads cut, then names the cut ones by their bits.
    """
    sums = {0: 0}
    for number, load in enumerate(loads, first):
        cut = _CUT + (1 << number) + (0 if load.is_cut else _CHANGE)
        keep = _CHANGE if load.is_cut else 0
        grown: dict[int, int] = {}
        for power_mw, penalty in sums.items():
            for total_mw, price in (
                (power_mw, penalty + cut),
                (power_mw + load.power_mw, penalty + keep),
            ):
                if price < grown.get(total_mw, price + 1):
                    grown[total_mw] = price
        sums = grown
    return sums
