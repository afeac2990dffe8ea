"""sonnenCommunity: members share what is over now, and the rest through one virtual storage.

Paper 002, section 2.1 names it; that its members share a virtual storage is how the company
describes itself. What is over serves what is lacking at one price (`hub.market.sharing`). What then
is still over goes to the storage operator, who owes it: an account of energy and no battery of
anybody's. Who lacks energy later draws on what he put in, for nothing but what the storage loses.

All credits together stay below `capacity_uwh`. When several want to put in more than there is room
for, room is divided in proportion; what finds none is the grid's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hub.market.contract import (
    STORAGE,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    Remainder,
    SlotBook,
    StepBudget,
    Value,
    refuse_call,
)
from hub.market.holdings import held_after
from hub.market.parameters import read, whole
from hub.market.rest import held_back, left_uwh, rest_to_grid
from hub.market.rounding import shares
from hub.market.sharing import PriceRules, deficits, shared, surpluses, told
from hub.market.storing import CREDIT, PPM, comes_out_uwh, credit_of, credits_of, goes_in_uwh


@dataclass(frozen=True, slots=True)
class Rules(PriceRules):
    """What the virtual storage holds, and what comes out again of a million. [uWh, ppm]"""

    capacity_uwh: int = whole(10**13, 0, 10**17)
    efficiency_ppm: int = whole(PPM, 1, PPM)


class CommunityPool:
    """One pool: for now, and for later."""

    name: ClassVar[str] = "community_pool"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Share, then store or draw, then the grid."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(6 * len(book.positions) + len(book.memory))
        price = rules.price_utok_per_kwh(book.tariff)
        matches = shared(surpluses(book), deficits(book), price, budget)
        stored = _stored(rules, book, matches)
        changes = [
            (member, comes_out_uwh(energy, rules.efficiency_ppm) if energy > 0 else energy)
            for member, energy in stored.items()
        ]
        return Clearing(
            matches=matches,
            remainders=tuple(_rest(book, matches, stored)),
            curtailments=held_back(book.positions),
            memory=held_after(book.memory, CREDIT, changes),
            fates=tuple(told(book, matches, {})),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Refuse: the pool serves without asking."""
        budget.spend()
        return refuse_call(self.name, request)


def _rest(
    book: SlotBook, matches: Sequence[Match], stored_uwh: Mapping[str, int]
) -> Iterator[Remainder]:
    """Yield what goes to the storage or comes from it, and what is then the grid's."""
    for row in rest_to_grid(book, matches):
        part = abs(stored_uwh.get(row.member, 0))
        if part:
            yield Remainder(row.member, STORAGE, part, 0)
        if row.energy_uwh > part:
            yield row._replace(energy_uwh=row.energy_uwh - part)


def _stored(rules: Rules, book: SlotBook, matches: Sequence[Match]) -> dict[str, int]:
    """Return what each member puts into the storage; below 0: draws from it. [uWh]"""
    left = left_uwh(book.positions, matches)
    drawn = {
        member: -min(-energy, credit_of(book.memory, member))
        for member, energy in left.items()
        if energy < 0
    }
    over = {member: energy for member, energy in left.items() if energy > 0}
    owed = sum(credit for _, credit in credits_of(book.memory))
    room = goes_in_uwh(max(rules.capacity_uwh - owed, 0), rules.efficiency_ppm)
    parts = shares(min(sum(over.values()), room), list(over.values()))
    return {**drawn, **dict(zip(over, parts, strict=True))}
