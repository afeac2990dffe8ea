"""PWR: energy is stored first and transferred then; a token for every MWh.

Paper 003, section VIII.A: "store the energy produced and then transfer it to the destination host
... one PWRToken ... to 1 Mwh. This can be traded on various exchange markets". Who stores gets
tokens for what comes out again; who holds tokens draws from the storage, as its own signed meter
shows (`hub.market.storing`). What a token is sold for is settled between people, elsewhere.

    transfer  to, millionths   of a token: with 1 MWh a token, a millionth is a watt-hour

A storage that gives less than is asked for gives it in proportion. `fee_utok_per_kwh` is the
operator's, for what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.arguments import Arguments
from hub.market.contract import (
    ASK,
    BID,
    CallRequest,
    CallResult,
    Clearing,
    Fate,
    Match,
    SlotBook,
    StepBudget,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.fees import operator_fees
from hub.market.holdings import held_after
from hub.market.parameters import read, whole
from hub.market.rest import with_grid
from hub.market.serving import Methods, check_account, serve
from hub.market.sharing import Side, shared
from hub.market.storing import (
    CREDIT,
    StorageRules,
    credit_of,
    credits_of,
    storage_of,
    store,
)


@dataclass(frozen=True, slots=True)
class Rules(StorageRules):
    """How much energy a token is, and what drawing it costs. [Wh, utok per kWh]"""

    token_wh: int = whole(1_000_000, 1, 10**9)
    fee_utok_per_kwh: int = whole(0, 0, 10**8)


class StorageTransfer:
    """Store, pass tokens on, draw."""

    name: ClassVar[str] = "storage_transfer"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Credit what was stored; deliver what was drawn against tokens."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(6 * len(book.positions) + len(book.memory))
        held = sum(credit for _, credit in credits_of(book.memory))
        stored = store(rules, book, held)
        drawn = _drawn(rules, book, budget)
        credited = [
            *stored.credits_uwh.items(),
            *((match.buyer, -match.energy_uwh) for match in drawn),
        ]
        return with_grid(
            book,
            (*stored.matches, *drawn),
            transfers=operator_fees(drawn, rules.fee_utok_per_kwh, "drawn from the storage"),
            memory=held_after(book.memory, CREDIT, credited),
            fates=(*stored.fates, *_told(rules, book, drawn)),
            takes_orders=True,
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Pass tokens on."""
        budget.spend()
        rules = read(self.name, Rules, request.parameters)
        return serve(self.name, _METHODS, rules, request)


def _drawn(rules: Rules, book: SlotBook, budget: StepBudget) -> tuple[Match, ...]:
    """Return what the storage gave to those who hold tokens."""
    storage = storage_of(rules, book)
    if storage is None:
        return ()
    owed = [min(p.deficit_uwh, credit_of(book.memory, p.member)) for p in book.positions]
    gives, takes = Side((storage,), (storage.surplus_uwh,)), Side(book.positions, owed)
    return shared(gives, takes, max(book.tariff.floor_utok_per_kwh, 0), budget)


def _told(rules: Rules, book: SlotBook, drawn: Sequence[Match]) -> Iterator[Fate]:
    """Tell who drew, or could not."""
    got = {match.buyer: match.energy_uwh for match in drawn}
    for p in book.positions:
        energy = got.get(p.member, 0)
        if p.member == rules.storage:
            if p.surplus_uwh:
                total = sum(got.values())
                reason = "" if total == p.surplus_uwh else "no tokens are held for the rest"
                yield Fate(p.member, "", ASK, p.surplus_uwh, 0, total, reason)
        elif p.deficit_uwh:
            is_out = energy == credit_of(book.memory, p.member)
            why = "no tokens are left" if is_out else "the storage gave no more"
            reason = "" if energy == p.deficit_uwh else why
            price = book.tariff.price_utok_per_kwh
            yield Fate(p.member, "", BID, energy, price, energy, reason)


def _transfer(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    to, millionths = given.text("to"), given.whole("millionths", 1, 10**15)
    check_account(request, to)
    energy, credit = millionths * rules.token_wh, credit_of(request.memory, request.member)
    if energy > credit:
        held = credit // rules.token_wh
        raise CallRefused(f"you hold {held} millionths of a token, not {millionths}")
    memory = held_after(request.memory, CREDIT, [(request.member, -energy), (to, energy)])
    return CallResult((), memory, {"millionths": millionths, "energy_uwh": energy})


_METHODS: Final[Methods[Rules]] = {"transfer": _transfer}
