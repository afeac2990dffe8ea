"""What a statement adds up to: with whom energy was dealt, and why money moved without any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from messages.statement import CORRECTION, PURCHASE, SALE, TRANSFER, Line

_ORDER: Final = (SALE, PURCHASE, CORRECTION, TRANSFER)
_WITH: Final = {SALE: "to", PURCHASE: "from"}


class Sum(NamedTuple):
    """All lines of a kind with one side, or for one reason. [uWh, utok]"""

    kind: str
    what: str
    energy_uwh: int
    amount_utok: int


def sums(lines: Iterable[Line]) -> tuple[Sum, ...]:
    """Return what lines add up to: sales, purchases, corrections, then transfers by reason.

    Members are not told apart, so that a sum shows nobody's name; the amounts make up the change of
    the balance.
    """
    found: dict[tuple[str, str], Sum] = {}
    for line in lines:
        key = (line.kind, _what(line))
        before = found.get(key, Sum(*key, 0, 0))
        found[key] = before._replace(
            energy_uwh=before.energy_uwh + line.energy_uwh,
            amount_utok=before.amount_utok + line.amount_utok,
        )
    return tuple(sorted(found.values(), key=lambda each: (_ORDER.index(each.kind), each.what)))


def _what(line: Line) -> str:
    if line.kind in _WITH:
        side = line.counterparty
        return f"{_WITH[line.kind]} {'the ' + side[1:] if side.startswith('@') else 'members'}"
    return line.quality if line.kind == TRANSFER else ""
