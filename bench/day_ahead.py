"""A day of 96 quarter hours planned by ADMM, against the optimum of the same run by HiGHS.

python -m bench day_ahead

Members' steps run one after the other on one core; on a street each has a machine of his own, so
that a round takes as long as its slowest member and two ways over the network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.figure import Figure, Target
from hub.market.contract import CallRequest, CallResult, StepBudget, Value
from hub.market.contracts.day_ahead import DayAhead
from hub.scheduling.homes import UTOK_PER_TOKEN, UWH_PER_KWH, Home, Homes
from hub.scheduling.rounds import Day, Schedule, schedule
from messages.scheduling import CONTENT, Devices, Plan, Proposal, pack
from tests.support import planned_days

GAP_PPM = 1000.0
ROUNDS = 199.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield rounds, gap and times of each case."""
    for count in (3, 30) if quick else (3, 10, 30, 100, 300):
        homes, day = planned_days.homes(count), planned_days.day(count)
        begun_s = time.perf_counter()
        optimum = least_cost(homes, day)
        whole_s = time.perf_counter() - begun_s
        begun_s = time.perf_counter()
        found = schedule(homes, day)
        planned_s = time.perf_counter() - begun_s
        yield from _figures(count, homes, day, found, optimum)
        yield Figure(f"day_ahead {count}: all planned on one core", planned_s, "s")
        yield Figure(f"day_ahead {count}: HiGHS over all at once", whole_s, "s")
        yield from _on_the_ledger(count, homes, found)
    yield from _one_member()


def _figures(
    count: int, homes: Sequence[Home], day: Day, found: Schedule, optimum: float
) -> Iterator[Figure]:
    gap_ppm = 1e6 * (found.proposal.cost_utok / UTOK_PER_TOKEN / optimum - 1)
    name = f"day_ahead {count}"
    yield Figure(f"{name}: rounds", found.proposal.rounds, "", Target("at most", ROUNDS))
    yield Figure(f"{name}: above the optimum", gap_ppm, "ppm", Target("at most", GAP_PPM))
    yield Figure(f"{name}: gap that the ledger proves", found.gap_ppm, "ppm")
    series = 8 * len(day.tariff_utok_per_kwh)
    note = f"{2 * len(homes)} messages a round, each a series of {series} bytes"
    yield Figure(
        f"{name}: messages in all", 2.0 * len(homes) * found.proposal.rounds, "", None, note
    )


def _on_the_ledger(count: int, homes: Sequence[Home], found: Schedule) -> Iterator[Figure]:
    memory: dict[str, Value] = {}

    def call(who: str, method: str, message: Devices | Plan | Proposal) -> CallResult:
        request = CallRequest(
            who, bytes(16), method, pack(message), -900_000, memory, roles=("service",)
        )
        result = DayAhead().call(request, StepBudget())
        memory.update(result.memory)
        return result

    for home in homes:
        call(home.member, "devices", home.devices)
    begun_s = time.perf_counter()
    for home in homes:
        call(home.member, "plan", found.plans[home.member])
    call("aggregator", "propose", found.proposal)
    spent_ms = (time.perf_counter() - begun_s) * 1000
    size = sum(len(pack(plan)[CONTENT]) for plan in found.plans.values())
    yield Figure(f"day_ahead {count}: plans and proposal checked", spent_ms, "ms")
    yield Figure(f"day_ahead {count}: plans on the ledger", size / count, "bytes a home")


def _one_member() -> Iterator[Figure]:
    """Yield how long one member's step takes when he is asked alone."""
    home = next(home for home in planned_days.homes(30) if home.devices.battery)
    alone, shift = Homes([home], planned_days.SLOT_MS, 0.3), np.full(planned_days.SLOTS, 0.1)
    begun_s = time.perf_counter()
    for _ in range(100):
        alone.respond(shift)
    yield Figure("day_ahead: one member's step", (time.perf_counter() - begun_s) * 10, "ms")


def least_cost(homes: Sequence[Home], day: Day) -> float:
    """Return the optimum over all homes at once, batteries and curtailing. [tokens]

    Columns: charged, discharged, curtailed and level of each home, then import and export.
    """
    from scipy.optimize import linprog  # noqa: PLC0415
    from scipy.sparse import block_diag, bmat, diags, eye, hstack  # noqa: PLC0415

    slots, count = len(day.tariff_utok_per_kwh), len(homes)
    one = eye(slots)
    growth = one - diags([np.ones(slots - 1)], [-1])
    levels = []
    low, high, cost, right = [], [], [], []
    for home in homes:
        battery = home.devices.battery
        keeps = battery.efficiency_percent / 100 if battery else 1.0
        levels.append(hstack([-keeps * one, one / keeps, 0 * one, growth]))
        most = battery.most_uwh(day.slot_ms) / UWH_PER_KWH if battery else 0.0
        full = battery.capacity_uwh / UWH_PER_KWH if battery else 0.0
        worn = battery.wear_utok_per_kwh / UTOK_PER_TOKEN if battery else 0.0
        high += [np.full(2 * slots, most), np.array(home.spare_uwh) / UWH_PER_KWH]
        high.append(np.full(slots, full))
        last = np.zeros(4 * slots)
        last[-1] = home.end_uwh / UWH_PER_KWH
        low.append(last)
        cost += [np.full(2 * slots, worn), np.zeros(2 * slots)]
        first = np.zeros(slots)
        first[0] = home.level_uwh / UWH_PER_KWH
        right.append(first)
    tariff = np.array(day.tariff_utok_per_kwh) / UTOK_PER_TOKEN
    cost += [tariff, -np.array(day.feed_in_utok_per_kwh) / UTOK_PER_TOKEN]
    connection = day.grid_mw_max * day.slot_ms / 3600 / UWH_PER_KWH
    high.append(np.full(2 * slots, connection))
    low.append(np.zeros(2 * slots))
    balance = hstack([hstack([one, -one, one, 0 * one])] * count)
    matrix: Any = bmat([[block_diag(levels), None], [balance, hstack([-one, one])]])
    right.append(-np.sum([home.base_uwh for home in homes], axis=0) / UWH_PER_KWH)
    bounds = np.column_stack([np.concatenate(low), np.concatenate(high)])
    found = linprog(
        np.concatenate(cost), A_eq=matrix.tocsr(), b_eq=np.concatenate(right), bounds=bounds
    )
    return float(found.fun)
