"""What is worth showing beside every clearing, computed from its rows and not assumed.

- Energy: each member's net energy is dealt with exactly once; a bare book sells what it buys.
- Money: the lines that were booked sum to zero.
- Limits: nobody is worse off than his own limit. A deal is held against the order that suits it
  best (a member's cheapest asks against his worst prices), then the whole against what he pays and
  receives beside it, where a micro-token a deal and transfer is rounding. Money to and from bank
  and escrow is his own and not counted.
- Welfare: what buyers would have paid less what sellers would have asked, against the most that
  these orders allow.

A member who trades without an order is held against the tariff: what the grid alone would have cost
him. Where a market takes no orders, all are; where it does, who placed none is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hub.market.contract import (
    ASK,
    BANK,
    BID,
    ESCROW,
    Clearing,
    Order,
    SlotBook,
    StepBudget,
)
from hub.market.crossing import cross, energy_of
from hub.market.offered import ask_rank, bid_rank
from hub.market.rounding import KWH_UWH

_OWN: Final = (BANK, ESCROW)
_PPM: Final = 1_000_000
Deals = dict[tuple[str, str], list[tuple[int, int]]]
"""(member, side) -> (price in utok per kWh, energy in uWh) of each deal."""


@dataclass(frozen=True, slots=True)
class Checks:
    """The four checks as data.

    `worst_utok_per_kwh`: by how much the worst deal is better (below 0: worse) than its member's
    limit; `worst_total`: what the member who gained least gained over all, fees taken off. Both
    None where nobody dealt. Welfare is in utok uWh per kWh: divide by 10^9 for micro-tokens.
    """

    energy_conserved: bool
    money_conserved: bool
    worst_member: str
    worst_utok_per_kwh: int | None
    worst_total_utok_uwh_per_kwh: int | None
    losers: tuple[str, ...]
    matched_uwh: int
    welfare_utok_uwh_per_kwh: int
    optimum_utok_uwh_per_kwh: int

    @property
    def limits_kept(self) -> bool:
        """Whether nobody is worse off than his own limit."""
        return not self.losers

    @property
    def welfare_ppm(self) -> int | None:
        """Welfare as parts per million of the optimum, rounded down; None where that is 0."""
        optimum = self.optimum_utok_uwh_per_kwh
        return self.welfare_utok_uwh_per_kwh * _PPM // optimum if optimum else None

    @property
    def passed(self) -> Mapping[str, bool]:
        """Each check's name, and whether it holds."""
        return {
            "energy_conserved": self.energy_conserved,
            "money_conserved": self.money_conserved,
            "limits_kept": self.limits_kept,
            "welfare_optimal": self.welfare_utok_uwh_per_kwh == self.optimum_utok_uwh_per_kwh,
        }


def check(book: SlotBook, clearing: Clearing, left_over_utok: int) -> Checks:
    """Return the four checks of a clearing, whoever made it.

    Args:
        book: what the contract saw.
        clearing: what it returned.
        left_over_utok: the sum of all lines that were booked for it (`hub.core.settlement`).
    """
    deals = _deals(clearing)
    limits = _limits(book, clearing, deals)
    margins = {key: list(_margins(key, made, limits)) for key, made in deals.items()}
    totals: dict[str, int] = {}
    for (member, _), parts in margins.items():
        gained = sum(margin * energy for margin, energy in parts)
        totals[member] = totals.get(member, 0) + gained
    moved = {member: len(parts) for (member, _), parts in deals.items()}
    for member, amounts in _paid_beside(clearing).items():
        totals[member] = totals.get(member, 0) - sum(amounts) * KWH_UWH
        moved[member] = moved.get(member, 0) + len(amounts)
    worst = min(
        ((margin, member) for (member, _), parts in margins.items() for margin, _ in parts),
        default=None,
    )
    below = {m for (m, _), parts in margins.items() if any(margin < 0 for margin, _ in parts)}
    below |= {member for member, total in totals.items() if total < -moved[member] * KWH_UWH}
    return Checks(
        energy_conserved=_is_energy_conserved(book, clearing),
        money_conserved=left_over_utok == 0,
        worst_member=worst[1] if worst else "",
        worst_utok_per_kwh=worst[0] if worst else None,
        worst_total_utok_uwh_per_kwh=min(totals.values(), default=None),
        losers=tuple(sorted(below)),
        matched_uwh=sum(match.energy_uwh for match in clearing.matches),
        welfare_utok_uwh_per_kwh=_welfare(deals, limits),
        optimum_utok_uwh_per_kwh=optimum_utok_uwh_per_kwh(
            [o for (_, side), orders in limits.items() if side == BID for o in orders],
            [o for (_, side), orders in limits.items() if side == ASK for o in orders],
        ),
    )


