"""Plans for a day: the bound is one, and who keeps to his plan is nobody's loser."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import COMMUNITY, Position, SlotBook, StepBudget, Tariff
from hub.market.contracts.day_ahead import DayAhead
from hub.market.planned import least, net_uwh, plan_fault, wear
from messages.scheduling import Battery, Devices, Plan, Task, pack, unpack

SLOTS, SLOT_MS = 6, 3_600_000
ENERGY = st.one_of(st.integers(0, 3), st.integers(0, 10**10))
PRICES = st.lists(st.integers(0, 400_000), min_size=SLOTS, max_size=SLOTS)


def series(numbers: Any) -> Any:
    return st.lists(numbers, min_size=SLOTS, max_size=SLOTS).map(tuple)


@st.composite
def possible(draw: Any) -> tuple[Devices, Plan]:
    """A battery and a task, and a plan that they can do: any flows, cut to what fits."""
    capacity = draw(st.integers(1, 10**10))
    battery = Battery(
        capacity,
        draw(st.integers(1, 10**7)),
        draw(st.integers(1, 100)),
        draw(st.integers(0, 10**5)),
    )
    most = battery.most_uwh(SLOT_MS)
    level = first = draw(st.integers(0, capacity))
    into, out = [], []
    for _ in range(SLOTS):
        taken, given_ = draw(st.integers(0, most)), draw(st.integers(0, most))
        if not 0 <= battery.level_after(level, taken, given_) <= capacity:
            taken = given_ = 0
        level = battery.level_after(level, taken, given_)
        into.append(taken)
        out.append(given_)
    spare = draw(series(ENERGY))
    latest = draw(st.integers(0, SLOTS - 2))
    plan = Plan(
        day_ms=0,
        base_uwh=tuple(draw(st.integers(-(10**10), 10**10)) for _ in range(SLOTS)),
        spare_uwh=spare,
        curtailed_uwh=tuple(draw(st.integers(0, each)) for each in spare),
        charged_uwh=tuple(into),
        discharged_uwh=tuple(out),
        level_uwh=first,
        end_uwh=draw(st.integers(0, level)),
        starts=(draw(st.integers(0, latest)),),
        values_utok_per_kwh=draw(series(st.integers(0, 10**6))),
    )
    return Devices(battery, (Task("n/r", 0, latest, (draw(ENERGY), draw(ENERGY))),)), plan


@settings(max_examples=300)
@given(found=possible(), prices=PRICES)
def test_no_plan_costs_less_than_the_bound_of_any_values(
    found: tuple[Devices, Plan], prices: list[int]
) -> None:
    devices, plan = found
    assert plan_fault(devices, plan, SLOTS, SLOT_MS) == ""
    cost = wear(devices, plan)
    cost += sum(price * net for price, net in zip(prices, net_uwh(devices, plan), strict=True))
    assert least(devices, plan, prices, SLOT_MS) <= cost


@given(found=possible())
def test_what_is_said_is_read_as_it_was(found: tuple[Devices, Plan]) -> None:
    devices, plan = found
    assert unpack(Devices, pack(devices)["content"]) == devices
    assert unpack(Plan, pack(plan)["content"]) == plan


NETS = st.one_of(st.integers(-3, 3), st.integers(-(10**12), 10**12))


@settings(max_examples=200)
@given(
    planned=st.lists(NETS, min_size=1, max_size=6),
    beside=st.lists(st.one_of(st.just(0), NETS), min_size=6, max_size=6),
    prices=st.tuples(*[st.integers(0, 400_000)] * 3).map(sorted),
)
def test_who_keeps_to_his_plan_pays_what_it_says(
    planned: list[int], beside: list[int], prices: list[int]
) -> None:
    feed_in, price, tariff = prices
    names = [f"m{n}" for n in range(len(planned))]
    memory: dict[str, Any] = {
        f"net.0.{name}": (net,) for name, net in zip(names, planned, strict=True)
    }
    memory["day.0"] = {"prices": (price,), "tariff": (tariff,), "feed_in": (feed_in,)}

    def paid(extra: list[int]) -> tuple[dict[str, int], SlotBook]:
        positions = tuple(
            Position(name, name, name, max(-(net + more), 0), max(net + more, 0))
            for name, net, more in zip(names, planned, extra, strict=True)
        )
        book = SlotBook(0, SLOT_MS, positions, Tariff(tariff, feed_in), {"day_slots": 1}, memory)
        clearing = DayAhead().clear(book, StepBudget())
        check_clearing(book, clearing)
        found = settlement(book, clearing)
        assert (found.checks.money_conserved, found.checks.energy_conserved) == (True, True)
        held = dict.fromkeys((*names, COMMUNITY), 0)
        for line in found.lines:
            held[line.account] = held.get(line.account, 0) + line.amount_utok
        return held, book

    by_plan, book = paid([0] * len(names))
    clearing = DayAhead().clear(book, StepBudget())
    assert settlement(book, clearing).checks.limits_kept
    beside = beside[: len(names)]
    now, _ = paid(beside)
    rounding = 4 * len(names) + 8
    for name, more in zip(names, beside, strict=True):
        if more == 0:
            assert abs(now[name] - by_plan[name]) <= rounding
        else:
            assert now[name] <= by_plan[name] + max(-more, 0) * feed_in // 10**9 + rounding
    assert now[COMMUNITY] >= -rounding
