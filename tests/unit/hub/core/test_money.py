"""One rounding rule: half to even, once a deal, the same amount on both sides."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hub.core.effects import Line
from hub.core.money import correction, deal, transfer
from hub.market.contract import GRID, Tariff
from hub.market.rounding import amount_utok, half_even

KWH = 1_000_000_000


@pytest.mark.parametrize(
    ("numerator", "expected"),
    [(14, 1), (15, 2), (16, 2), (24, 2), (25, 2), (26, 3), (-15, -2), (-25, -2), (-26, -3), (0, 0)],
)
def test_half_even(numerator: int, expected: int) -> None:
    assert half_even(numerator, 10) == expected


def test_a_kilowatt_hour_costs_its_price() -> None:
    assert amount_utok(KWH, 220_000) == 220_000
    assert amount_utok(3 * KWH // 2, 1) == 2
    assert amount_utok(KWH // 2, 1) == 0


def test_both_sides_of_a_deal() -> None:
    assert deal("ann", "bob", 3, 500_000_000, "metered") == (
        Line("ann", "sale", "bob", 3, 500_000_000, 2, "metered"),
        Line("bob", "purchase", "ann", 3, 500_000_000, -2, "metered"),
    )
    assert transfer("bob", "ann", 7, "fee") == (
        Line("ann", "transfer", "bob", 0, 0, 7, "fee"),
        Line("bob", "transfer", "ann", 0, 0, -7, "fee"),
    )


TARIFF = Tariff(300, 100)


@pytest.mark.parametrize(
    ("old", "new", "amounts"),
    [
        (-5 * KWH, -7 * KWH, [-600]),  # drew more: pays the price
        (-7 * KWH, -5 * KWH, [600]),  # drew less: gets the price back
        (5 * KWH, 7 * KWH, [200]),  # fed in more: earns the feed-in price
        (7 * KWH, 5 * KWH, [-200]),
        (-2 * KWH, 3 * KWH, [600, 300]),  # both: one line for each price
        (3 * KWH, -2 * KWH, [-600, -300]),
        (4 * KWH, 4 * KWH, []),
    ],
)
def test_a_correction_deals_with_the_grid(old: int, new: int, amounts: list[int]) -> None:
    lines = correction("ann", old, new, TARIFF)
    assert [line.amount_utok for line in lines if line.account == "ann"] == amounts
    assert [-line.amount_utok for line in lines if line.account == GRID] == amounts
    assert sum(line.energy_uwh for line in lines if line.account == "ann") == new - old


def test_corrections_one_after_the_other_end_where_one_would() -> None:
    steps = [-(10**6), -(10**6) + 3, 5, 10**6 + 7]
    tariff = Tariff(333_333, 77_777)
    one_by_one = sum(
        line.amount_utok
        for old, new in pairwise(steps)
        for line in correction("ann", old, new, tariff)
        if line.account == "ann"
    )
    at_once = correction("ann", steps[0], steps[-1], tariff)
    assert one_by_one == sum(line.amount_utok for line in at_once if line.account == "ann")
