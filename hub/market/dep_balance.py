"""The balancing market of paper 000, section 4: largest surplus to largest deficit.

Each member's generation and consumption are netted; deals are made by `hub.pairing` at the
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
from typing import ClassVar

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
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
    Value,
    refuse_call,
)
from hub.market.errors import BadParameter
from hub.pairing import Claim, Deal, pair

CHOICES: Mapping[str, tuple[str, ...]] = {
    "deficit": ("curtail", "supplier"),
    "surplus": ("grid", "storage", "curtail"),
}
"""Parameter -> what it may be; the first is the default."""


class DepBalance:
    """Distributed energy prosumers balance each other, then the rest is curtailed or bought."""

    name: ClassVar[str] = "dep_balance"

    def check(self, parameters: Mapping[str, Value]) -> None:
        """Refuse an unknown parameter or choice."""
        for key in sorted(parameters):
            if key not in CHOICES:
                raise BadParameter(f"dep_balance has no parameter {key!r}")
        for key in CHOICES:
            _choice(parameters, key)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        """Pair surpluses with deficits; send what is left where the parameters say."""
        self.check(book.parameters)
        lacks = _choice(book.parameters, "deficit")
        spares = _choice(book.parameters, "surplus")
        budget.spend(4 * len(book.positions))
        deals = pair(
            (Claim(p.export_meter, p.member, p.surplus_uwh) for p in book.positions),
            (Claim(p.import_meter, p.member, p.deficit_uwh) for p in book.positions),
        )
        budget.spend(len(deals))
        left = _left(book.positions, deals)
        price = book.tariff.price_utok_per_kwh
        return Clearing(
            matches=tuple(_match(deal, price) for deal in deals),
            remainders=_remainders(left, _source(lacks, book.tariff), _sink(spares, book.tariff)),
            curtailments=tuple(
                row
                for p in book.positions
                if (row := _curtailment(p, -left[p.member] if lacks == "curtail" else 0))
                if row.curtailed_uwh or row.overdrawn_uwh
            ),
        )

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        """Refuse: this market needs no orders."""
        budget.spend()
        return refuse_call(self.name, request)


def _choice(parameters: Mapping[str, Value], key: str) -> str:
    options = CHOICES[key]
    value = parameters.get(key, options[0])
    if not isinstance(value, str) or value not in options:
        raise BadParameter(f"dep_balance: {key} is one of {', '.join(options)}, not {value!r}")
    return value


def _match(deal: Deal, price_utok_per_kwh: int) -> Match:
    return Match(
        seller=deal.surplus.member,
        buyer=deal.deficit.member,
        from_meter=deal.surplus.meter_id,
        to_meter=deal.deficit.meter_id,
        energy_uwh=deal.amount,
        price_utok_per_kwh=price_utok_per_kwh,
    )


def _left(positions: tuple[Position, ...], deals: tuple[Deal, ...]) -> dict[str, int]:
    """Net energy of each member after the deals; above 0 is surplus. [uWh]"""
    left = {p.member: p.surplus_uwh - p.deficit_uwh for p in positions}
    for deal in deals:
        left[deal.surplus.member] -= deal.amount
        left[deal.deficit.member] += deal.amount
    return left


def _source(deficit: str, tariff: Tariff) -> tuple[str, int]:
    """Who sells what no member could, and at which price. [utok per kWh]"""
    return (SUPPLIER if deficit == "supplier" else GRID), tariff.price_utok_per_kwh


def _sink(surplus: str, tariff: Tariff) -> tuple[str, int]:
    """Who takes what no member could use, and at which price. [utok per kWh]"""
    if surplus == "curtail":
        return SPILLED, 0
    return (STORAGE if surplus == "storage" else GRID), tariff.feed_in_utok_per_kwh


def _remainders(
    left: Mapping[str, int], source: tuple[str, int], sink: tuple[str, int]
) -> tuple[Remainder, ...]:
    return tuple(
        Remainder(member, route, abs(energy_uwh), price)
        for member, energy_uwh in left.items()
        for route, price in (source if energy_uwh < 0 else sink,)
        if energy_uwh
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
