"""What the regulator's rules make of a clearing, whichever contract it is of. Pure.

The one place where they bind, between a contract and its settlement (`hub.core.clearing`). A
contract that looks at floor, cap and network fee (`Tariff`) is not changed by the first two, and
lets nobody's order pay more than it says; one that looks at none is bound all the same:

- A match below the floor is priced at the floor, one above the cap at the cap; one at 0 is no sale.
- Each buyer pays the operator the network fee for what he bought from members.
- What goes into the grid earns the feed-in price at least, where that is guaranteed.
- Each buyer pays the premium on a fuel for what he bought of it beyond the threshold.
- Who bought less of a fuel than its share of all he bought is told, and pays for what lacks.

Own generation that is used at home is not bought. Fees are rounded down, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from hub.market.contract import (
    BID,
    GRID,
    STORAGE,
    SUPPLIER,
    Clearing,
    Fate,
    Remainder,
    Site,
    SlotBook,
    Transfer,
)
from hub.market.fees import NETWORK_FEE, operator_fees
from hub.market.rounding import KWH_UWH
from messages.fuels import RENEWABLE_FUELS
from messages.regulating import GRID_FUEL, RENEWABLE, UNBOUND, Regulation

FUEL_PREMIUM: Final = "fuel premium"
ENERGY_MIX: Final = "energy mix"
_UNKNOWN: Final = Site()
_FUEL_OF: Final[Mapping[str, str]] = {GRID: GRID_FUEL, SUPPLIER: GRID_FUEL, STORAGE: "battery"}

Bought = Mapping[str, Mapping[str, int]]
"""Buyer -> fuel -> energy. [uWh]"""


def regulated(book: SlotBook, clearing: Clearing) -> Clearing:
    """Return a contract's clearing as the regulator's rules bind it."""
    rules = book.regulation
    if rules == UNBOUND:
        return clearing
    matches = tuple(
        match._replace(price_utok_per_kwh=book.tariff.bounded(match.price_utok_per_kwh))
        if match.price_utok_per_kwh
        else match
        for match in clearing.matches
    )
    bound = replace(clearing, matches=matches, remainders=tuple(_remainders(book, clearing)))
    bought = _bought(book, bound)
    fees = operator_fees(matches, rules.fee_utok_per_kwh, NETWORK_FEE)
    lacking = tuple(_lacking(rules, bought))
    return replace(
        bound,
        transfers=(*bound.transfers, *fees, *_premiums(rules, bought), *_charges(rules, lacking)),
        fates=(*bound.fates, *_told(rules, lacking)),
    )


def _remainders(book: SlotBook, clearing: Clearing) -> Iterator[Remainder]:
    least = book.tariff.feed_in_utok_per_kwh if book.regulation.feed_in_guaranteed else None
    giving = {p.member for p in book.positions if p.surplus_uwh}
    for row in clearing.remainders:
        is_low = least is not None and row.route == GRID and row.price_utok_per_kwh < least
        if is_low and row.member in giving:
            yield row._replace(price_utok_per_kwh=book.tariff.feed_in_utok_per_kwh)
        else:
            yield row


def _bought(book: SlotBook, clearing: Clearing) -> Bought:
    found: dict[str, dict[str, int]] = {p.member: {} for p in book.positions if p.deficit_uwh}
    parts = [
        (match.buyer, book.sites.get(match.from_meter, _UNKNOWN).fuel, match.energy_uwh)
        for match in clearing.matches
    ]
    parts += [
        (row.member, _FUEL_OF.get(row.route, ""), row.energy_uwh)
        for row in clearing.remainders
        if row.member in found
    ]
    for buyer, fuel, energy_uwh in parts:
        fuels = found.setdefault(buyer, {})
        fuels[fuel] = fuels.get(fuel, 0) + energy_uwh
    return found


def _of_kind(fuels: Mapping[str, int], kind: str) -> int:
    if kind == RENEWABLE:
        return sum(energy for fuel, energy in fuels.items() if fuel in RENEWABLE_FUELS)
    return fuels.get(kind, 0)


def _premiums(rules: Regulation, bought: Bought) -> Iterator[Transfer]:
    for rule in rules.premiums:
        for buyer, fuels in bought.items():
            beyond = max(_of_kind(fuels, rule.fuel) - rule.above_uwh, 0)
            amount = beyond * rule.utok_per_kwh // KWH_UWH
            if amount:
                yield Transfer(buyer, rule.account, amount, FUEL_PREMIUM)


def _lacking(rules: Regulation, bought: Bought) -> Iterator[tuple[int, str, int]]:
    """Yield (place of the rule, buyer, what lacks) for each share that is not met. [uWh]"""
    for place, rule in enumerate(rules.mix):
        for buyer, fuels in bought.items():
            due = sum(fuels.values()) * rule.share_percent // 100
            lacks = due - _of_kind(fuels, rule.fuel)
            if lacks > 0:
                yield place, buyer, lacks


def _charges(rules: Regulation, lacking: Iterable[tuple[int, str, int]]) -> Iterator[Transfer]:
    for place, buyer, lacks in lacking:
        rule = rules.mix[place]
        amount = lacks * rule.unmet_utok_per_kwh // KWH_UWH
        if amount:
            yield Transfer(buyer, rule.account, amount, ENERGY_MIX)


def _told(rules: Regulation, lacking: Iterable[tuple[int, str, int]]) -> Iterator[Fate]:
    for place, buyer, lacks in lacking:
        rule = rules.mix[place]
        reason = f"energy mix: {rule.share_percent} % {rule.fuel} are due, {lacks} uWh of it lack"
        yield Fate(buyer, "", BID, 0, 0, 0, reason)
