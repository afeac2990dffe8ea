"""Energy that members share at one price: what is over serves what is lacking, in proportion.

The price lies between what the grid pays and what it costs, and within floor and cap of the policy,
so that nobody does worse than alone. Energy is divided by largest remainder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hub.market.contract import ASK, BID, Fate, Match, Position, SlotBook, StepBudget, Tariff
from hub.market.parameters import whole
from hub.market.rounding import shares


@dataclass(frozen=True, slots=True)
class PriceRules:
    """The price among members: 0 is the grid's feed-in price, 100 its tariff. [%]"""

    price_percent: int = whole(50, 0, 100)

    def price_utok_per_kwh(self, tariff: Tariff, charge_utok_per_kwh: int = 0) -> int | None:
        """Return the price, rounded down; None where none suits both sides and the policy.

        Args:
            tariff: of the slot.
            charge_utok_per_kwh: what buyers pay on top; with it and the network fee they still
                pay the tariff at most.
        """
        low = max(tariff.feed_in_utok_per_kwh, tariff.floor_utok_per_kwh)
        high = min(
            tariff.price_utok_per_kwh - charge_utok_per_kwh - tariff.network_fee_utok_per_kwh,
            tariff.cap_utok_per_kwh,
        )
        return None if low > high else low + (high - low) * self.price_percent // 100


class Side(NamedTuple):
    """Members of one side, and how much each gives or takes. [uWh]"""

    positions: Sequence[Position]
    energies_uwh: Sequence[int]


def surpluses(book: SlotBook) -> Side:
    """Return who has energy over."""
    return Side(book.positions, [p.surplus_uwh for p in book.positions])


def deficits(book: SlotBook) -> Side:
    """Return who lacks energy."""
    return Side(book.positions, [p.deficit_uwh for p in book.positions])


def shared(
    gives: Side, takes: Side, price_utok_per_kwh: int | None, budget: StepBudget
) -> tuple[Match, ...]:
    """Return as much as both sides have, each member's part in proportion; nothing at no price."""
    if price_utok_per_kwh is None:
        return ()
    total = min(sum(gives.energies_uwh), sum(takes.energies_uwh))
    given, taken = shares(total, gives.energies_uwh), shares(total, takes.energies_uwh)
    budget.spend(2 * (len(given) + len(taken)))
    return matched(gives.positions, takes.positions, given, taken, price_utok_per_kwh)


def matched(
    givers: Sequence[Position],
    takers: Sequence[Position],
    given_uwh: Sequence[int],
    taken_uwh: Sequence[int],
    price_utok_per_kwh: int,
) -> tuple[Match, ...]:
    """Return matches that make of two lists of one sum who gives whom what, in their order."""
    return tuple(
        Match(
            givers[giver].member,
            takers[taker].member,
            givers[giver].export_meter,
            takers[taker].import_meter,
            energy,
            price_utok_per_kwh,
        )
        for taker, giver, energy in dealt_out(taken_uwh, given_uwh)
    )


def dealt_out(wanted: Sequence[int], offered: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (place of who wants, place of who offers, amount), in order, until one side is empty.

    >>> list(dealt_out([3, 0, 2], [1, 9]))
    [(0, 0, 1), (0, 1, 2), (2, 1, 2)]
    """
    place, left = 0, offered[0] if offered else 0
    for who, want in enumerate(wanted):
        missing = want
        while missing and place < len(offered):
            part = min(missing, left)
            if part:
                yield who, place, part
            missing, left = missing - part, left - part
            if left == 0:
                place += 1
                left = offered[place] if place < len(offered) else 0


def told(
    book: SlotBook,
    matches: Sequence[Match],
    unserved: Mapping[str, str],
    unsold: str = "nobody lacked more",
) -> Iterator[Fate]:
    """Tell each member what came of his slot; who names no limit is held against the tariff.

    Args:
        book: of the slot.
        matches: of the slot.
        unserved: why a buyer did not get all; "" for those who are not in it.
        unsold: why a seller did not sell all.
    """
    sold: dict[str, int] = {}
    bought: dict[str, int] = {}
    for match in matches:
        sold[match.seller] = sold.get(match.seller, 0) + match.energy_uwh
        bought[match.buyer] = bought.get(match.buyer, 0) + match.energy_uwh
    price, feed_in = book.tariff.price_utok_per_kwh, book.tariff.feed_in_utok_per_kwh
    for p in book.positions:
        if p.deficit_uwh:
            got = bought.get(p.member, 0)
            why = unserved.get(p.member, unserved.get("", "no surplus was left"))
            reason = "" if got == p.deficit_uwh else why
            yield Fate(p.member, "", BID, p.deficit_uwh, price, got, reason)
        if p.surplus_uwh:
            got = sold.get(p.member, 0)
            reason = "" if got == p.surplus_uwh else unsold
            yield Fate(p.member, "", ASK, p.surplus_uwh, feed_in, got, reason)
