"""What one contract does over all slots, added up as it goes: sums, series, sales by pair."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hub.core.effects import Line
from hub.core.settlement import Settlement
from hub.market.contract import (
    ACCOUNTS,
    BANK,
    ESCROW,
    GRID,
    SPILLED,
    STORAGE,
    SUPPLIER,
    Clearing,
    Match,
    Position,
    SlotBook,
    Tariff,
)
from testbed.compare.community import Community, limits

OUTSIDE = (GRID, SUPPLIER)
OWN = (BANK, ESCROW)


def in_general(reason: str) -> str:
    """Return a reason without the numbers of one order, so that like ones can be counted.

    >>> in_general("the last bid that was served stood at 192581, this one at 139524")
    'the last bid that was served stood at …, this one at …'
    """
    return re.sub(r"\b-?[0-9][0-9_,.]*\b", "…", reason)


@dataclass(slots=True)
class Series:
    """One number a slot. [uWh; utok per kWh, None where nothing was traded]"""

    consumed_uwh: list[int] = field(default_factory=list)
    generated_uwh: list[int] = field(default_factory=list)
    import_uwh: list[int] = field(default_factory=list)
    export_uwh: list[int] = field(default_factory=list)
    matched_uwh: list[int] = field(default_factory=list)
    curtailed_uwh: list[int] = field(default_factory=list)
    price_utok_per_kwh: list[int | None] = field(default_factory=list)
    tariff_utok_per_kwh: list[int] = field(default_factory=list)
    feed_in_utok_per_kwh: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """Everything that reports need of one run.

    `cost_utok`: by account, above 0 is paid; `lines`: how many lines made it. `fees_utok`: what
    members paid beside energy, less what they got. `uwh_m`: matched energy times distance, where
    both are on the map. `unfair_uwh`: matched energy of those who paid above or got below their own
    limit, by member.
    `slots_unbalanced` and `money_left_utok` are 0, or a contract leaks.
    """

    community: Community
    cost_utok: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lines: Counter[str] = field(default_factory=Counter)
    fees_utok: int = 0
    sales: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    uwh_m: int = 0
    mapped_uwh: int = 0
    same_area_uwh: int = 0
    stored_uwh: int = 0
    spilled_uwh: int = 0
    welfare_utok_uwh_per_kwh: int = 0
    unfair_uwh: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    slots_unbalanced: int = 0
    money_left_utok: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    series: Series = field(default_factory=Series)

    def take(self, slot: int, book: SlotBook, clearing: Clearing, settled: Settlement) -> None:
        """Add one settled slot."""
        self.slots_unbalanced += not settled.checks.energy_conserved
        self.book(settled.lines)
        for match in clearing.matches:
            if match.buyer not in self.community.shared:
                self._match(match, book.tariff)
        for fate in clearing.fates:
            if fate.reason and fate.energy_uwh > fate.matched_uwh:
                self.reasons[in_general(fate.reason)] += 1
        self._slot(slot, book.positions, book.tariff, clearing)

    def book(self, lines: Iterable[Line]) -> None:
        """Add lines of bills. What a member has with bank or in escrow is his own, and no cost."""
        for line in lines:
            self.money_left_utok += line.amount_utok
            if line.counterparty in OWN and line.account not in ACCOUNTS:
                continue
            self.lines[line.account] += 1
            self.cost_utok[line.account] -= line.amount_utok
            if line.kind == "transfer" and line.account not in ACCOUNTS:
                self.fees_utok -= line.amount_utok

    def refuse(self, reason: str) -> None:
        """Count a call that the contract refused."""
        self.reasons[f"a call was refused: {in_general(reason)}"] += 1

    def _match(self, match: Match, tariff: Tariff) -> None:
        pair = (match.seller, match.buyer)
        energy, worth = self.sales.get(pair, (0, 0))
        price = match.price_utok_per_kwh
        self.sales[pair] = (energy + match.energy_uwh, worth + match.energy_uwh * price)
        members = self.community.members
        seller, buyer = members[match.seller], members[match.buyer]
        bid, ask = limits(buyer, tariff)[0], limits(seller, tariff)[1]
        self.welfare_utok_uwh_per_kwh += (bid - ask) * match.energy_uwh
        if price > bid:
            self.unfair_uwh[match.buyer] += match.energy_uwh
        if price < ask:
            self.unfair_uwh[match.seller] += match.energy_uwh
        if seller.area and seller.area == buyer.area:
            self.same_area_uwh += match.energy_uwh
        distance_m = self.community.distance_m(match.seller, match.buyer)
        if distance_m is not None:
            self.uwh_m += distance_m * match.energy_uwh
            self.mapped_uwh += match.energy_uwh

    def _slot(
        self, slot: int, positions: Sequence[Position], tariff: Tariff, clearing: Clearing
    ) -> None:
        surplus = {position.member for position in positions if position.surplus_uwh}
        rows = clearing.remainders
        spilled = sum(row.energy_uwh for row in rows if row.route == SPILLED)
        self.spilled_uwh += spilled
        into = [match for match in clearing.matches if match.buyer in self.community.shared]
        self.stored_uwh += sum(match.energy_uwh for match in into)
        self.stored_uwh += sum(row.energy_uwh for row in rows if row.route == STORAGE)
        sold = [match for match in clearing.matches if match.buyer not in self.community.shared]
        matched = sum(match.energy_uwh for match in sold)
        worth = sum(match.energy_uwh * match.price_utok_per_kwh for match in sold)
        curtailed = sum(row.curtailed_uwh for row in clearing.curtailments)
        homes, series = self.community.homes, self.series
        series.consumed_uwh.append(sum(home.consumption_uwh[slot] for home in homes))
        series.generated_uwh.append(sum(home.generation_uwh[slot] for home in homes))
        out = [row for row in rows if row.route in OUTSIDE]
        series.import_uwh.append(sum(row.energy_uwh for row in out if row.member not in surplus))
        series.export_uwh.append(sum(row.energy_uwh for row in out if row.member in surplus))
        series.matched_uwh.append(matched)
        series.curtailed_uwh.append(curtailed + spilled)
        series.price_utok_per_kwh.append(worth // matched if matched else None)
        series.tariff_utok_per_kwh.append(tariff.price_utok_per_kwh)
        series.feed_in_utok_per_kwh.append(tariff.feed_in_utok_per_kwh)