def optimum_utok_uwh_per_kwh(bids: Iterable[Order], asks: Iterable[Order]) -> int:
    """Return the most welfare that orders allow: all that cross, at whatever price."""
    dear, cheap = sorted(bids, key=bid_rank), sorted(asks, key=ask_rank)
    found = cross(dear, cheap, StepBudget(len(dear) + len(cheap)))
    return sum(
        energy * (dear[bid].price_utok_per_kwh - cheap[ask].price_utok_per_kwh)
        for bid, ask, energy in found.pairs
    )


def _limits(book: SlotBook, clearing: Clearing, deals: Deals) -> dict[tuple[str, str], list[Order]]:
    """Return each member's own limits, best first for the market: dear bids, cheap asks."""
    limits: dict[tuple[str, str], list[Order]] = {}
    for place, row in enumerate(clearing.fates):
        if row.side in (BID, ASK) and row.energy_uwh > 0:
            order = Order(row.member, row.side, row.energy_uwh, row.price_utok_per_kwh, place)
            limits.setdefault((row.member, row.side), []).append(order)
    for orders in limits.values():
        orders.sort(key=bid_rank if orders[0].side == BID else ask_rank)
    tariff = {BID: book.tariff.price_utok_per_kwh, ASK: book.tariff.feed_in_utok_per_kwh}
    if clearing.takes_orders:
        alone = {key: sum(part for _, part in made) for key, made in deals.items()}
    else:
        alone = {(p.member, BID): p.deficit_uwh for p in book.positions}
        alone |= {(p.member, ASK): p.surplus_uwh for p in book.positions}
    for (member, side), energy in alone.items():
        if energy and (member, side) not in limits:
            limits[member, side] = [Order(member, side, energy, tariff[side])]
    return limits


def _deals(clearing: Clearing) -> Deals:
    deals: Deals = {}
    for match in clearing.matches:
        deal = (match.price_utok_per_kwh, match.energy_uwh)
        deals.setdefault((match.seller, ASK), []).append(deal)
        deals.setdefault((match.buyer, BID), []).append(deal)
    return deals


def _margins(
    key: tuple[str, str], made: list[tuple[int, int]], limits: Mapping[tuple[str, str], list[Order]]
) -> Iterable[tuple[int, int]]:
    """Yield (margin, energy): a member's deals against his limits, the worst pairing left out.

    Both in the order of their prices: if any pairing keeps all limits, this one does. Energy sold
    or bought beyond all orders is held against the last limit.
    """
    sign = 1 if key[1] == ASK else -1
    orders = limits.get(key, [])
    place, left = 0, energy_of(orders[0]) if orders else 0
    for price, energy in sorted(made, key=lambda deal: sign * deal[0]):
        unheld = energy
        while unheld and orders:
            is_last = place == len(orders) - 1
            part = unheld if is_last else min(unheld, left)
            yield sign * (price - orders[place].price_utok_per_kwh), part
            unheld, left = unheld - part, left - part
            if left <= 0 and not is_last:
                place += 1
                left = energy_of(orders[place])


def _paid_beside(clearing: Clearing) -> dict[str, list[int]]:
    """Return what members paid beside their deals, fees and shares; below 0: received. [utok]"""
    paid: dict[str, list[int]] = {}
    for move in clearing.transfers:
        if move.payer in _OWN or move.payee in _OWN:
            continue
        for account, amount in ((move.payer, move.amount_utok), (move.payee, -move.amount_utok)):
            if not account.startswith("@"):
                paid.setdefault(account, []).append(amount)
    return paid


def _welfare(deals: Deals, limits: Mapping[tuple[str, str], list[Order]]) -> int:
    """Return the value of what was matched to buyers, less what it was worth to sellers."""
    total = 0
    for key, made in deals.items():
        energy = sum(part for _, part in made)
        worth = 0
        for place, order in enumerate(orders := limits.get(key, [])):
            is_last = place == len(orders) - 1
            part = energy if is_last else min(energy, energy_of(order))
            worth += part * order.price_utok_per_kwh
            energy -= part
        total += worth if key[1] == BID else -worth
    return total


def _is_energy_conserved(book: SlotBook, clearing: Clearing) -> bool:
    if book.is_bare:
        bounds: dict[tuple[str, str], int] = {}
        for order in book.orders:
            key = (order.member, order.side)
            bounds[key] = bounds.get(key, 0) + energy_of(order)
        deals = _deals(clearing).items()
        return all(sum(part for _, part in made) <= bounds.get(key, 0) for key, made in deals)
    left = {p.member: p.surplus_uwh - p.deficit_uwh for p in book.positions}
    gives = {member: energy > 0 for member, energy in left.items()}
    within = True
    for match in clearing.matches:
        within &= gives.get(match.seller, False) and not gives.get(match.buyer, True)
        left[match.seller] = left.get(match.seller, 0) - match.energy_uwh
        left[match.buyer] = left.get(match.buyer, 0) + match.energy_uwh
    for row in clearing.remainders:
        sign = -1 if gives.get(row.member, False) else 1
        left[row.member] = left.get(row.member, 0) + sign * row.energy_uwh
    return within and not any(left.values())
