"""Piclo, Vandebron and PowerPeers: members say whose energy they want.

Paper 002, section 2.1 names the three; that a member ranks producers is how they describe
themselves. Price and energy are settled first (`hub.market.sharing`: everybody in proportion), then
buyers get theirs from the producers they rank, so a choice costs nobody anything. Equal choices:
by name. With `others = "grid"` who has chosen takes energy of nobody else.

    choose  producers   a ranking, "ann, bob"; without it the ranking is taken back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from hub.market.arguments import Arguments
from hub.market.contract import (
    ASK,
    BID,
    CallRequest,
    CallResult,
    Clearing,
    Match,
    Order,
    SlotBook,
    StepBudget,
    Value,
)
from hub.market.parameters import choice, read
from hub.market.partners import Matching, Served
from hub.market.rest import with_grid
from hub.market.rounding import shares
from hub.market.serving import Methods, serve
from hub.market.sharing import PriceRules, told


@dataclass(frozen=True, slots=True)
class Rules(PriceRules):
    """Whether who has chosen takes energy of others, too."""

    others: str = choice("share", "grid")


class ChooseProducer:
    """Members share at one price, each from the producers he chose as far as they reach."""

    name: ClassVar[str] = "choose_producer"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse a parameter that is unknown or cannot be."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Divide in proportion, then pair by choice."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(6 * len(book.positions))
        price = rules.price_utok_per_kwh(book.tariff)
        matches = () if price is None else _chosen(rules, book, price, budget)
        picky = {} if rules.others == "share" else dict.fromkeys(_choices(book.memory), _SOLD_OUT)
        return with_grid(book, matches, fates=told(book, matches, picky))

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Take a ranking of producers."""
        budget.spend()
        rules = read(self.name, Rules, request.parameters)
        return serve(self.name, _METHODS, rules, request)


_SOLD_OUT: Final = "the producers of your choice have no more for you"


def _chosen(rules: Rules, book: SlotBook, price: int, budget: StepBudget) -> tuple[Match, ...]:
    choices = _choices(book.memory)
    bids, asks = [], []
    for place, p in enumerate(book.positions):
        prefers = choices.get(p.member, ())
        bids.append(
            Order(p.member, BID, p.deficit_uwh, price, place, p.import_meter, prefers=prefers)
        )
        asks.append(Order(p.member, ASK, p.surplus_uwh, price, place, p.export_meter))
    wanted, offered = ([order.energy_uwh or 0 for order in side] for side in (bids, asks))
    total = min(sum(wanted), sum(offered))
    matching = Matching(
        Served(bids, shares(total, wanted)), Served(asks, shares(total, offered)), {}, budget
    )
    matching.preferred()
    matching.any(but_who_prefers=rules.others == "grid")
    return tuple(
        Match(asks[ask].member, bids[bid].member, asks[ask].meter, bids[bid].meter, energy, price)
        for bid, ask, energy in matching.pairs
    )


def _choose(_rules: Rules, request: CallRequest, given: Arguments) -> CallResult:
    producers = given.names("producers")
    return CallResult(
        (), {f"choice.{request.member}": producers or None}, {"producers": ", ".join(producers)}
    )


_METHODS: Final[Methods[Rules]] = {"choose": _choose}


def _choices(memory: Mapping[str, Value]) -> dict[str, tuple[str, ...]]:
    """Return each member's ranking."""
    found: dict[str, tuple[str, ...]] = {}
    for key in memory:
        if key.startswith("choice."):
            row: Any = memory[key]
            found[key.removeprefix("choice.")] = row
    return found
