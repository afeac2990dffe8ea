"""The four checks can fail, each for its own reason, and say by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.settlement import settlement
from hub.market.checks import Checks, check
from hub.market.contract import (
    ASK,
    BANK,
    BID,
    GRID,
    Clearing,
    Fate,
    Match,
    Order,
    Position,
    Remainder,
    SlotBook,
    Tariff,
    Transfer,
)

KWH = 1_000_000_000
BOOK = SlotBook(
    0,
    900_000,
    (Position("ann", "a", "a", 5 * KWH, 0), Position("bob", "b", "b", 0, 3 * KWH)),
    Tariff(300_000, 100_000),
    {},
    {},
)
MATCH = Match("ann", "bob", "a", "b", 3 * KWH, 200_000)
REST = Remainder("ann", GRID, 2 * KWH, 100_000)
GOOD = Clearing((MATCH,), (REST,))


def checks(clearing: Clearing) -> Checks:
    return settlement(BOOK, clearing).checks


def broken(found: Checks) -> set[str]:
    return {name for name, holds in found.passed.items() if not holds}


def test_a_good_clearing_passes_and_says_how_good() -> None:
    found = checks(GOOD)
    assert broken(found) == set()
    assert (found.worst_utok_per_kwh, found.worst_total_utok_uwh_per_kwh) == (
        100_000,
        300_000 * KWH,
    )
    assert found.welfare_utok_uwh_per_kwh == 3 * KWH * 200_000


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, remainders=()),
        replace(GOOD, matches=(MATCH._replace(energy_uwh=4 * KWH),)),
        replace(GOOD, matches=(MATCH._replace(seller="bob", buyer="ann"),)),
        replace(GOOD, remainders=(REST, REST)),
    ],
)
def test_energy(wrong: Clearing) -> None:
    assert not checks(wrong).energy_conserved


def test_money() -> None:
    lines = settlement(BOOK, GOOD).lines
    left = sum(line.amount_utok for line in lines[1:])
    assert broken(check(BOOK, GOOD, left)) == {"money_conserved"}


@pytest.mark.parametrize(
    ("price", "loser", "margin"),
    [(99_999, "ann", -1), (300_001, "bob", -1), (400_000, "bob", -100_000)],
)
def test_limits_of_who_placed_no_order_are_the_tariff(price: int, loser: str, margin: int) -> None:
    found = checks(replace(GOOD, matches=(MATCH._replace(price_utok_per_kwh=price),)))
    assert (found.losers, found.worst_utok_per_kwh) == ((loser,), margin)
    assert broken(found) == {"limits_kept"}


def test_a_fee_can_take_more_than_a_deal_gave() -> None:
    gained = 3 * 100_000
    for fee, losers in ((gained, ()), (gained + 2, ()), (gained + 3, ("bob",))):
        found = checks(replace(GOOD, transfers=(Transfer("bob", GRID, fee, "fee"),)))
        assert found.losers == losers  # a deal and a transfer: two micro-tokens are rounding
    own = checks(replace(GOOD, transfers=(Transfer("bob", BANK, 10**9, "paid out"),)))
    assert own.losers == ()


def told(*rows: tuple[str, str, int, int, int]) -> tuple[Fate, ...]:
    return tuple(
        Fate(who, "", side, kwh * KWH, price, got * KWH, "") for who, side, kwh, price, got in rows
    )


def test_each_of_ones_orders_counts_in_the_pairing_that_suits_it_best() -> None:
    fates = told(
        ("ann", ASK, 1, 180_000, 1), ("ann", ASK, 4, 120_000, 2), ("bob", BID, 3, 250_000, 3)
    )
    two = (
        MATCH._replace(energy_uwh=2 * KWH, price_utok_per_kwh=120_000),
        MATCH._replace(energy_uwh=KWH, price_utok_per_kwh=180_000),
    )
    assert checks(Clearing(two, (REST,), fates=fates, takes_orders=True)).worst_utok_per_kwh == 0
    # Cheapest asks first: of 3 kWh, all three can be her cheap ones.
    cheap = two[0]._replace(energy_uwh=3 * KWH)
    assert (
        checks(Clearing((cheap,), (REST,), fates=fates, takes_orders=True)).worst_utok_per_kwh == 0
    )
    low = cheap._replace(price_utok_per_kwh=119_999)
    assert checks(Clearing((low,), (REST,), fates=fates, takes_orders=True)).losers == ("ann",)


def test_welfare_is_held_against_what_the_orders_allow() -> None:
    fates = told(("ann", ASK, 5, 120_000, 1), ("bob", BID, 3, 250_000, 1))
    part = replace(GOOD, matches=(MATCH._replace(energy_uwh=KWH),), fates=fates, takes_orders=True)
    found = checks(part)
    assert found.optimum_utok_uwh_per_kwh == 3 * KWH * 130_000
    assert found.welfare_ppm == 333_333
    assert "welfare_optimal" in broken(found)


def test_a_bare_book_sells_no_more_than_was_offered() -> None:
    rows = (Order("s", ASK, 2, 100), Order("b", BID, 3, 200))
    book = replace(BOOK, positions=(), orders=rows)
    for energy, holds in ((2, True), (3, False)):
        clearing = Clearing((Match("s", "b", "", "", energy, 150),), fates=())
        assert check(book, clearing, 0).energy_conserved is holds


def test_nothing_is_worth_nothing() -> None:
    found = check(replace(BOOK, positions=()), Clearing(), 0)
    assert (found.worst_member, found.worst_utok_per_kwh, found.welfare_ppm) == ("", None, None)
    assert broken(found) == set()
