"""Settle a slot twice: as it was planned, and what the meters show beside the plan.

What sellers and buyers have between them has the plan's price, in proportion; the rest is the
grid's, at the tariff. The rows follow the meters, since energy is what it is; transfers to and from
the community's account make each pay what his plan costs, plus what he did beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from hub.market.contract import COMMUNITY, Match, Position, Tariff, Transfer
from hub.market.rounding import amount_utok, shares


class Agreed(NamedTuple):
    """What holds in one slot: its price, what each is to draw, and what a deviation costs on top.

    `nets` by member; below 0 he is to feed in. [uWh, utok per kWh]
    """

    price_utok_per_kwh: int
    nets: Mapping[str, int]
    imbalance_utok_per_kwh: int


def _shared(nets: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return how much of what each draws, and of what each feeds in, stays among them."""
    draws, feeds = [max(net, 0) for net in nets], [max(-net, 0) for net in nets]
    within = min(sum(draws), sum(feeds))
    return shares(within, draws), shares(within, feeds)


_NOBODY: Final = (Position("", "", "", 0, 0), 0)


def trades(positions: Sequence[Position], price: int) -> Iterator[Match]:
    """Yield who buys from whom what the meters show: members in their order."""
    bought, sold = _shared([p.deficit_uwh - p.surplus_uwh for p in positions])
    sources = ((p, energy) for p, energy in zip(positions, sold, strict=True) if energy)
    seller, left = next(sources, _NOBODY)
    for buyer, energy in zip(positions, bought, strict=True):
        missing = energy
        while missing:
            part = min(missing, left)
            yield Match(
                seller.member, buyer.member, seller.export_meter, buyer.import_meter, part, price
            )
            missing, left = missing - part, left - part
            if not left:
                seller, left = next(sources, _NOBODY)


def levelled(
    agreed: Agreed,
    tariff: Tariff,
    positions: Sequence[Position],
    matches: Sequence[Match],
) -> Iterator[Transfer]:
    """Yield what makes each pay by the schedule and for what he did beside it."""
    due = _due(tariff, agreed.price_utok_per_kwh, [agreed.nets[p.member] for p in positions])
    rows = _booked(tariff, positions, matches)
    for p, planned_utok in zip(positions, due, strict=True):
        drawn = p.deficit_uwh - p.surplus_uwh
        beside = drawn - agreed.nets[p.member]
        booked = rows[p.member]
        lacks = planned_utok + _with_grid(tariff, beside) - booked.utok
        if abs(lacks) > booked.rows:
            yield _between(p.member, lacks, "the schedule settles at its own price")
        missed = 0 if p.estimated else abs(beside + p.held_uwh)
        charge = amount_utok(missed, agreed.imbalance_utok_per_kwh)
        if charge:
            yield _between(p.member, charge, f"{missed} uWh beside his plan")


def _between(member: str, amount_utok: int, reason: str) -> Transfer:
    """Return what a member pays to the community, or gets from it."""
    if amount_utok < 0:
        return Transfer(COMMUNITY, member, -amount_utok, reason)
    return Transfer(member, COMMUNITY, amount_utok, reason)


def _due(tariff: Tariff, price: int, nets: Sequence[int]) -> list[int]:
    """Return what the schedule by itself costs each. [utok]"""
    bought, sold = _shared(nets)
    return [
        amount_utok(got, price) - amount_utok(gave, price) + _with_grid(tariff, net - got + gave)
        for net, got, gave in zip(nets, bought, sold, strict=True)
    ]


class _Booked(NamedTuple):
    """What a member's rows cost him, and how many they are: so much may be rounding. [utok]"""

    utok: int = 0
    rows: int = 0

    def plus(self, amount_utok: int) -> _Booked:
        return _Booked(self.utok + amount_utok, self.rows + 1)


def _booked(
    tariff: Tariff, positions: Sequence[Position], matches: Sequence[Match]
) -> dict[str, _Booked]:
    found = {p.member: _Booked() for p in positions}
    left = {p.member: p.deficit_uwh - p.surplus_uwh for p in positions}
    for match in matches:
        amount = amount_utok(match.energy_uwh, match.price_utok_per_kwh)
        found[match.buyer] = found[match.buyer].plus(amount)
        found[match.seller] = found[match.seller].plus(-amount)
        left[match.buyer] -= match.energy_uwh
        left[match.seller] += match.energy_uwh
    return {
        member: booked.plus(_with_grid(tariff, left[member])) for member, booked in found.items()
    }


def _with_grid(tariff: Tariff, net_uwh: int) -> int:
    """Return what the grid takes for energy drawn; below 0: what it pays. [utok]"""
    if net_uwh > 0:
        return amount_utok(net_uwh, tariff.price_utok_per_kwh)
    return -amount_utok(-net_uwh, tariff.feed_in_utok_per_kwh)
