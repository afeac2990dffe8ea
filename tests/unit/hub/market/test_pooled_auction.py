"""Paper 003's pool: the highest bids win, and sellers share what it earned to the micro-token."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import (
    ASK,
    BID,
    GRID,
    Clearing,
    Order,
    Position,
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
)
from hub.market.contracts.pooled_auction import PooledAuction

KWH = 1_000_000_000
TARIFF = Tariff(300_000, 100_000)


def book(*rows: Order, **parameters: Any) -> SlotBook:
    """Ann puts in 6 kWh, bea 3; carl, dan and eve want 4 each."""
    positions = (
        Position("ann", "a", "a", 6 * KWH, 0),
        Position("bea", "b", "b", 3 * KWH, 0),
        *(Position(name, name, name, 0, 4 * KWH) for name in ("carl", "dan", "eve")),
    )
    return SlotBook(0, 3_600_000, positions, TARIFF, parameters, {}, rows)


SELLERS = (Order("ann", ASK, None, 0, 1), Order("bea", ASK, None, 0, 2))
BUYERS = (
    Order("carl", BID, None, 150_000, 3),
    Order("dan", BID, None, 290_000, 4),
    Order("eve", BID, None, 200_000, 5),
)


def clear(slot: SlotBook) -> Clearing:
    clearing = PooledAuction().clear(slot, StepBudget())
    check_clearing(slot, clearing)
    return clearing


def accounts(slot: SlotBook, clearing: Clearing) -> dict[str, int]:
    held: dict[str, int] = {}
    for line in settlement(slot, clearing).lines:
        held[line.account] = held.get(line.account, 0) + line.amount_utok
    return held


def test_the_highest_bids_win_and_each_pays_its_own() -> None:
    slot = book(*SELLERS, *BUYERS)
    found = clear(slot)
    bought = dict.fromkeys(("carl", "dan", "eve"), (0, 0))
    for match in found.matches:
        bought[match.buyer] = (
            bought[match.buyer][0] + match.energy_uwh // KWH,
            match.price_utok_per_kwh,
        )
    assert bought == {"dan": (4, 290_000), "eve": (4, 200_000), "carl": (1, 150_000)}
    assert found.remainders == (Remainder("carl", GRID, 3 * KWH, 300_000),)
    held = accounts(slot, found)
    assert (held["dan"], held["eve"], held["carl"]) == (-1_160_000, -800_000, -1_050_000)
    assert (held["ann"], held["bea"]) == (1_406_667, 703_333)  # 2 110 000, two to one
    assert [fate.reason for fate in found.fates] == ["", "", "the pool was empty", "", ""]
    assert all(settlement(slot, found).checks.passed.values())


def test_one_price_for_all_winners() -> None:
    slot = book(*SELLERS, *BUYERS, price_rule="uniform")
    assert {match.price_utok_per_kwh for match in clear(slot).matches} == {150_000}
    assert settlement(slot, clear(slot)).checks.limits_kept


def test_what_the_pool_does_not_sell_is_shared_alike() -> None:
    slot = book(*SELLERS, BUYERS[1])
    found = clear(slot)
    sold = {match.seller: match.energy_uwh for match in found.matches}
    assert sold == {"ann": 2_666_666_667, "bea": 1_333_333_333}
    assert found.remainders[:2] == (
        Remainder("ann", GRID, 6 * KWH - sold["ann"], 100_000),
        Remainder("bea", GRID, 3 * KWH - sold["bea"], 100_000),
    )


@pytest.mark.parametrize(
    ("price", "reason"),
    [(99_999, "the bid is below the feed-in price, 100000"), (100_000, "")],
)
def test_a_bid_below_the_feed_in_price_gets_nothing(price: int, reason: str) -> None:
    found = clear(book(*SELLERS, Order("eve", BID, None, price, 9)))
    assert found.fates[0].reason == reason


def test_bids_count_up_to_just_below_the_tariff() -> None:
    dear = Order("eve", BID, None, 900_000, 9)
    assert clear(book(*SELLERS, dear)).matches[0].price_utok_per_kwh == 299_999
    free = clear(book(*SELLERS, dear, bid_limit="none"))
    assert free.matches[0].price_utok_per_kwh == 900_000


def test_a_loser_is_told_that_higher_bids_won() -> None:
    found = clear(book(SELLERS[1], *BUYERS))
    assert [(fate.member, fate.reason) for fate in found.fates] == [
        ("dan", "the pool was empty"),
        ("eve", "higher bids emptied the pool"),
        ("carl", "higher bids emptied the pool"),
        ("bea", ""),
    ]


def test_an_asks_price_is_not_looked_at() -> None:
    """The counter-example: a seller who wants more than the pool earns is worse off."""
    greedy = Order("ann", ASK, None, 280_000, 1)
    slot = book(greedy, Order("eve", BID, None, 200_000, 9))
    checks = settlement(slot, clear(slot)).checks
    assert checks.losers == ("ann",)
    assert checks.worst_utok_per_kwh == -80_000
