"""Energy tokens of paper 002, section 4: a token is so many watt-hours, sold in a fixed priority.

Cali and Fifield, *Towards the decentralized revolution in energy systems using blockchain
technology*, 2019. The bank mints tokens against deposits and pays them out at intervals. What
sellers have over is served to buyers one after the other, as `priority` names them; a token is
worth `token_uwh`, 150 Wh in the paper. A buyer is served up to the tokens he has, the rest of his
want comes from the grid, with the reason.

Payments move in quanta of `quantum_utok`, a thousandth of a token in the paper's table 2: what a
buyer has paid over all rounds half to even, so what one payment lacks the next one carries, and the
seller receives the same quanta. A match is priced at the nearest whole price per kWh; a transfer
moves what lacks to the quanta.

    deposit   member, amount_utok    by a key with the office of the bank: mints
    pay_out   amount_utok            burns confirmed tokens; the bank pays outside of this ledger
    sell      energy_uwh, slot_ms    with `sale = "called"`: what is offered of the stored energy

Tokens earned in a slot are confirmed `confirmations` closes later (the paper: up to twelve blocks).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from hub.market.arguments import Arguments
from hub.market.contract import (
    BANK,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    Position,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.holdings import held
from hub.market.parameters import choice, listed, read, whole, words
from hub.market.rest import held_back, rest_to_grid
from hub.market.rounding import KWH_UWH, amount_utok, half_even
from hub.market.serving import Methods, check_office, serve, slot_ahead
from hub.market.sharing import told

TOKEN_UTOK: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token is worth, and who is served first. [uWh, utok, slots]"""

    token_uwh: int = whole(150_000_000, 10_000_000, 10**12)
    quantum_utok: int = whole(1_000, 1, TOKEN_UTOK)
    priority: str = words("")
    sale: str = choice("surplus", "called")
    grid: str = choice("tariff", "outside")
    confirmations: int = whole(0, 0, 12)
    payout_slots: int = whole(0, 0, 10_000)

    @property
    def price_utok_per_kwh(self) -> int:
        """The nearest whole price of a kWh."""
        return half_even(TOKEN_UTOK * KWH_UWH, self.token_uwh)

    def paid_utok(self, energy_uwh: int) -> int:
        """Return what all of a buyer's energy so far has cost him, in whole quanta."""
        quanta = half_even(energy_uwh * TOKEN_UTOK, self.token_uwh * self.quantum_utok)
        return quanta * self.quantum_utok

    def affordable_uwh(self, tokens_utok: int, bought_uwh: int) -> int:
        """Return how much more a buyer can pay for: never a quantum beyond his tokens."""
        quanta = (self.paid_utok(bought_uwh) + max(tokens_utok, 0)) // self.quantum_utok
        whole_uwh = quanta * self.quantum_utok * self.token_uwh // TOKEN_UTOK
        return max(whole_uwh - bought_uwh, 0)


