"""A statement's sums by what they were for."""

from __future__ import annotations

from hub.statements.sums import Sum, sums
from messages.statement import CORRECTION, PURCHASE, SALE, TRANSFER, Line


def test_by_side_and_by_reason() -> None:
    lines = [
        Line("ann", PURCHASE, "@grid", 5, 300, -2, "metered"),
        Line("ann", TRANSFER, "@operator", 0, 0, -7, "network fee"),
        Line("ann", SALE, "bob", 3, 200, 4, "metered"),
        Line("ann", SALE, "cyd", 4, 200, 6, "estimated"),
        Line("ann", TRANSFER, "@bank", 0, 0, 100, "deposit"),
        Line("ann", TRANSFER, "@operator", 0, 0, -1, "network fee"),
        Line("ann", CORRECTION, "@grid", -1, 300, -3, "corrected"),
    ]
    found = sums(lines)
    assert found == (
        Sum(SALE, "to members", 7, 10),
        Sum(PURCHASE, "from the grid", 5, -2),
        Sum(CORRECTION, "", -1, -3),
        Sum(TRANSFER, "deposit", 0, 100),
        Sum(TRANSFER, "network fee", 0, -8),
    )
    assert sum(each.amount_utok for each in found) == sum(line.amount_utok for line in lines)


def test_nothing_booked() -> None:
    assert sums([]) == ()
