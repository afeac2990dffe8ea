"""Bankymoon: a meter that takes what was paid before, and gives notice before it is used up.

Paper 003, section VIII.H: "Blockchain enabled meters that need to be preloaded with cryptocurrency
in order to be used. Once loaded, the meter permits the equivalent amount of energy to be consumed".
Everybody buys from the base-load supplier at the tariff, out of the credit that the bank loaded;
what is over is the grid's. Who has less than `notice_utok` left gets a friendly notice on his bill;
who has nothing is `empty`, and is told that his supply ends.

    top_up  member, amount_utok   by a key with the office of the bank: mints

Memory: "supply.<member>" is "low" or "empty"; no row: there is credit. What was used before a relay
had opened is owed: credit can fall below 0, and the next top-up pays it first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.arguments import Arguments
from hub.market.contract import (
    BANK,
    BID,
    SUPPLIER,
    CallRequest,
    CallResult,
    Clearing,
    Fate,
    Position,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.parameters import read, whole
from hub.market.rest import held_back, rest_to_grid
from hub.market.rounding import amount_utok
from hub.market.serving import Methods, check_office, serve

LOW: Final = "low"
EMPTY: Final = "empty"


@dataclass(frozen=True, slots=True)
class Rules:
    """Below which credit there is notice. [utok]"""

    notice_utok: int = whole(1_000_000, 0, 10**15)

    def supply(self, credit_utok: int) -> str:
        """Return how it stands with so much credit; "" where all is well."""
        if credit_utok <= 0:
            return EMPTY
        return LOW if credit_utok < self.notice_utok else ""


class Prepaid:
    """Load first, use then; notice before the end."""

    name: ClassVar[str] = "prepaid"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Take what was used off the credit, and tell whose is low."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(4 * len(book.positions))
        after = {p.member: _credit_after(book, p) for p in book.positions}
        return Clearing(
            remainders=rest_to_grid(book, (), source=SUPPLIER),
            curtailments=held_back(book.positions),
            memory=dict(_changed(rules, book.memory, after)),
            fates=tuple(_notices(rules, book, after)),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Load credit."""
        budget.spend()
        rules = read(self.name, Rules, request.parameters)
        return serve(self.name, _METHODS, rules, request)


def _credit_after(book: SlotBook, position: Position) -> int:
    """Return what a member's account holds once the slot is paid. [utok]"""
    paid = amount_utok(position.deficit_uwh, book.tariff.price_utok_per_kwh)
    earned = amount_utok(position.surplus_uwh, book.tariff.feed_in_utok_per_kwh)
    return book.balances.get(position.member, 0) - paid + earned


def _changed(
    rules: Rules, memory: Mapping[str, Value], credits_utok: Mapping[str, int]
) -> Iterator[tuple[str, Value]]:
    for member, credit in credits_utok.items():
        key, now = f"supply.{member}", rules.supply(credit) or None
        if memory.get(key) != now:
            yield key, now


def _notices(rules: Rules, book: SlotBook, credits_utok: Mapping[str, int]) -> Iterator[Fate]:
    """Tell who drew energy and has little credit left, or none."""
    price = book.tariff.price_utok_per_kwh
    for p in book.positions:
        credit = credits_utok[p.member]
        supply = rules.supply(credit)
        if p.deficit_uwh and supply:
            notice = f"notice: {credit} utok of credit are left, please load more"
            reason = notice if supply == LOW else f"no credit is left ({credit} utok): supply ends"
            yield Fate(p.member, "", BID, p.deficit_uwh, price, 0, reason)


def _top_up(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    check_office(request, "bank")
    member, amount = given.text("member"), given.whole("amount_utok", 1, 10**15)
    credit = request.balances.get(member, 0) + amount
    return CallResult(
        (Transfer(BANK, member, amount, "credit loaded"),),
        dict(_changed(rules, request.memory, {member: credit})),
        {"credit_utok": credit},
    )


_METHODS: Final[Methods[Rules]] = {"top_up": _top_up}
