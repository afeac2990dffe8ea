"""Members and aggregator go back and forth until the bound says that it is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hub.market.planned import least, net_uwh, wear
from hub.market.rounding import KWH_UWH
from hub.scheduling.coupling import Aggregator, Grid, Series
from hub.scheduling.homes import UTOK_PER_TOKEN, UWH_PER_KWH, Home, Homes
from hub.scheduling.rounding import planned
from messages.scheduling import Plan, Proposal

ROUNDS_MAX: Final = 200
LOOK_EACH: Final = 40
"""Rounds after which the bound is looked at."""
TASK_ROUNDS: Final = 20
"""Rounds in which tasks may lie in several slots; then each gets one, and the rest converges."""
GAP_PPM: Final = 500
STEP: Final = 0.45
"""How dear a kWh beside the target is, in units of the mean tariff and of the homes' exchange."""


@dataclass(frozen=True, slots=True)
class Day:
    """What is known to all: when it begins, how long a slot is, and the prices of the grid."""

    day_ms: int
    slot_ms: int
    tariff_utok_per_kwh: tuple[int, ...]
    feed_in_utok_per_kwh: tuple[int, ...]
    grid_mw_max: int = 10**12


@dataclass(frozen=True, slots=True)
class Schedule:
    """What came out: one plan a member, the proposal, and how far from the best it can be. [ppm]"""

    plans: Mapping[str, Plan]
    proposal: Proposal
    gap_ppm: int


def schedule(
    homes: Sequence[Home], day: Day, *, rounds_max: int = ROUNDS_MAX, gap_ppm: int = GAP_PPM
) -> Schedule:
    """Return the first schedule whose gap is small enough, or the best one there was.

    Args:
        homes: what each member knows of himself, one a member.
        day: what all know.
        rounds_max: of ADMM.
        gap_ppm: what is small enough, as a share of the bound.
    """
    grid = Grid(
        np.array(day.tariff_utok_per_kwh) / UTOK_PER_TOKEN,
        np.array(day.feed_in_utok_per_kwh) / UTOK_PER_TOKEN,
        day.grid_mw_max * day.slot_ms / 3600 / UWH_PER_KWH / len(homes),
    )
    rho = _step(homes, grid)
    aggregator, groups = Aggregator(grid, rho), _groups(homes, day.slot_ms, rho)
    mean, best = _mean(groups), None
    for number in range(1, rounds_max + 1):
        shift = aggregator.shift(mean)
        for group in groups:
            group.respond(shift)
            if number == TASK_ROUNDS:
                group.decide()
        mean = _mean(groups)
        aggregator.take(mean)
        if number % LOOK_EACH == 0 or number == rounds_max:
            found = _rounded(groups, day, aggregator.prices, number)
            if best is None or found.gap_ppm < best.gap_ppm:
                best = found
            if best.gap_ppm <= gap_ppm:
                break
    if best is None:
        raise ValueError(f"{rounds_max} rounds are none")
    return best


def _step(homes: Sequence[Home], grid: Grid) -> float:
    exchange = np.array([home.base_uwh for home in homes]) / UWH_PER_KWH
    size = float(np.sqrt(np.mean(exchange**2)))
    return STEP * max(float(grid.tariff.mean()), 1e-3) / max(size, 1e-6)


def _groups(homes: Sequence[Home], slot_ms: int, rho: float) -> list[Homes]:
    """Return homes by what their batteries keep."""
    found: dict[int, list[Home]] = {}
    for home in homes:
        battery = home.devices.battery
        found.setdefault(battery.efficiency_percent if battery else 100, []).append(home)
    return [Homes(group, slot_ms, rho) for _, group in sorted(found.items())]


def _mean(groups: Sequence[Homes]) -> Series:
    count = sum(len(group.homes) for group in groups)
    found: Series = np.sum([group.exchange.sum(0) for group in groups], axis=0) / count
    return found


def _rounded(groups: Sequence[Homes], day: Day, prices: Series, rounds: int) -> Schedule:
    """Let every member round his plan, and add up what is then true."""
    whole = tuple(
        min(max(round(price * UTOK_PER_TOKEN), feed_in), tariff)
        for price, tariff, feed_in in zip(
            prices.tolist(), day.tariff_utok_per_kwh, day.feed_in_utok_per_kwh, strict=True
        )
    )
    plans: dict[str, tuple[Home, Plan]] = {}
    for group in groups:
        flows = group.flows
        for place, home in enumerate(group.homes):
            rows = [each[place].tolist() for each in flows]
            plan = planned(home, day.day_ms, day.slot_ms, rows, group.starts(place), whole)
            plans[home.member] = (home, plan)
    return _added_up(dict(sorted(plans.items())), day, whole, rounds)


def _added_up(
    plans: Mapping[str, tuple[Home, Plan]], day: Day, prices: tuple[int, ...], rounds: int
) -> Schedule:
    nets = [net_uwh(home.devices, plan) for home, plan in plans.values()]
    total = [sum(slot) for slot in zip(*nets, strict=True)]
    taken, given = [max(net, 0) for net in total], [max(-net, 0) for net in total]
    cost = sum(wear(home.devices, plan) for home, plan in plans.values())
    rows = zip(day.tariff_utok_per_kwh, day.feed_in_utok_per_kwh, taken, given, strict=True)
    cost += sum(tariff * drawn - feed_in * fed for tariff, feed_in, drawn, fed in rows)
    bound = sum(least(home.devices, plan, prices, day.slot_ms) for home, plan in plans.values())
    proposal = Proposal(
        day_ms=day.day_ms,
        members=tuple(plans),
        prices_utok_per_kwh=prices,
        tariff_utok_per_kwh=day.tariff_utok_per_kwh,
        feed_in_utok_per_kwh=day.feed_in_utok_per_kwh,
        import_uwh=tuple(taken),
        export_uwh=tuple(given),
        cost_utok=-(-cost // KWH_UWH),
        rounds=rounds,
    )
    gap_ppm = -(-(cost - bound) * 1_000_000 // max(abs(bound), 1))
    return Schedule({member: plan for member, (_, plan) in plans.items()}, proposal, gap_ppm)
