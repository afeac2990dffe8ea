"""Power Ledger's market: members trade what is over, and the operator earns by the kWh.

Paper 003, section VIII.B: "nodes being able to trade the surplus energy they generate, to other
nodes in the microgrid. The DSOs earn a commission". Paper 002, section 2.1, for the two tokens: the
one (POWR) is locked to mint the other (Sparkz, here the ledger's money), which is used locally and
redeemed in local currency; then what was locked is free again. With `tokens = "two"`:

    credit  member, tokens   by a key with the office of the bank: he has so many of the first token
    lock    tokens           locks them and mints `minted_utok` for each
    redeem  amount_utok      burns them; the bank pays, and the earliest locks come free

Energy is shared at one price (`hub.market.sharing`); buyers pay price and commission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from hub.market.arguments import Arguments
from hub.market.contract import (
    BANK,
    CallRequest,
    CallResult,
    Clearing,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.fees import operator_fees
from hub.market.parameters import choice, read, whole
from hub.market.rest import with_grid
from hub.market.serving import Methods, check_office, check_pays, serve
from hub.market.sharing import PriceRules, deficits, shared, surpluses, told


@dataclass(frozen=True, slots=True)
class Rules(PriceRules):
    """What the operator earns, and what a locked token mints. [utok per kWh, utok]"""

    commission_utok_per_kwh: int = whole(5_000, 0, 10**8)
    tokens: str = choice("one", "two")
    minted_utok: int = whole(1_000_000, 1, 10**12)


class Commission:
    """Members share at one price; the operator earns on every kWh."""

    name: ClassVar[str] = "commission"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Share what is over; the commission is on top."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(4 * len(book.positions))
        price = rules.price_utok_per_kwh(book.tariff, rules.commission_utok_per_kwh)
        matches = shared(surpluses(book), deficits(book), price, budget)
        why = "" if price is not None else "with the commission no price suits both sides"
        return with_grid(
            book,
            matches,
            transfers=operator_fees(matches, rules.commission_utok_per_kwh, "commission"),
            fates=told(book, matches, {"": why} if why else {}, why or "nobody lacked more"),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Lock one token to mint the other, or redeem it."""
        budget.spend(1 + len(request.memory))
        rules = read(self.name, Rules, request.parameters)
        methods = _METHODS if rules.tokens == "two" else {}
        return serve(self.name, methods, rules, request)


def _credit(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    check_office(request, "bank")
    key = f"tokens.{given.text('member')}"
    total = _tokens(request, key) + given.whole("tokens", 1, 10**9)
    return CallResult((), {key: total}, {"tokens": total})


def _lock(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    tokens, key = given.whole("tokens", 1, 10**9), f"tokens.{request.member}"
    left = _tokens(request, key) - tokens
    if left < 0:
        raise CallRefused(f"you have {left + tokens} tokens to lock, not {tokens}")
    minted = tokens * rules.minted_utok
    return CallResult(
        (Transfer(BANK, request.member, minted, "minted against locked tokens"),),
        {key: left or None, f"lock.{request.sequence:015d}": (request.member, tokens, minted)},
        {"minted_utok": minted},
    )


def _redeem(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    """Burn, and free the earliest locks; what was minted decides, whatever the policy says now."""
    amount = left = given.whole("amount_utok", 1, 10**15)
    check_pays(request, amount)
    memory: dict[str, Value] = {}
    freed: dict[str, int] = {}
    for key in sorted(key for key in request.memory if key.startswith("lock.")):
        row: Any = request.memory[key]
        member, tokens, minted = row
        part = min(left, minted)
        free = tokens if part == minted else tokens * part // minted
        if part:
            freed[member] = freed.get(member, 0) + free
            memory[key] = None if part == minted else (member, tokens - free, minted - part)
        left -= part
    if left:
        raise CallRefused(f"{amount - left} utok were minted against tokens, not {amount}")
    for member, tokens in freed.items():
        memory[f"tokens.{member}"] = _tokens(request, f"tokens.{member}") + tokens or None
    move = Transfer(request.member, BANK, amount, "redeemed in local currency")
    return CallResult((move,), memory, {"redeemed_utok": amount})


_METHODS: Final[Methods[Rules]] = {"credit": _credit, "lock": _lock, "redeem": _redeem}


def _tokens(request: CallRequest, key: str) -> int:
    value = request.memory.get(key, 0)
    return value if isinstance(value, int) else 0
