"""The day planned ahead of paper 003, section VII.B: a schedule, then a bill for leaving it.

Salian et al., *Review of Blockchain Enabled Decentralized Energy Trading Mechanisms*. Each node
solves its own problem, an aggregator iterates ADMM "until the ADMM finally converges to an optimum
schedule and pricing", and a second contract holds the meters against the schedule.

Here ADMM runs off the ledger (`hub.scheduling`), and this contract believes nothing of it:

    devices   a member's battery and tasks, in his own signature, until he calls anew
    plan      what he will do in each slot of a day; refused where his devices cannot
    propose   prices and what the grid gives and takes, by a key with the office `service`; refused
              where plans do not balance, or could cost `gap_ppm` less in all, or too late

Content: `messages.scheduling`. Which cost is the least nobody has to trust either: prices and the
values in the plans prove a bound that no schedule can be below (`hub.market.planned.least`).

A slot with a schedule settles twice. What the schedule says: as much as sellers and buyers have
between them at the slot's price, in proportion, the rest with the grid at the tariff. What a meter
shows beside it: at the tariff, and `imbalance_utok_per_kwh` on top, to the community's account. So
who keeps to his plan pays what it says, whatever others do. Who has no plan deals with the grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from hub.market.arguments import Arguments
from hub.market.contract import (
    ASK,
    BID,
    CallRequest,
    CallResult,
    Clearing,
    Fate,
    SlotBook,
    StepBudget,
    Tariff,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.parameters import read, whole
from hub.market.planned import devices_fault, least, net_uwh, plan_fault, wear
from hub.market.rest import held_back, rest_to_grid
from hub.market.rounding import KWH_UWH
from hub.market.scheduled import Agreed, levelled, trades
from messages.errors import MalformedMessage
from messages.scheduling import CONTENT, SLOTS_MAX, Devices, Message, Plan, Proposal, pack, unpack
from messages.slots import DAY_MS

DAYS_AHEAD_MAX: Final = 7
"""So that plans for ever and ever do not fill the memory."""
STEPS_PER_SLOT: Final = 8
"""What looking at one slot of one plan takes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a day is, when it is fixed, and what leaving it costs. [slots, mW, ppm, utok per kWh]

    `day_slots` 0: as many as 24 hours have, and not more than `SLOTS_MAX`.
    """

    day_slots: int = whole(0, 0, SLOTS_MAX)
    gate_slots: int = whole(1, 0, SLOTS_MAX)
    imbalance_utok_per_kwh: int = whole(20_000, 0, 100_000_000)
    gap_ppm: int = whole(1_000, 0, 1_000_000)
    grid_mw_max: int = whole(10**12, 0, 10**12)

    def slots(self, length_ms: int) -> int:
        """Return how many slots make a day."""
        return self.day_slots or min(max(DAY_MS // length_ms, 1), SLOTS_MAX)

    def day_of(self, slot_ms: int, length_ms: int) -> int:
        """Return when the day of a slot begins."""
        return slot_ms - slot_ms % (self.slots(length_ms) * length_ms)


class DayAhead:
    """A schedule for a day, checked; deviations from it, billed."""

    name: ClassVar[str] = "day_ahead"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def expected_utok_per_kwh(
        self,
        parameters: Mapping[str, Value],
        memory: Mapping[str, Value],
        slot_ms: int,
        length_ms: int,
    ) -> int | None:
        """Return the price that a day's schedule has for a slot of `length_ms`."""
        day_ms = read(self.name, Rules, parameters).day_of(slot_ms, length_ms)
        day: Any = memory.get(f"day.{day_ms}")
        return None if day is None else day["prices"][(slot_ms - day_ms) // length_ms]

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Settle what was planned, then what the meters show beside it."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(8 * len(book.positions))
        day_ms = rules.day_of(book.slot_ms, book.length_ms)
        place = (book.slot_ms - day_ms) // book.length_ms
        agreed, reason = _agreed(rules, book, day_ms, place)
        bound = tuple(p for p in book.positions if p.member in agreed.nets)
        matches = tuple(trades(bound, agreed.price_utok_per_kwh))
        remainders = rest_to_grid(book, matches)
        memory: dict[str, Value] = {}
        if place == rules.slots(book.length_ms) - 1:
            budget.spend(len(book.memory))
            memory = dict.fromkeys(_rows_until(book.memory, day_ms))
        return Clearing(
            matches=matches,
            remainders=remainders,
            curtailments=held_back(book.positions),
            transfers=tuple(levelled(agreed, book.tariff, bound, matches)),
            memory=memory,
            fates=tuple(_left_out(book, agreed.nets, reason)),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Keep what a member has and plans, or check what an aggregator proposes."""
        budget.spend()
        rules = read(self.name, Rules, request.parameters)
        if request.method == "devices":
            return _devices(rules, request, _content(request, Devices))
        if request.method == "plan":
            budget.spend(STEPS_PER_SLOT * rules.slots(request.length_ms))
            return _plan(rules, request, _content(request, Plan))
        if request.method == "propose":
            return _propose(rules, request, _content(request, Proposal), budget)
        raise CallRefused(f"{self.name} has no call {request.method!r}")


def _content(request: CallRequest, kind: type[Message]) -> Message:
    given = Arguments(request.method, request.arguments)
    raw = given.raw(CONTENT)
    given.check_used()
    try:
        return unpack(kind, raw)
    except MalformedMessage as error:
        raise CallRefused(f"{request.method}: {error}") from None


def _devices(rules: Rules, request: CallRequest, devices: Devices) -> CallResult:
    fault = devices_fault(devices, rules.slots(request.length_ms))
    if fault:
        raise CallRefused(f"devices: {fault}")
    row = None if devices == Devices() else pack(devices)[CONTENT]
    return CallResult((), {f"devices.{request.member}": row}, {"tasks": len(devices.tasks)})


def _plan(rules: Rules, request: CallRequest, plan: Plan) -> CallResult:
    _check_day(rules, request, plan.day_ms)
    devices = _devices_of(request.memory, request.member)
    fault = plan_fault(devices, plan, rules.slots(request.length_ms), request.length_ms)
    if fault:
        raise CallRefused(f"plan: {fault}")
    row = pack(plan)[CONTENT]
    return CallResult((), {f"plan.{plan.day_ms}.{request.member}": row}, {"day_ms": plan.day_ms})


def _check_day(rules: Rules, request: CallRequest, day_ms: int) -> None:
    """Refuse what is no day, too far ahead, past its gate, or scheduled already."""
    day_slots = rules.slots(request.length_ms)
    day_length_ms = day_slots * request.length_ms
    if day_ms % day_length_ms:
        raise CallRefused(f"{day_ms} is no beginning of a day of {day_slots} slots")
    gate_ms = day_ms - rules.gate_slots * request.length_ms
    if request.slot_ms > gate_ms:
        raise CallRefused(
            f"too late: the gate of day {day_ms} closed with slot {gate_ms}, "
            f"the next one is {request.slot_ms}"
        )
    if day_ms > request.slot_ms + DAYS_AHEAD_MAX * day_length_ms:
        raise CallRefused(f"a day is planned at most {DAYS_AHEAD_MAX} days ahead")
    if f"day.{day_ms}" in request.memory:
        raise CallRefused(f"day {day_ms} has its schedule already")


class _Sums(NamedTuple):
    """What plans add up to. `bound`: what no schedule of these members can be below.

    `agendas`: what relays and batteries are to do (`hub.balancing.agenda`).
    """

    nets: dict[str, tuple[int, ...]]
    agendas: dict[str, Value]
    worn: int
    bound: int


def _propose(
    rules: Rules, request: CallRequest, proposal: Proposal, budget: StepBudget
) -> CallResult:
    if "service" not in request.roles:
        raise CallRefused("a day is proposed by a key with the office service")
    _check_day(rules, request, proposal.day_ms)
    _check_form(rules.slots(request.length_ms), proposal)
    size = rules.slots(request.length_ms) * len(proposal.members)
    budget.spend(STEPS_PER_SLOT * size)
    sums = _added_up(rules, request, proposal)
    _check_balance(rules, request, proposal, sums.nets)
    cost = sums.worn + _cost_of_grid(proposal)
    gap = cost - sums.bound
    rounding = size * KWH_UWH
    if gap * 1_000_000 > rules.gap_ppm * abs(sums.bound) + rounding * 1_000_000:
        raise CallRefused(
            f"not converged: the day costs {_up(cost)} utok, and {_up(sums.bound)} may be "
            f"possible; {rules.gap_ppm} ppm are the most"
        )
    if proposal.cost_utok != _up(cost):
        raise CallRefused(f"the day costs {_up(cost)} utok, not {proposal.cost_utok}")
    day = proposal.day_ms
    memory: dict[str, Value] = {f"net.{day}.{name}": nets for name, nets in sums.nets.items()}
    memory |= dict.fromkeys(_rows(request.memory, f"plan.{day}."))
    memory |= {f"schedule.{day}.{name}": agenda for name, agenda in sums.agendas.items()}
    memory[f"day.{day}"] = {
        "prices": proposal.prices_utok_per_kwh,
        "tariff": proposal.tariff_utok_per_kwh,
        "feed_in": proposal.feed_in_utok_per_kwh,
    }
    answer = {"cost_utok": _up(cost), "bound_utok": _up(sums.bound), "members": len(sums.nets)}
    return CallResult((), memory, answer)


def _check_form(day_slots: int, proposal: Proposal) -> None:
    """Refuse series of another length, prices beyond those of the grid, names out of order."""
    series = (
        proposal.prices_utok_per_kwh,
        proposal.tariff_utok_per_kwh,
        proposal.feed_in_utok_per_kwh,
        proposal.import_uwh,
        proposal.export_uwh,
    )
    if any(len(each) != day_slots for each in series):
        raise CallRefused(f"propose: each series has {day_slots} slots")
    for place, (price, tariff, feed_in) in enumerate(zip(*series[:3], strict=True)):
        if not feed_in <= price <= tariff:
            raise CallRefused(
                f"slot {place}: the price {price} is not between feed-in price and tariff, "
                f"{feed_in} and {tariff}"
            )
    if not proposal.members or list(proposal.members) != sorted(set(proposal.members)):
        raise CallRefused("propose: members are named once each, in order")


def _added_up(rules: Rules, request: CallRequest, proposal: Proposal) -> _Sums:
    """Look at every plan again: devices may have changed since."""
    nets: dict[str, tuple[int, ...]] = {}
    agendas: dict[str, Value] = {}
    worn = bound = 0
    for member in proposal.members:
        row = request.memory.get(f"plan.{proposal.day_ms}.{member}")
        if row is None:
            raise CallRefused(f"{member!r} has no plan for day {proposal.day_ms}")
        plan, devices = unpack(Plan, row), _devices_of(request.memory, member)
        fault = plan_fault(devices, plan, rules.slots(request.length_ms), request.length_ms)
        if fault:
            raise CallRefused(f"{member!r}: {fault}")
        nets[member] = net_uwh(devices, plan)
        agendas[member] = _agenda(devices, plan, request.length_ms)
        worn += wear(devices, plan)
        bound += least(devices, plan, proposal.prices_utok_per_kwh, request.length_ms)
    return _Sums(nets, agendas, worn, bound)


def _agenda(devices: Devices, plan: Plan, length_ms: int) -> Value:
    """Return what a member's relays and battery do on the day, slot by slot."""
    return {
        "from_ms": plan.day_ms,
        "slot_ms": length_ms,
        "runs": {
            task.relay: (start, start + len(task.energy_uwh))
            for task, start in zip(devices.tasks, plan.starts, strict=True)
        },
        "battery_uwh": tuple(
            into - out for into, out in zip(plan.charged_uwh, plan.discharged_uwh, strict=True)
        ),
    }


def _check_balance(
    rules: Rules,
    request: CallRequest,
    proposal: Proposal,
    nets: Mapping[str, Sequence[int]],
) -> None:
    """Refuse a slot in which the plans and the grid do not add up to nothing."""
    most = rules.grid_mw_max * request.length_ms // 3600
    flows = zip(proposal.import_uwh, proposal.export_uwh, strict=True)
    for place, (taken, given) in enumerate(flows):
        wanted = sum(each[place] for each in nets.values())
        if min(taken, given) != 0 or taken - given != wanted:
            raise CallRefused(
                f"slot {place}: the plans draw {wanted} uWh from the grid, "
                f"the proposal says {taken} in and {given} out"
            )
        if max(taken, given) > most:
            raise CallRefused(f"slot {place}: {abs(wanted)} uWh, the grid bears {most}")


def _cost_of_grid(proposal: Proposal) -> int:
    """Return what the grid costs. [utok uWh per kWh]"""
    return sum(
        tariff * taken - feed_in * given
        for tariff, feed_in, taken, given in zip(
            proposal.tariff_utok_per_kwh,
            proposal.feed_in_utok_per_kwh,
            proposal.import_uwh,
            proposal.export_uwh,
            strict=True,
        )
    )


def _up(cost: int) -> int:
    """Return whole micro-tokens, rounded up."""
    return -(-cost // KWH_UWH)


def _devices_of(memory: Mapping[str, Value], member: str) -> Devices:
    row = memory.get(f"devices.{member}")
    return Devices() if row is None else unpack(Devices, row)


def _rows(memory: Mapping[str, Value], prefix: str) -> list[str]:
    return [key for key in memory if key.startswith(prefix)]


def _rows_until(memory: Mapping[str, Value], day_ms: int) -> Iterator[str]:
    """Yield the rows of days that are over with this one."""
    for key in memory:
        kind, day, *_ = [*key.split(".", 2), ""]
        if kind in ("plan", "net", "day", "schedule") and int(day) <= day_ms:
            yield key


def _agreed(rules: Rules, book: SlotBook, day_ms: int, place: int) -> tuple[Agreed, str]:
    """Return what was scheduled for a slot, and why others have no part in it."""
    charge = rules.imbalance_utok_per_kwh
    day: Any = book.memory.get(f"day.{day_ms}")
    if day is None:
        return Agreed(0, {}, charge), "the day has no schedule; the grid deals with everybody"
    made_for = Tariff(day["tariff"][place], day["feed_in"][place])
    if made_for[:2] != book.tariff[:2]:
        reason = (
            f"the schedule was made for a tariff of {made_for.price_utok_per_kwh} and a feed-in "
            f"price of {made_for.feed_in_utok_per_kwh}; the grid deals with everybody"
        )
        return Agreed(0, {}, charge), reason
    nets: dict[str, int] = {}
    for p in book.positions:
        row: Any = book.memory.get(f"net.{day_ms}.{p.member}")
        if row is not None:
            nets[p.member] = row[place]
    reason = "not in the day's schedule; dealt with the grid alone"
    return Agreed(book.tariff.bounded(day["prices"][place]), nets, charge), reason


def _left_out(book: SlotBook, nets: Mapping[str, int], reason: str) -> Iterator[Fate]:
    """Tell those without a schedule why the grid dealt with them."""
    price, feed_in = book.tariff[:2]
    for p in book.positions:
        if p.member not in nets and p.deficit_uwh:
            yield Fate(p.member, "", BID, p.deficit_uwh, price, 0, reason)
        if p.member not in nets and p.surplus_uwh:
            yield Fate(p.member, "", ASK, p.surplus_uwh, feed_in, 0, reason)