class EnergyToken:
    """Tokens for energy: minted by the bank, spent in a fixed priority."""

    name: ClassVar[str] = "energy_token"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Serve buyers by priority, each up to his tokens; the rest is the grid's."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(4 * len(book.positions))
        slot = _Slot(rules, book)
        slot.serve(budget)
        outside = 0 if rules.grid == "outside" else None
        return Clearing(
            matches=tuple(slot.matches),
            remainders=rest_to_grid(
                book, slot.matches, price_utok_per_kwh=outside, feed_in_utok_per_kwh=outside
            ),
            curtailments=held_back(book.positions),
            transfers=(*slot.transfers, *_payouts(rules, book, slot)),
            memory=slot.memory,
            fates=tuple(told(book, slot.matches, slot.unserved(), "no buyer with tokens was left")),
            takes_orders=True,
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Mint, pay out, or offer stored energy."""
        budget.spend()
        rules = read(self.name, Rules, request.parameters)
        methods = _METHODS if rules.sale == "surplus" else {**_METHODS, "sell": _sell}
        return serve(self.name, methods, rules, request)


class Earned(NamedTuple):
    """Tokens that a seller has been paid, and how many of them are confirmed. [utok]

    `pending`: (slot, amount) of what is not confirmed yet.
    """

    confirmed_utok: int = 0
    pending: tuple[tuple[int, int], ...] = ()

    def after(self, slot_ms: int, confirmations: int, length_ms: int, paid_utok: int) -> Earned:
        """Return what it is once a slot is settled."""
        rows = (*self.pending, (slot_ms, paid_utok)) if paid_utok else self.pending
        limit_ms = slot_ms - confirmations * length_ms
        done = sum(amount for at_ms, amount in rows if at_ms <= limit_ms)
        return Earned(self.confirmed_utok + done, tuple(row for row in rows if row[0] > limit_ms))


@dataclass(slots=True)
class _Slot:
    """One slot on its way to being settled."""

    rules: Rules
    book: SlotBook
    matches: list[Match] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    memory: dict[str, Value] = field(default_factory=dict)
    earned: dict[str, int] = field(default_factory=dict)
    short: dict[str, int] = field(default_factory=dict)

    def serve(self, budget: StepBudget) -> None:
        """Let one buyer after the other buy from one seller after the other."""
        sellers = [p for p in self.book.positions if p.surplus_uwh]
        left = [self._offered(p) for p in sellers]
        for buyer in _by_priority(self.rules, self.book.positions):
            key = f"bought.{buyer.member}"
            before_uwh = bought_uwh = held(self.book.memory, key)
            tokens = self.book.balances.get(buyer.member, 0)
            wanted = min(buyer.deficit_uwh, self.rules.affordable_uwh(tokens, bought_uwh))
            self.short[buyer.member] = buyer.deficit_uwh - wanted
            for place, seller in enumerate(sellers):
                energy = min(wanted, left[place])
                if energy:
                    budget.spend()
                    self._sell(seller, buyer, energy, bought_uwh)
                    bought_uwh += energy
                    wanted, left[place] = wanted - energy, left[place] - energy
            if bought_uwh != before_uwh:
                self.memory[key] = bought_uwh

    def unserved(self) -> dict[str, str]:
        """Return why a buyer was not served, where it was for want of tokens."""
        bought = {match.buyer: 0 for match in self.matches}
        for match in self.matches:
            bought[match.buyer] += match.energy_uwh
        return {
            p.member: f"his tokens pay for {got} uWh"
            for p in self.book.positions
            if (short := self.short.get(p.member, 0))
            if (got := bought.get(p.member, 0)) == p.deficit_uwh - short
        }

    def _offered(self, seller: Position) -> int:
        if self.rules.sale == "surplus":
            return seller.surplus_uwh
        key = f"sale.{seller.member}"
        rows: Any = self.book.memory.get(key, ())
        offered: int = sum(energy for slot_ms, energy in rows if slot_ms == self.book.slot_ms)
        kept = tuple(row for row in rows if row[0] > self.book.slot_ms)
        if len(kept) != len(rows):
            self.memory[key] = kept or None
        return min(offered, seller.surplus_uwh)

    def _sell(self, seller: Position, buyer: Position, energy_uwh: int, before_uwh: int) -> None:
        price = self.rules.price_utok_per_kwh
        match = Match(
            seller.member,
            buyer.member,
            seller.export_meter,
            buyer.import_meter,
            energy_uwh,
            price,
        )
        due = self.rules.paid_utok(before_uwh + energy_uwh) - self.rules.paid_utok(before_uwh)
        lacks = due - amount_utok(energy_uwh, price)
        self.matches.append(match)
        self.earned[seller.member] = self.earned.get(seller.member, 0) + due
        if lacks > 0:
            self.transfers.append(Transfer(buyer.member, seller.member, lacks, _QUANTA))
        elif lacks < 0:
            self.transfers.append(Transfer(seller.member, buyer.member, -lacks, _QUANTA))


_QUANTA: Final = "to whole quanta of a token"


def surplus_uwh(produced_uwh: Sequence[int], consumed_uwh: Sequence[int]) -> tuple[int, int]:
    """Return a day's surplus by the paper's Equation 1, and as the sum of what was over.

    Equation 1 adds up production less consumption from the first instant where that is above 0 to
    the last one, and so takes off what was lacking in between.

    >>> surplus_uwh([0, 5, 1, 4, 0], [2, 2, 3, 1, 2])
    (4, 6)
    """
    nets = [made - used for made, used in zip(produced_uwh, consumed_uwh, strict=True)]
    over = [place for place, net in enumerate(nets) if net > 0]
    if not over:
        return 0, 0
    return sum(nets[over[0] : over[-1] + 1]), sum(net for net in nets if net > 0)


def _by_priority(rules: Rules, positions: Sequence[Position]) -> list[Position]:
    """Return the buyers: those that the policy names in its order, then by name."""
    named = {member: place for place, member in enumerate(listed(rules.priority))}
    buyers = [p for p in positions if p.deficit_uwh]
    return sorted(buyers, key=lambda p: (named.get(p.member, len(named)), p.member))


def _payouts(rules: Rules, book: SlotBook, slot: _Slot) -> Iterator[Transfer]:
    """Confirm what was earned; at intervals pay out what is confirmed."""
    is_due = rules.payout_slots and ((book.slot_ms // book.length_ms + 1) % rules.payout_slots == 0)
    for p in book.positions:
        key = f"earned.{p.member}"
        before = _earned(book.memory, key)
        after = before.after(
            book.slot_ms, rules.confirmations, book.length_ms, slot.earned.get(p.member, 0)
        )
        paid = min(after.confirmed_utok, book.balances.get(p.member, 0)) if is_due else 0
        if paid > 0:
            yield Transfer(p.member, BANK, paid, "paid out by the bank")
            after = after._replace(confirmed_utok=after.confirmed_utok - paid)
        if after != before:
            slot.memory[key] = tuple(after) if after != Earned() else None


def _deposit(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    check_office(request, "bank")
    member, amount = given.text("member"), given.whole("amount_utok", 1, 10**15)
    return CallResult((Transfer(BANK, member, amount, "deposit"),), {}, {"minted_utok": amount})


def _pay_out(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    amount = given.whole("amount_utok", 1, 10**15)
    key = f"earned.{request.member}"
    earned = _earned(request.memory, key)
    if amount > min(earned.confirmed_utok, request.balances.get(request.member, 0)):
        raise CallRefused(f"{earned.confirmed_utok} utok are confirmed, not {amount}")
    left = earned._replace(confirmed_utok=earned.confirmed_utok - amount)
    return CallResult(
        (Transfer(request.member, BANK, amount, "paid out by the bank"),),
        {key: tuple(left) if left != Earned() else None},
        {"paid_utok": amount},
    )


def _sell(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    slot_ms, energy = slot_ahead(request, given), given.whole("energy_uwh", 1, 10**18)
    key = f"sale.{request.member}"
    rows: Any = request.memory.get(key, ())
    return CallResult((), {key: (*rows, (slot_ms, energy))}, {"slot_ms": slot_ms})


_METHODS: Final[Methods[Rules]] = {"deposit": _deposit, "pay_out": _pay_out}


def _earned(memory: Mapping[str, Value], key: str) -> Earned:
    row: Any = memory.get(key)
    return Earned(*row) if row else Earned()
