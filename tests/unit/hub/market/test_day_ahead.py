"""The day planned ahead: what is refused and why, what a plan costs, what leaving it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import (
    COMMUNITY,
    GRID,
    Clearing,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
)
from hub.market.contracts.day_ahead import DayAhead
from hub.market.errors import BudgetExceeded, CallRefused
from hub.market.rounding import amount_utok
from hub.scheduling.rounds import schedule
from messages.scheduling import Battery, Devices, Plan, Proposal, Task
from tests.support.planned_street import (
    DAY,
    DAY_MS,
    DEAR,
    FEED_IN,
    HOMES,
    HOUR_MS,
    KWH,
    Street,
)

IMBALANCE = 30_000
NAMES = ("ann", "bob", "cid")


@pytest.fixture
def street() -> Street:
    return Street()


def raised(numbers: tuple[int, ...], place: int, by: int) -> tuple[int, ...]:
    return tuple(each + by * (here == place) for here, each in enumerate(numbers))


def accounts(book: SlotBook, clearing: Clearing) -> dict[str, int]:
    check_clearing(book, clearing)
    settled = settlement(book, clearing)
    assert settled.checks.money_conserved
    assert settled.checks.energy_conserved
    held: dict[str, int] = {}
    for line in settled.lines:
        held[line.account] = held.get(line.account, 0) + line.amount_utok
    return held


# What a member may say


@pytest.mark.parametrize(
    ("devices", "why"),
    [
        (Devices(Battery(0, 1, 95, 0)), "a battery holds"),
        (Devices(Battery(KWH, 0, 95, 0)), "a power of"),
        (Devices(Battery(KWH, 1, 101, 0)), "keeps 1 to 100 %"),
        (Devices(Battery(KWH, 1, 95, -1)), "wear costs"),
        (Devices(None, (Task("n/r", 3, 3, (1, 1)),)), "early enough to end in it"),
        (Devices(None, (Task("n/r", 2, 1, (1,)),)), "early enough to end in it"),
        (Devices(None, (Task("n/r", 0, 1, ()),)), "early enough to end in it"),
        (Devices(None, (Task("n/r", 0, 1, (-1,)),)), "a slot takes"),
        (Devices(None, (Task("", 0, 1, (1,)),)), "has a name"),
        (Devices(None, (Task("n/r", 0, 1, (1,)),) * 2), "one a relay"),
    ],
)
def test_devices_that_nobody_has_are_refused(street: Street, devices: Devices, why: str) -> None:
    with pytest.raises(CallRefused, match=why):
        street.call("dan", devices)
    assert street.memory == {}


def test_devices_last_until_said_anew(street: Street) -> None:
    street.call("ann", HOMES[0].devices)
    assert list(street.memory) == ["devices.ann"]
    street.call("ann", Devices())
    assert street.memory == {}


Change = Callable[[Plan], Plan]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: replace(p, base_uwh=p.base_uwh[:3]), "each series has 4 slots"),
        (lambda p: replace(p, base_uwh=(10**16, 0, 0, 0)), "a slot has at most"),
        (lambda p: replace(p, values_utok_per_kwh=(-1, 0, 0, 0)), "a value is"),
        (lambda p: replace(p, curtailed_uwh=(1, 0, 0, 0)), "slot 0: 1 uWh curtailed of 0"),
        (lambda p: replace(p, curtailed_uwh=(0, -1, 0, 0)), "slot 1: -1 uWh curtailed"),
        (lambda p: replace(p, charged_uwh=(0, 2 * KWH + 1, 0, 0)), "slot 1: .* at most 2000000000"),
        (lambda p: replace(p, discharged_uwh=(-1, 0, 0, 0)), "slot 0: .* -1 out"),
        (lambda p: replace(p, charged_uwh=(2 * KWH,) * 4), "slot 1: the battery would hold"),
        (
            lambda p: replace(p, charged_uwh=(0,) * 4, discharged_uwh=(KWH, KWH, 0, 0)),
            "slot 1: the battery would hold -",
        ),
        (lambda p: replace(p, charged_uwh=(0,) * 4, discharged_uwh=(1, 0, 0, 0)), "ends with"),
        (lambda p: replace(p, level_uwh=4 * KWH + 1), "holds 0 to 4000000000"),
        (lambda p: replace(p, starts=(1,)), "0 tasks are done once each, 1 are planned"),
        (lambda p: replace(p, day_ms=DAY_MS + HOUR_MS), "no beginning of a day"),
        (lambda p: replace(p, day_ms=10 * DAY_MS), "at most 7 days ahead"),
    ],
)
def test_plans_that_devices_cannot_do_are_refused(street: Street, change: Change, why: str) -> None:
    street.call("ann", HOMES[0].devices)
    known = dict(street.memory)
    with pytest.raises(CallRefused, match=why):
        street.call("ann", change(street.planned.plans["ann"]))
    assert street.memory == known


@pytest.mark.parametrize(("starts", "why"), [((0,), "not in 0"), ((3,), "not in 3"), ((), "once")])
def test_a_task_is_done_once_and_in_its_time(
    street: Street, starts: tuple[int, ...], why: str
) -> None:
    street.call("bob", HOMES[1].devices)
    with pytest.raises(CallRefused, match=why):
        street.call("bob", replace(street.planned.plans["bob"], starts=starts))


def test_nobody_plans_a_battery_that_he_has_not(street: Street) -> None:
    with pytest.raises(CallRefused, match="there is no battery"):
        street.call("cid", street.planned.plans["ann"])


def test_content_of_another_form_is_refused(street: Street) -> None:
    plan = street.planned.plans["cid"]
    with pytest.raises(CallRefused, match="plan: Plan: "):
        street.call("cid", Devices(), method="plan")
    with pytest.raises(CallRefused, match="plan needs content"):
        street.call("cid", plan, arguments={})
    with pytest.raises(CallRefused, match="no argument 'more'"):
        street.call("cid", plan, arguments={"content": b"\xa0", "more": 1})
    with pytest.raises(CallRefused, match="no call 'order'"):
        street.call("cid", plan, method="order")


# What an aggregator may propose


def test_a_proposal_is_accepted_with_its_cost_and_its_bound(street: Street) -> None:
    street.plan_all()
    result = street.call("aggregator", street.planned.proposal)
    assert result.answer["cost_utok"] == street.planned.proposal.cost_utok
    assert result.answer["members"] == 3
    gap = street.planned.proposal.cost_utok - int(str(result.answer["bound_utok"]))
    assert 0 <= gap <= street.planned.proposal.cost_utok // 1000
    kept = {"devices.ann", "devices.bob", f"day.{DAY_MS}"}
    kept |= {f"{row}.{DAY_MS}.{name}" for row in ("net", "schedule") for name in NAMES}
    assert set(street.memory) == kept


def test_an_accepted_day_says_what_relays_and_batteries_are_to_do(street: Street) -> None:
    street.plan_all()
    assert not [key for key in street.memory if key.startswith("schedule.")]
    street.call("aggregator", street.planned.proposal)
    start = street.planned.plans["bob"].starts[0]
    ann, bob, cid = (street.memory[f"schedule.{DAY_MS}.{name}"] for name in NAMES)
    assert bob == {
        "from_ms": DAY_MS,
        "slot_ms": HOUR_MS,
        "runs": {"bob/washer": (start, start + 2)},
        "battery_uwh": (0, 0, 0, 0),
    }
    plan = street.planned.plans["ann"]
    moved = zip(plan.charged_uwh, plan.discharged_uwh, strict=True)
    assert ann == {**bob, "runs": {}, "battery_uwh": tuple(into - out for into, out in moved)}
    assert cid == {**bob, "runs": {}}


def _dropped(proposal: Proposal) -> Proposal:
    return replace(proposal, members=("ann", "bob"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: replace(p, import_uwh=raised(p.import_uwh, 3, 1)), "slot 3: the plans draw"),
        (lambda p: replace(p, export_uwh=raised(p.export_uwh, 0, 1)), "slot 0: the plans draw"),
        (
            lambda p: replace(
                p, import_uwh=raised(p.import_uwh, 0, 1), export_uwh=raised(p.export_uwh, 0, 1)
            ),
            "slot 0: the plans draw",
        ),
        (_dropped, "the plans draw"),
        (lambda p: replace(p, members=(*p.members, "eve")), "'eve' has no plan"),
        (lambda p: replace(p, members=()), "named once each, in order"),
        (lambda p: replace(p, members=("bob", "ann", "cid")), "named once each, in order"),
        (lambda p: replace(p, members=("ann", "ann", "bob", "cid")), "named once each"),
        (lambda p: replace(p, cost_utok=p.cost_utok - 1), "the day costs"),
        (lambda p: replace(p, prices_utok_per_kwh=p.prices_utok_per_kwh[:3]), "has 4 slots"),
        (
            lambda p: replace(p, prices_utok_per_kwh=raised(p.tariff_utok_per_kwh, 2, 1)),
            "slot 2: the price 400001 is not between",
        ),
        (
            lambda p: replace(p, prices_utok_per_kwh=raised(p.feed_in_utok_per_kwh, 1, -1)),
            "is not between",
        ),
        (lambda p: replace(p, prices_utok_per_kwh=p.feed_in_utok_per_kwh), "not converged"),
    ],
)
def test_proposals_that_are_wrong_are_refused(
    street: Street, change: Callable[[Proposal], Proposal], why: str
) -> None:
    street.plan_all()
    known = dict(street.memory)
    with pytest.raises(CallRefused, match=why):
        street.call("aggregator", change(street.planned.proposal))
    assert street.memory == known


def test_a_schedule_of_too_few_rounds_is_not_converged() -> None:
    street = Street(planned=schedule(HOMES, DAY, rounds_max=1))
    street.plan_all()
    with pytest.raises(CallRefused, match="not converged: the day costs"):
        street.call("aggregator", street.planned.proposal)
    street.parameters["gap_ppm"] = 1_000_000
    street.call("aggregator", street.planned.proposal)


def test_values_made_up_cannot_hide_a_dear_plan(street: Street) -> None:
    """A battery that idles: whatever values its owner names, the bound does not reach the cost."""
    street.plan_all()
    idle = replace(street.planned.plans["ann"], charged_uwh=(0,) * 4, discharged_uwh=(0,) * 4)
    nets = [sum(slot) for slot in zip(*(idle.base_uwh, (KWH,) * 4, (KWH,) * 4), strict=True)]
    for place in (0, 1):
        nets[street.planned.plans["bob"].starts[0] + place] += KWH
    taken, given = tuple(max(n, 0) for n in nets), tuple(max(-n, 0) for n in nets)
    proposal = replace(street.planned.proposal, import_uwh=taken, export_uwh=given, cost_utok=0)
    for values in ((0,) * 4, (DEAR,) * 4, street.planned.plans["ann"].values_utok_per_kwh):
        street.call("ann", replace(idle, values_utok_per_kwh=values))
        with pytest.raises(CallRefused, match="not converged"):
            street.call("aggregator", proposal)


def test_only_a_service_proposes(street: Street) -> None:
    street.plan_all()
    with pytest.raises(CallRefused, match="office service"):
        street.call("ann", street.planned.proposal)


def test_what_comes_after_the_gate_is_too_late(street: Street) -> None:
    street.call("cid", street.planned.plans["cid"], slot_ms=DAY_MS - HOUR_MS)
    for message in (street.planned.plans["cid"], street.planned.proposal):
        with pytest.raises(CallRefused, match="too late: the gate of day 14400000 closed"):
            street.call("aggregator", message, slot_ms=DAY_MS)


def test_a_day_has_one_schedule(street: Street) -> None:
    street.accepted()
    for message in (street.planned.plans["cid"], street.planned.proposal):
        with pytest.raises(CallRefused, match="has its schedule already"):
            street.call("aggregator", message)


def test_devices_taken_away_end_a_plan(street: Street) -> None:
    street.plan_all()
    street.call("ann", Devices())
    with pytest.raises(CallRefused, match="'ann': there is no battery"):
        street.call("aggregator", street.planned.proposal)


def test_the_connection_bears_no_more_than_the_policy_says(street: Street) -> None:
    street.parameters["grid_mw_max"] = 1_000_000
    street.plan_all()
    with pytest.raises(CallRefused, match="the grid bears 1000000000"):
        street.call("aggregator", street.planned.proposal)


def test_long_proposals_spend_steps(street: Street) -> None:
    street.plan_all()
    with pytest.raises(BudgetExceeded):
        street.call("aggregator", street.planned.proposal, budget=StepBudget(90))


# What it costs


def scheduled_utok(street: Street, slot: int) -> dict[str, int]:
    """What each pays by the schedule alone: shares of what stays within, the rest at the tariff."""
    book = street.book(slot)
    return {k: v for k, v in accounts(book, street.clear(book)).items() if k != GRID}


@pytest.mark.parametrize("slot", range(4))
def test_who_keeps_to_his_plan_deals_at_the_days_price(street: Street, slot: int) -> None:
    street.accepted()
    book = street.book(slot)
    clearing = street.clear(book)
    price = street.planned.proposal.prices_utok_per_kwh[slot]
    assert {match.price_utok_per_kwh for match in clearing.matches} <= {price}
    assert (clearing.transfers, clearing.fates) == ((), ())
    checks = settlement(book, clearing).checks
    assert checks.limits_kept
    assert checks.welfare_utok_uwh_per_kwh == checks.optimum_utok_uwh_per_kwh


def test_the_day_costs_what_the_proposal_says(street: Street) -> None:
    street.accepted()
    worn = sum(
        sum(plan.charged_uwh) + sum(plan.discharged_uwh) for plan in street.planned.plans.values()
    )
    paid = -sum(sum(scheduled_utok(street, slot).values()) for slot in range(4))
    assert paid + worn * 100 // KWH == pytest.approx(street.planned.proposal.cost_utok, abs=24)


def test_a_deviation_is_his_alone_and_costs_what_is_stated(street: Street) -> None:
    """Ann feeds in less than planned, cid draws more, and bob pays as if nothing was."""
    street.accepted()
    slot = 2
    planned = scheduled_utok(street, slot)
    beside = {"ann": KWH // 2, "cid": KWH // 4}
    book = street.book(slot, beside)
    clearing = street.clear(book)
    now = accounts(book, clearing)
    assert now["bob"] == pytest.approx(planned["bob"], abs=3)
    for member, energy in beside.items():
        extra = amount_utok(energy, DEAR) + amount_utok(energy, IMBALANCE)
        assert now[member] == pytest.approx(planned[member] - extra, abs=3)
        reason = f"{energy} uWh beside his plan"
        assert Transfer(member, COMMUNITY, amount_utok(energy, IMBALANCE), reason) in (
            clearing.transfers
        )
    assert now[COMMUNITY] >= amount_utok(KWH * 3 // 4, IMBALANCE) - 3
    assert "bob" not in settlement(book, clearing).checks.losers


def test_leaving_a_plan_can_cost_more_than_the_grid_alone(street: Street) -> None:
    street.accepted()
    book = street.book(2, {"cid": -3 * KWH // 4})
    assert settlement(book, street.clear(book)).checks.losers == ("cid",)


def test_energy_beyond_the_plan_earns_the_feed_in_price_less_the_charge(street: Street) -> None:
    street.accepted()
    planned = scheduled_utok(street, 2)
    book = street.book(2, {"cid": -KWH // 2})
    now = accounts(book, street.clear(book))
    gain = amount_utok(KWH // 2, FEED_IN) - amount_utok(KWH // 2, IMBALANCE)
    assert now["cid"] == pytest.approx(planned["cid"] + gain, abs=3)


def moved(book: SlotBook, member: str, **changes: Any) -> SlotBook:
    rows = tuple(p._replace(**changes) if p.member == member else p for p in book.positions)
    return replace(book, positions=rows)


def test_an_estimate_is_not_charged_for(street: Street) -> None:
    street.accepted()
    book = moved(street.book(2, {"cid": KWH}), "cid", estimated=True)
    assert not [t for t in street.clear(book).transfers if "beside his plan" in t.reason]


def test_what_open_relays_held_back_is_no_deviation_of_his(street: Street) -> None:
    street.accepted()
    book = moved(street.book(2, {"cid": -KWH // 2}), "cid", held_uwh=KWH // 2)
    assert not [t for t in street.clear(book).transfers if "beside his plan" in t.reason]


def test_who_joins_during_the_day_deals_with_the_grid_and_hears_why(street: Street) -> None:
    street.accepted()
    book = street.book(2, {"dan": KWH, "eve": -KWH})
    clearing = street.clear(book)
    now = accounts(book, clearing)
    assert (now["dan"], now["eve"]) == (-DEAR, FEED_IN)
    told = {fate.member: (fate.side, fate.reason) for fate in clearing.fates}
    reason = "not in the day's schedule; dealt with the grid alone"
    assert told == {"dan": ("bid", reason), "eve": ("ask", reason)}


def test_without_a_schedule_everybody_deals_with_the_grid_and_hears_why(street: Street) -> None:
    book = street.book(1, {"ann": -KWH, "bob": KWH, "cid": 0})
    clearing = street.clear(book)
    now = accounts(book, clearing)
    assert now == {"ann": FEED_IN, "bob": -DEAR, GRID: DEAR - FEED_IN}
    assert {fate.reason for fate in clearing.fates} == {
        "the day has no schedule; the grid deals with everybody"
    }


def test_a_schedule_for_another_tariff_does_not_count(street: Street) -> None:
    street.accepted()
    book = replace(street.book(1), tariff=Tariff(DEAR + 1, FEED_IN))
    clearing = street.clear(book)
    assert clearing.matches == ()
    assert "made for a tariff of 400000" in clearing.fates[0].reason


def test_a_day_that_is_over_is_forgotten(street: Street) -> None:
    street.accepted()
    later = replace(street.planned.plans["cid"], day_ms=2 * DAY_MS)
    street.call("cid", later)
    for slot in range(4):
        street.remember(street.clear(street.book(slot)).memory)
    assert set(street.memory) == {"devices.ann", "devices.bob", f"plan.{2 * DAY_MS}.cid"}


def test_a_member_who_left_takes_his_plan_along(street: Street) -> None:
    street.accepted()
    book = street.book(2)
    book = replace(book, positions=tuple(p for p in book.positions if p.member != "ann"))
    clearing = street.clear(book)
    assert accounts(book, clearing)["cid"] == -amount_utok(street.net_uwh("cid", 2), DEAR)
    assert clearing.matches == ()


def test_an_empty_slot_clears() -> None:
    book = SlotBook(0, HOUR_MS, (Position("ann", "a", "a", 0, 0),), Tariff(1, 0), {}, {})
    assert DayAhead().clear(book, StepBudget()) == Clearing()
