"""What no match dealt with: who is left with how much, and the grid that takes or gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub.market.contract import (
    GRID,
    Clearing,
    Curtailment,
    Fate,
    Match,
    Position,
    Remainder,
    SlotBook,
    Transfer,
    Value,
)


def left_uwh(positions: Iterable[Position], matches: Iterable[Match]) -> dict[str, int]:
    """Return each member's net energy after the matches; above 0 is surplus. [uWh]"""
    left = {p.member: p.surplus_uwh - p.deficit_uwh for p in positions}
    for match in matches:
        left[match.seller] -= match.energy_uwh
        left[match.buyer] += match.energy_uwh
    return left


def rest_to_grid(
    book: SlotBook,
    matches: Iterable[Match],
    *,
    source: str = GRID,
    sink: str = GRID,
    price_utok_per_kwh: int | None = None,
    feed_in_utok_per_kwh: int | None = None,
) -> tuple[Remainder, ...]:
    """Return the rows that send everybody's rest to an account; at the tariff unless told."""
    if book.is_bare:
        return ()
    price, feed_in = price_utok_per_kwh, feed_in_utok_per_kwh
    price = book.tariff.price_utok_per_kwh if price is None else price
    feed_in = book.tariff.feed_in_utok_per_kwh if feed_in is None else feed_in
    return tuple(
        Remainder(member, sink, energy, feed_in)
        if energy > 0
        else Remainder(member, source, -energy, price)
        for member, energy in left_uwh(book.positions, matches).items()
        if energy
    )


def held_back(positions: Iterable[Position]) -> tuple[Curtailment, ...]:
    """Return what open relays kept from members, where the rest of their want was served."""
    return tuple(
        Curtailment(p.member, p.wanted_uwh, p.consumed_uwh, p.held_uwh, 0)
        for p in positions
        if p.held_uwh
    )


def with_grid(
    book: SlotBook,
    matches: Iterable[Match],
    *,
    transfers: Iterable[Transfer] = (),
    memory: Mapping[str, Value] | None = None,
    fates: Iterable[Fate] = (),
    takes_orders: bool = False,
) -> Clearing:
    """Return a clearing in which the grid, at the tariff, takes and gives what matches leave.

    Args:
        book: of the slot.
        matches: of the slot.
        transfers: money beside them.
        memory: rows that change.
        fates: what members are told.
        takes_orders: as in `Clearing`.
    """
    matches = tuple(matches)
    return Clearing(
        matches=matches,
        remainders=rest_to_grid(book, matches),
        curtailments=held_back(book.positions),
        transfers=tuple(transfers),
        memory=memory or {},
        fates=tuple(fates),
        takes_orders=takes_orders,
    )
