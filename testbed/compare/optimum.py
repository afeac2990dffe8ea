"""What no market can beat, by linear programs that HiGHS solves (Huangfu and Hall 2018).

Floats, since a solver has nothing else: these are yardsticks for reports, never money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hub.market.contract import Position, Tariff
from testbed.compare.community import Community, limits
from testbed.compare.members import Member
from testbed.errors import BadComparison

UWH_PER_KWH = 1e9
UTOK_PER_TOKEN = 1e6
VARIABLES_MAX = 400_000
"""Beyond, the least cost is left out: it would take minutes."""


class Trade(NamedTuple):
    """One side of one slot: up to so much, worth so much to him. [kWh, tokens per kWh]"""

    slot: int
    is_bid: bool
    energy_kwh: float
    price: float


def trades_of(
    slot: int, positions: Sequence[Position], community: Community, tariff: Tariff
) -> list[Trade]:
    """Return what everybody could buy or sell in a slot, at his own limits."""
    found = []
    members = community.members
    for position in positions:
        bid, ask = limits(members[position.member], tariff)
        if position.deficit_uwh:
            energy = position.deficit_uwh / UWH_PER_KWH
            found.append(Trade(slot, True, energy, bid / UTOK_PER_TOKEN))
        elif position.surplus_uwh:
            energy = position.surplus_uwh / UWH_PER_KWH
            found.append(Trade(slot, False, energy, ask / UTOK_PER_TOKEN))
    return found


def most_welfare(trades: Sequence[Trade]) -> float:
    """Return the largest sum of (buyer's limit - seller's limit) x energy over all slots. [tokens]

    In each slot as much is bought as sold, nobody more than he lacks or has. All slots are one
    program; they do not touch each other.
    """
    if not trades:
        return 0.0
    slots = {slot: row for row, slot in enumerate(sorted({trade.slot for trade in trades}))}
    sign = [1.0 if trade.is_bid else -1.0 for trade in trades]
    worth = [way * trade.price for way, trade in zip(sign, trades, strict=True)]
    cells = [
        (way, slots[trade.slot], column)
        for column, (way, trade) in enumerate(zip(sign, trades, strict=True))
    ]
    bounds = [(0.0, trade.energy_kwh) for trade in trades]
    found = _solve([-each for each in worth], cells, [0.0] * len(slots), bounds)
    return -float(found.fun)


class Cooperation(NamedTuple):
    """What one house of all homes pays and buys outside, and what homes give each other in it."""

    cost_tokens: float
    import_kwh: float
    traded_kwh: float


def least_cost(community: Community, tariffs: Sequence[Tariff]) -> Cooperation | None:
    """Return what it costs least if the community acts as one and knows the future.

    All homes behind one meter, every battery free to serve anybody; it begins empty. None where
    the program would be too large. Of schedules that cost the same the solver picks one.
    """
    stores = [each.member for each in community.households if each.member.battery is not None]
    if (3 * len(stores) + 2) * community.slots > VARIABLES_MAX:
        return None
    nets = {
        each.member.home: [
            (used - made) / UWH_PER_KWH
            for used, made in zip(each.consumption_uwh, each.generation_uwh, strict=True)
        ]
        for each in community.households
    }
    total = [sum(slot) for slot in zip(*nets.values(), strict=True)]
    if stores:
        found = _with_batteries(total, stores, tariffs, community.slot_ms)
        cost, columns = float(found.fun), [float(each) for each in found.x]
        _add_batteries(nets, stores, columns[2 * community.slots :])
        bought = sum(columns[: community.slots])
    else:
        cost = sum(
            energy * (each.price_utok_per_kwh if energy > 0 else each.feed_in_utok_per_kwh)
            for energy, each in zip(total, tariffs, strict=True)
        )
        cost, bought = cost / UTOK_PER_TOKEN, sum(max(energy, 0.0) for energy in total)
    lacked = sum(max(energy, 0.0) for net in nets.values() for energy in net)
    return Cooperation(cost, bought, lacked - bought)


def _add_batteries(
    nets: dict[str, list[float]], stores: Sequence[Member], columns: Sequence[float]
) -> None:
    """Add what each battery takes and gives, slot by slot, to its home's net."""
    for place, member in enumerate(stores):
        net = nets[member.home]
        first = 3 * len(net) * place
        for slot in range(len(net)):
            net[slot] += columns[first + slot] - columns[first + len(net) + slot]


def _with_batteries(
    net: list[float], stores: list[Member], tariffs: Sequence[Tariff], slot_ms: int
) -> Any:
    """Columns: import, export, then charge, discharge, level of each battery, slot by slot.

    Curtailing is export at a price of 0 or more, so it needs no column.
    """
    slots = len(net)
    cost = [each.price_utok_per_kwh / UTOK_PER_TOKEN for each in tariffs]
    cost += [-each.feed_in_utok_per_kwh / UTOK_PER_TOKEN for each in tariffs]
    most_uwh = sum(each.battery.per_slot_uwh(slot_ms) for each in stores if each.battery)
    most_kwh = most_uwh / UWH_PER_KWH
    bounds = [(0.0, max(energy, 0.0) + most_kwh) for energy in net]
    bounds += [(0.0, max(-energy, 0.0) + most_kwh) for energy in net]
    cells = [(1.0, slot, slot) for slot in range(slots)]
    cells += [(-1.0, slot, slots + slot) for slot in range(slots)]
    right = list(net)
    for member in stores:
        battery = member.battery
        if battery is None:
            raise AssertionError("only members with a battery are asked")
        first, row = len(cost), len(right)
        keeps = battery.efficiency_percent / 100
        most = battery.per_slot_uwh(slot_ms) / UWH_PER_KWH
        cost += [0.0] * (3 * slots)
        bounds += [(0.0, most)] * (2 * slots)
        bounds += [(0.0, battery.capacity_uwh / UWH_PER_KWH)] * slots
        right += [0.0] * slots
        for slot in range(slots):
            charge, discharge, level = (first + part * slots + slot for part in range(3))
            cells += [(-1.0, slot, charge), (1.0, slot, discharge)]
            cells += [(keeps, row + slot, charge), (-1 / keeps, row + slot, discharge)]
            cells += [(-1.0, row + slot, level)]
            if slot:
                cells.append((1.0, row + slot, level - 1))
    return _solve(cost, cells, right, bounds)


def _solve(
    cost: list[float],
    cells: list[tuple[float, int, int]],
    right: list[float],
    bounds: Sequence[tuple[float, float]],
) -> Any:
    from scipy.optimize import linprog  # noqa: PLC0415 - takes half a second to load
    from scipy.sparse import csr_matrix  # noqa: PLC0415

    values, rows, columns = zip(*cells, strict=True)
    matrix = csr_matrix((values, (rows, columns)), shape=(len(right), len(cost)))
    found = linprog(cost, A_eq=matrix, b_eq=right, bounds=bounds, method="highs")
    if not found.success:
        raise BadComparison(f"HiGHS found no optimum: {found.message}")
    return found
