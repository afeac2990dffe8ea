"""Plain Python and numpy clear every book alike, and as the rule says when it is played slowly."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hub.market import arrays
from hub.market.columns import Deals, Lines, Met, Side, auction, meet
from hub.market.rounding import amount_utok

ALWAYS, NEVER = 0, 2**62
energies = st.integers(0, 4) | st.integers(0, 10**12) | st.sampled_from([0, 2**61, 2**62, 2**70])
prices = st.integers(-3, 3) | st.integers(-(10**8), 10**8) | st.sampled_from([-(2**40), 2**64])
sides = st.lists(st.tuples(energies, prices), max_size=30).map(
    lambda rows: Side([energy for energy, _ in rows], [price for _, price in rows])
)


def plain(column: Any) -> list[int]:
    return column if isinstance(column, list) else column.tolist()


def listed(deals: Deals) -> Deals:
    """Return deals with lists for columns, whoever made them."""
    bid, ask, energy = (plain(column) for column in deals[:3])
    lines = Lines(*(plain(column) for column in deals.lines))
    return Deals(bid, ask, energy, deals.price_utok_per_kwh, lines, deals.welfare_utok_uwh_per_kwh)


def slowly(bids: Side, asks: Side) -> list[list[int]]:
    """Return [bid, ask, energy] of each deal: the dearest bid with the cheapest ask, and again."""
    wanted, left = list(bids.energy_uwh), list(asks.energy_uwh)
    found = []
    while True:
        over = [(-bids.price_utok_per_kwh[n], n) for n, energy in enumerate(wanted) if energy]
        under = [(asks.price_utok_per_kwh[n], n) for n, energy in enumerate(left) if energy]
        if not over or not under or -min(over)[0] < min(under)[0]:
            return found
        bid, ask = min(over)[1], min(under)[1]
        energy = min(wanted[bid], left[ask])
        found.append([bid, ask, energy])
        wanted[bid] -= energy
        left[ask] -= energy


@given(sides, sides)
@example(Side([2**61, 2**61], [1, 1]), Side([2**62], [0]))
@example(Side([1], [2**63]), Side([1], [-(2**63)]))
def test_both_roads_lead_to_the_same_integers(bids: Side, asks: Side) -> None:
    deals = auction(bids, asks, NEVER)
    assert listed(auction(bids, asks, ALWAYS)) == deals
    assert [list(row) for row in zip(*deals[:3], strict=True)] == slowly(bids, asks)


@given(sides, sides)
def test_one_price_within_everybodys_limit_and_money_that_sums_to_zero(
    bids: Side, asks: Side
) -> None:
    found = listed(auction(bids, asks, ALWAYS))
    price = found.price_utok_per_kwh
    assert (price is None) == (found.energy_uwh == [])
    assert sum(found.lines.amount_utok) == 0
    if price is not None:
        assert all(bids.price_utok_per_kwh[bid] >= price for bid in found.bid)
        assert all(asks.price_utok_per_kwh[ask] <= price for ask in found.ask)
        sold = found.lines.amount_utok[: len(found.ask)]
        assert sold == [amount_utok(energy, price) for energy in found.energy_uwh]


@given(sides, sides)
def test_ranked_sides_meet_alike(bids: Side, asks: Side) -> None:
    over = sorted(zip(*bids, strict=True), key=lambda row: -row[1])
    under = sorted(zip(*asks, strict=True), key=lambda row: row[1])
    ranked = [Side([e for e, _ in rows], [p for _, p in rows]) for rows in (over, under)]
    assert meet(*ranked, ALWAYS) == meet(*ranked, NEVER)
    assert isinstance(meet(*ranked, ALWAYS), Met)


@given(sides, sides)
def test_numpy_does_it_wherever_64_bits_hold_every_product(bids: Side, asks: Side) -> None:
    columns = (*bids, *asks)
    dearest = max((abs(price) for column in columns[1::2] for price in column), default=0)
    fits = all(
        column and max(max(column) * len(column), max(column) * 2 * dearest, dearest) < arrays.ROOM
        for column in columns[::2]
    )
    assert (arrays.auction(columns) is not None) == fits
