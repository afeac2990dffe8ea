"""Paper 004: near ones together, the grid's hours, and what its lowest ask does to sellers."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import (
    ASK,
    BID,
    GRID,
    CallRequest,
    Clearing,
    Order,
    Position,
    Remainder,
    Site,
    SlotBook,
    StepBudget,
    Tariff,
)
from hub.market.contracts.hybrid_p2p import HybridP2P
from hub.market.errors import BadParameter, CallRefused
from tests.support.order_books import WH, bare_book, columns, orders
from tests.unit.hub.market.test_double_auction import VECTORS

KWH = 1_000_000_000
HOUR = 3_600_000
TARIFF = Tariff(300_000, 100_000)


def clear(book: SlotBook) -> Clearing:
    clearing = HybridP2P().clear(book, StepBudget(10**8))
    if not book.is_bare:
        check_clearing(book, clearing)
    return clearing


def test_the_papers_lowest_ask_pays_986_of_987_sellers_below_their_ask() -> None:
    """The counter-example to "nobody is worse off than his own limit"."""
    facts = VECTORS["lowest_ask"]
    found = orders(columns(facts["n"]))
    book = bare_book(found, price_rule="lowest_ask", areas_beside="0:1, 1:2")
    clearing = clear(book)
    asks = {order.member: order.price_utok_per_kwh for order in found if order.side == ASK}
    sellers = {match.seller for match in clearing.matches}
    (price,) = {match.price_utok_per_kwh for match in clearing.matches}
    assert price == min(asks.values())
    assert len(sellers) == facts["selling"]
    assert sum(asks[seller] > price for seller in sellers) == facts["below_their_ask"]
    checks = settlement(book, clearing).checks
    assert len(checks.losers) == facts["below_their_ask"]
    assert not checks.limits_kept
    assert checks.energy_conserved
    assert checks.money_conserved
    assert checks.matched_uwh == facts["energy_wh"] * WH
    assert checks.welfare_ppm is not None
    assert 420_000 < checks.welfare_ppm < 445_000
    areas = {order.member: order.area for order in found}
    near = sum(m.energy_uwh for m in clearing.matches if areas[m.seller] == areas[m.buyer])
    assert near > checks.matched_uwh * 98 // 100


def test_our_price_rule_is_the_double_auctions_and_areas_only_pair() -> None:
    vector = VECTORS["books"][1]
    book = bare_book(orders(columns(vector["n"])), areas_beside="0:1, 1:2")
    clearing = clear(book)
    checks = settlement(book, clearing).checks
    assert {match.price_utok_per_kwh for match in clearing.matches} == {vector["price"]}
    assert checks.welfare_utok_uwh_per_kwh == vector["welfare"] * WH
    assert all(checks.passed.values())


def street(slot_ms: int = 0, **parameters: Any) -> SlotBook:
    """Ann (north) and bea (south) sell 4 kWh each; carl (south) and dan (east) want 3 and 3."""
    positions = (
        Position("ann", "a", "a", 4 * KWH, 0),
        Position("bea", "b", "b", 4 * KWH, 0),
        Position("carl", "c", "c", 0, 3 * KWH),
        Position("dan", "d", "d", 0, 3 * KWH),
    )
    sites = {
        "a": Site("solar", "north", 0, 0),
        "b": Site("solar", "south", 0, 900),
        "c": Site("", "south", 0, 800),
        "d": Site("", "east", 0, 100),
    }
    rows = (
        Order("ann", ASK, None, 150_000, 1),
        Order("bea", ASK, None, 170_000, 2),
        Order("carl", BID, None, 260_000, 3),
        Order("dan", BID, None, 280_000, 4),
    )
    return SlotBook(slot_ms, HOUR, positions, TARIFF, parameters, {}, rows, sites)


def pairs(clearing: Clearing) -> list[tuple[str, str, int]]:
    return [(m.seller, m.buyer, m.energy_uwh // KWH) for m in clearing.matches]


def test_same_area_first_then_beside_then_others() -> None:
    assert pairs(clear(street())) == [("bea", "carl", 2), ("ann", "dan", 3), ("ann", "carl", 1)]
    by_neighbours = clear(street(areas_beside="south:east", other_areas="grid"))
    assert pairs(by_neighbours) == [("bea", "carl", 2)]
    wide = clear(street(areas_beside="south:east, east:north, north:south"))
    assert pairs(wide) == [("bea", "carl", 2), ("ann", "dan", 3), ("ann", "carl", 1)]


def test_the_nearest_first() -> None:
    found = clear(street(match_by="distance"))
    assert pairs(found) == [("ann", "dan", 3), ("bea", "carl", 2), ("ann", "carl", 1)]
    assert {m.price_utok_per_kwh for m in found.matches} == {215_000}


def test_what_other_areas_may_not_buy_goes_to_the_grid_and_everybody_is_told() -> None:
    found = clear(street(other_areas="grid"))
    assert found.remainders == (
        Remainder("ann", GRID, 4 * KWH, 100_000),
        Remainder("bea", GRID, 2 * KWH, 100_000),
        Remainder("carl", GRID, KWH, 300_000),
        Remainder("dan", GRID, 3 * KWH, 300_000),
    )
    assert [(fate.member, fate.matched_uwh // KWH, fate.reason) for fate in found.fates] == [
        ("dan", 0, "no seller of the fuels and areas that it takes was left"),
        ("carl", 2, "no seller of the fuels and areas that it takes was left"),
        ("ann", 0, "the bids that it would have served take other fuels or areas"),
        ("bea", 2, "the last one served: in part"),
    ]


@pytest.mark.parametrize(
    ("hour", "rule", "price"),
    [
        (18, "text", 360_000),
        (3, "text", 285_000),
        (12, "text", 300_000),
        (18, "printed", 540_000),
        (3, "printed", 15_000),
    ],
)
def test_the_grid_costs_what_text_or_algorithm_say(hour: int, rule: str, price: int) -> None:
    book = street(
        hour * HOUR,
        peak_hours="17:00-21:00",
        off_peak_hours="22:00-06:00",
        grid_price=rule,
        status="closed",
    )
    found = clear(book)
    assert found.matches == ()
    assert {row.price_utok_per_kwh for row in found.remainders} == {price, 100_000}


def test_what_is_left_sells_at_the_market_price_or_the_feed_in_price() -> None:
    paper = clear(street(sell="market"))
    assert paper.remainders == (Remainder("bea", GRID, 2 * KWH, 215_000),)
    assert clear(street()).remainders == (Remainder("bea", GRID, 2 * KWH, 100_000),)


def test_limits_lie_between_the_feed_in_price_and_what_the_grid_costs() -> None:
    book = street(3 * HOUR, off_peak_hours="00:00-06:00", grid_price="printed")
    found = clear(book)
    assert found.matches == ()
    assert [(fate.member, fate.reason) for fate in found.fates] == [
        ("carl", "no bid reaches any ask"),
        ("dan", "no bid reaches any ask"),
        ("ann", "the ask is above the highest price that may be, 100000"),
        ("bea", "the ask is above the highest price that may be, 100000"),
    ]


def test_a_closed_market_takes_no_request() -> None:
    request = CallRequest("ann", bytes(8), "order", {}, 0, {}, parameters={"status": "closed"})
    with pytest.raises(CallRefused, match="hybrid_p2p is closed"):
        HybridP2P().call(request, StepBudget())


def test_hours_are_checked() -> None:
    HybridP2P().check({"peak_hours": "17:00-21:00, 06:30-08:00"})
    with pytest.raises(BadParameter, match='peak_hours is spans of hours like "17:00-21:00"'):
        HybridP2P().check({"peak_hours": "5pm"})
