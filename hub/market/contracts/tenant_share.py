"""Key2Energy: one roof's energy, shared among the tenants below it; the rest is sold.

Paper 003, section VIII.C: "share the solar energy generated, amongst all the tenants in
multi-apartment building societies and hence cut down on the cost ... In situations of surplus
generation, the energy can be sold on the market": here, to the grid at the feed-in price.

`roof` names the members whose energy is the house's; none named: all who have some over. Tenants
get it by what they lack (`by = "need"`) or in equal parts, nobody more than he lacks (`"equal"`).
A roof can belong to several members: with `owners`, what it earned goes to them by shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from hub.market.contract import (
    CallRequest,
    CallResult,
    Clearing,
    Remainder,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
    refuse_call,
)
from hub.market.parameters import choice, listed, read, weighed, weights_complaint, words
from hub.market.rest import with_grid
from hub.market.rounding import amount_utok, shares
from hub.market.sharing import PriceRules, Side, deficits, matched, shared, told


@dataclass(frozen=True, slots=True)
class Rules(PriceRules):
    """Whose energy is shared, how, and who earns. `owners`: "ann:60, bob:40"."""

    roof: str = words("")
    by: str = choice("need", "equal")
    owners: str = words("", weights_complaint)


class TenantShare:
    """A roof serves its tenants first, the grid gets the rest."""

    name: ClassVar[str] = "tenant_share"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Share the roof's energy and pass on what it earned."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(4 * len(book.positions))
        roof = listed(rules.roof) or tuple(p.member for p in book.positions)
        gives = Side(
            book.positions, [p.surplus_uwh if p.member in roof else 0 for p in book.positions]
        )
        takes, price = deficits(book), rules.price_utok_per_kwh(book.tariff)
        if rules.by == "equal" and price is not None:
            whole = min(sum(gives.energies_uwh), sum(takes.energies_uwh))
            parts = equal_parts(whole, takes.energies_uwh, budget)
            given = shares(whole, gives.energies_uwh)
            matches = matched(gives.positions, takes.positions, given, parts, price)
        else:
            matches = shared(gives, takes, price, budget)
        cleared = with_grid(book, matches, fates=told(book, matches, {}))
        return replace(cleared, transfers=tuple(_passed_on(rules, book, cleared, roof)))

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Refuse: tenants are served without asking."""
        budget.spend()
        return refuse_call(self.name, request)


def equal_parts(whole: int, wanted: Sequence[int], budget: StepBudget) -> list[int]:
    """Divide a whole equally, but give nobody more than he wants; what is left, again.

    >>> equal_parts(10, [1, 20, 20], StepBudget())
    [1, 5, 4]
    """
    got = [0] * len(wanted)
    left = min(whole, sum(wanted))
    while left:
        budget.spend(len(wanted))
        parts = shares(left, [int(have < want) for have, want in zip(got, wanted, strict=True)])
        for place, part in enumerate(parts):
            got[place] += min(part, wanted[place] - got[place])
        left = min(whole, sum(wanted)) - sum(got)
    return got


def _passed_on(
    rules: Rules, book: SlotBook, cleared: Clearing, roof: Sequence[str]
) -> Iterator[Transfer]:
    """Yield what goes from the roof to its owners; the part of one without an account stays."""
    owners = weighed(rules.owners)
    known = {p.member for p in book.positions} | book.balances.keys()
    sold: list[tuple[str, int]] = [
        (match.seller, amount_utok(match.energy_uwh, match.price_utok_per_kwh))
        for match in cleared.matches
    ]
    sold += [
        (row.member, amount_utok(row.energy_uwh, row.price_utok_per_kwh))
        for row in _fed_in(book, cleared.remainders)
    ]
    for member in roof if owners else ():
        earned = sum(amount for seller, amount in sold if seller == member)
        parts = zip(owners, shares(max(earned, 0), list(owners.values())), strict=True)
        for owner, part in parts:
            if part and owner != member and owner in known:
                yield Transfer(member, owner, part, "share of the roof")


def _fed_in(book: SlotBook, rows: Sequence[Remainder]) -> Iterator[Remainder]:
    giving = {p.member for p in book.positions if p.surplus_uwh}
    return (row for row in rows if row.member in giving)
