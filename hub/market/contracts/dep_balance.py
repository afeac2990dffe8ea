"""The balancing market of paper 000, section 4: largest surplus to largest deficit.

Each member's generation and consumption are netted; deals are made by `hub.matching` at the
regulator's price. What the paper leaves open is a parameter:

- `deficit = "curtail"` (default): nobody sells the rest. It was kept back by open relays (the
  curtailed row); the little that was used before they opened is overdrawn, and bought from the
  grid account at the tariff so that no energy is free.
- `deficit = "supplier"`: the rest is bought from the base-load supplier, a row of its own.
- `surplus = "grid"` (default) | `"storage"`: sold at the feed-in price; `"curtail"`: spilled,
  unpaid.

Trades use measured energy only: a load that was held open bought nothing. What a member wanted
is his measured consumption plus the estimate for his open relays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.market.contract import (
    GRID,
    SPILLED,
    STORAGE,
    SUPPLIER,
    CallRequest,
    CallResult,
    Clearing,
    Curtailment,
    Match,
    Position,
    SlotBook,
    StepBudget,
    Value,
    refuse_call,
)
from hub.market.parameters import choice, read
from hub.market.rest import left_uwh, rest_to_grid
from hub.matching import Claim, Deal, pair


@dataclass(frozen=True, slots=True)
class Rules:
    """What becomes of deficit and surplus that found no partner."""

    deficit: str = choice("curtail", "supplier")
    surplus: str = choice("grid", "storage", "curtail")


_SINKS: Final = {"grid": GRID, "storage": STORAGE, "curtail": SPILLED}


class DepBalance:
    """Distributed energy prosumers balance each other, then the rest is curtailed or bought."""

    name: ClassVar[str] = "dep_balance"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse an unknown parameter or choice."""
        read(self.name, Rules, parameters)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Pair surpluses with deficits; send what is left where the parameters say."""
        rules = read(self.name, Rules, book.parameters)
        budget.spend(4 * len(book.positions))
        deals = pair(
            (Claim(p.export_meter, p.member, p.surplus_uwh) for p in book.positions),
            (Claim(p.import_meter, p.member, p.deficit_uwh) for p in book.positions),
        )
        budget.spend(len(deals))
        price = book.tariff.bounded(book.tariff.price_utok_per_kwh)
        matches = tuple(_match(deal, price) for deal in deals)
        left = left_uwh(book.positions, matches)
        return Clearing(
            matches=matches,
            remainders=rest_to_grid(
                book,
                matches,
                source=SUPPLIER if rules.deficit == "supplier" else GRID,
                sink=_SINKS[rules.surplus],
                feed_in_utok_per_kwh=0 if rules.surplus == "curtail" else None,
            ),
            curtailments=tuple(
                row
                for p in book.positions
                if (row := _curtailment(p, -left[p.member] if rules.deficit == "curtail" else 0))
                if row.curtailed_uwh or row.overdrawn_uwh
            ),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Refuse: this market needs no orders."""
        budget.spend()
        return refuse_call(self.name, request)


def _match(deal: Deal, price_utok_per_kwh: int) -> Match:
    return Match(
        seller=deal.surplus.member,
        buyer=deal.deficit.member,
        from_meter=deal.surplus.meter_id,
        to_meter=deal.deficit.meter_id,
        energy_uwh=deal.amount,
        price_utok_per_kwh=price_utok_per_kwh,
    )


def _curtailment(position: Position, overdrawn_uwh: int) -> Curtailment:
    overdrawn_uwh = max(overdrawn_uwh, 0)
    return Curtailment(
        member=position.member,
        wanted_uwh=position.wanted_uwh,
        had_uwh=position.consumed_uwh - overdrawn_uwh,
        curtailed_uwh=position.held_uwh,
        overdrawn_uwh=overdrawn_uwh,
    )
