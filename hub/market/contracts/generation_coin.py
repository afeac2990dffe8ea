"""Dajie: a coin for every kWh produced, to buy energy with or to redeem as carbon credit.

Paper 003, section VIII.E: "a user earns a coin for every 1KWh energy produced. These coins can be
used as a currency to buy energy when needed or to redeem carbon credit". A coin buys one kWh of
what others have over, whatever the grid costs, and the seller has it then. Who has no coins buys
from the grid.

A purse holds energy, in uWh, so no coin is ever rounded. In money a coin is worth `coin_utok`: the
bank mints that when it is earned, it moves with the coin, and is burned with it.

    send    to, energy_uwh   passes coins on
    redeem  coins            burns whole coins; each is a carbon credit in the caller's name
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.arguments import Arguments
from hub.market.contract import (
    BANK,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
)
from hub.market.errors import CallRefused
from hub.market.holdings import held, held_after
from hub.market.parameters import read, whole
from hub.market.rest import with_grid
from hub.market.rounding import KWH_UWH, amount_utok
from hub.market.serving import Methods, check_pays, serve
from hub.market.sharing import Side, shared, surpluses, told


@dataclass(frozen=True, slots=True)
class Rules:
    """What a coin, one kWh, is worth in money. [utok]"""

    coin_utok: int = whole(200_000, 0, 10**8)


class GenerationCoin:
    """Earn coins by producing, spend them on energy."""

    name: ClassVar[str] = "generation_coin"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Sell what is over for coins, then mint for what was produced."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(6 * len(book.positions))
        matches = _bought(rules, book, budget)
        changes = [(p.member, p.generated_uwh) for p in book.positions if p.generated_uwh]
        for match in matches:
            changes += [(match.buyer, -match.energy_uwh), (match.seller, match.energy_uwh)]
        empty = {
            p.member: "no coins are left"
            for p in book.positions
            if held(book.memory, f"purse.{p.member}") < p.deficit_uwh
        }
        return with_grid(
            book,
            matches,
            transfers=tuple(
                Transfer(BANK, p.member, amount, "coins for what was produced")
                for p in book.positions
                if (amount := amount_utok(p.generated_uwh, rules.coin_utok))
            ),
            memory=held_after(book.memory, "purse", changes),
            fates=told(book, matches, empty, "no buyer with coins was left"),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Pass coins on, or redeem them."""
        budget.spend()
        rules = read(self.name, Rules, request.parameters)
        return serve(self.name, _METHODS, rules, request)


def _bought(rules: Rules, book: SlotBook, budget: StepBudget) -> tuple[Match, ...]:
    """Return what was bought with the coins of earlier slots, where the policy allows the price."""
    low, high = book.tariff.floor_utok_per_kwh, book.tariff.cap_utok_per_kwh
    wanted = [min(p.deficit_uwh, held(book.memory, f"purse.{p.member}")) for p in book.positions]
    price = rules.coin_utok if low <= rules.coin_utok <= high else None
    return shared(surpluses(book), Side(book.positions, wanted), price, budget)


def _send(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    to, energy = given.text("to"), given.whole("energy_uwh", 1, 10**18)
    amount = amount_utok(energy, rules.coin_utok)
    memory = _spent(request, energy, [(to, energy)])
    check_pays(request, amount)
    return CallResult((Transfer(request.member, to, amount, "coins sent"),), memory, {"to": to})


def _redeem(rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    coins = given.whole("coins", 1, 10**9)
    memory = _spent(request, coins * KWH_UWH, [])
    amount = coins * rules.coin_utok
    check_pays(request, amount)
    total = held(request.memory, f"carbon.{request.member}") + coins
    return CallResult(
        (Transfer(request.member, BANK, amount, "coins redeemed as carbon credit"),),
        {**memory, f"carbon.{request.member}": total},
        {"carbon_credits": total},
    )


_METHODS: Final[Methods[Rules]] = {"send": _send, "redeem": _redeem}


def _spent(
    request: CallRequest, energy_uwh: int, others: Sequence[tuple[str, int]]
) -> dict[str, Value]:
    coins_uwh = held(request.memory, f"purse.{request.member}")
    if energy_uwh > coins_uwh:
        raise CallRefused(f"your purse holds coins for {coins_uwh} uWh, not {energy_uwh}")
    return held_after(request.memory, "purse", [(request.member, -energy_uwh), *others])
