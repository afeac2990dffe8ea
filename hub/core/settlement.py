"""What a clearing means in money: both lines of every deal, and the four checks beside them.

`settlement` is all it takes to settle a clearing off the ledger, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hub.core.effects import ESTIMATED, METERED, Line
from hub.core.money import deal, transfer
from hub.market.checks import Checks, check
from hub.market.contract import SPILLED, Clearing, SlotBook


class Settlement(NamedTuple):
    """The lines of all accounts, and what holds for them."""

    lines: tuple[Line, ...]
    checks: Checks


def settlement(book: SlotBook, clearing: Clearing) -> Settlement:
    """Return the money of a clearing and its checks."""
    lines = tuple(lines_of(book, clearing))
    return Settlement(lines, check(book, clearing, sum(line.amount_utok for line in lines)))


def lines_of(book: SlotBook, clearing: Clearing) -> Iterable[Line]:
    """Yield both lines of every deal of a clearing, in its order."""
    estimated = {p.member for p in book.positions if p.estimated}
    giving = {p.member for p in book.positions if p.surplus_uwh}

    def quality(*members: str) -> str:
        return METERED if estimated.isdisjoint(members) else ESTIMATED

    for match in clearing.matches:
        yield from deal(
            match.seller,
            match.buyer,
            match.energy_uwh,
            match.price_utok_per_kwh,
            quality(match.seller, match.buyer),
        )
    for row in clearing.remainders:
        if row.route != SPILLED:
            is_sale = row.member in giving
            seller, buyer = (row.member, row.route) if is_sale else (row.route, row.member)
            yield from deal(
                seller, buyer, row.energy_uwh, row.price_utok_per_kwh, quality(row.member)
            )
    for move in clearing.transfers:
        yield from transfer(move.payer, move.payee, move.amount_utok, move.reason)
