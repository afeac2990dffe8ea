"""NRGcoin: a coin for each renewable kWh that was consumed locally.

Paper 003, section VIII.F: a contract checks whether the energy produced is consumed locally; only
then is a coin awarded, one a kWh, for every renewable form of generation. Mihaylov et al.,
*NRGcoin: Virtual Currency for Trading Renewable Energy in Smart Grids*, 2014, as in paper 002.

What was consumed locally is what neighbours' meters drew: the matches of the slot, in the whole
microgrid or, with `neighbours = "area"`, those inside one area. The fuel is the registry's; a meter
without one earns nothing. Coins are minted by the bank as money of this ledger, `coin_utok` each,
beside what the energy itself is paid (`hub.market.sharing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.contract import (
    BANK,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    Site,
    SlotBook,
    StepBudget,
    Transfer,
    Value,
    refuse_call,
)
from hub.market.parameters import choice, read, whole
from hub.market.rest import with_grid
from hub.market.rounding import KWH_UWH
from hub.market.sharing import PriceRules, deficits, shared, surpluses, told
from messages.fuels import RENEWABLE_FUELS

_NOWHERE: Final = Site()


@dataclass(frozen=True, slots=True)
class Rules(PriceRules):
    """What a coin is worth, and how far a neighbour lives. [utok]"""

    coin_utok: int = whole(100_000, 0, 10**9)
    neighbours: str = choice("microgrid", "area")


class LocalCoin:
    """Members share at one price; who served neighbours with renewable energy earns coins."""

    name: ClassVar[str] = "local_coin"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Share what is over, and award what neighbours drew of it."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(4 * len(book.positions))
        price = rules.price_utok_per_kwh(book.tariff)
        matches = shared(surpluses(book), deficits(book), price, budget)
        earned: dict[str, int] = {}
        for match in matches:
            if _counts(rules, book, match):
                earned[match.seller] = earned.get(match.seller, 0) + match.energy_uwh
        return with_grid(
            book,
            matches,
            transfers=tuple(
                Transfer(BANK, member, amount, "coins for energy used locally")
                for member, energy in earned.items()
                if (amount := energy * rules.coin_utok // KWH_UWH)
            ),
            fates=told(book, matches, {}),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Refuse: coins are money, and nothing else is asked for."""
        budget.spend()
        return refuse_call(self.name, request)


def _counts(rules: Rules, book: SlotBook, match: Match) -> bool:
    """Whether a match earns coins."""
    source = book.sites.get(match.from_meter, _NOWHERE)
    sink = book.sites.get(match.to_meter, _NOWHERE)
    is_near = rules.neighbours == "microgrid" or bool(source.area and source.area == sink.area)
    return is_near and source.fuel in RENEWABLE_FUELS
