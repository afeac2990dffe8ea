"""One price for all: exact on the seeded books, and told to whoever lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import (
    ASK,
    BID,
    GRID,
    OPERATOR,
    Clearing,
    Fate,
    Match,
    Order,
    Position,
    Remainder,
    Site,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
)
from hub.market.contracts.double_auction import DoubleAuction
from hub.market.errors import BadParameter
from tests.support.order_books import WH, bare_book, columns, digest, orders

VECTORS = json.loads((Path(__file__).parents[3] / "vectors/market/order_books.json").read_text())
KWH = 1_000_000_000
TARIFF = Tariff(300_000, 100_000)


def budget() -> StepBudget:
    return StepBudget(10**9)


def clear(book: SlotBook) -> Clearing:
    return DoubleAuction().clear(book, budget())


@pytest.mark.parametrize(
    "vector",
    [row for row in VECTORS["books"] if row["n"] <= 10_000],
    ids=lambda row: f"{row['n']}-{row['tick']}",
)
def test_the_seeded_books_clear_to_the_known_energy_price_and_welfare(
    vector: dict[str, Any],
) -> None:
    found = columns(vector["n"], vector["tick"])
    assert digest(found) == vector["digest"]
    book = bare_book(orders(found))
    clearing = clear(book)
    checks = settlement(book, clearing).checks
    assert {match.price_utok_per_kwh for match in clearing.matches} == {vector["price"]}
    assert checks.matched_uwh == vector["energy_wh"] * WH
    assert checks.welfare_utok_uwh_per_kwh == vector["welfare"] * WH
    assert checks.welfare_ppm == 1_000_000
    assert all(checks.passed.values())


def test_partners_and_areas_only_pair_and_cost_no_welfare() -> None:
    found = orders(columns(1000))
    plain = bare_book(found)
    paired = bare_book(found, partners="preferred_area", areas_beside="0:1, 1:2")
    one, other = settlement(plain, clear(plain)).checks, settlement(paired, clear(paired)).checks
    assert other == one
    areas = {order.member: order.area for order in found}
    near = sum(m.energy_uwh for m in clear(paired).matches if areas[m.seller] == areas[m.buyer])
    by_chance = sum(m.energy_uwh for m in clear(plain).matches if areas[m.seller] == areas[m.buyer])
    assert near > 2 * by_chance


def position(name: str, made: int, used: int) -> Position:
    return Position(name, f"{name}-pv", f"{name}-load", made * KWH, used * KWH)


def live(*rows: Order, **parameters: Any) -> SlotBook:
    """Ann makes 5 kWh and bea 2, carl uses 4 and dan 6."""
    positions = (
        position("ann", 5, 0),
        position("bea", 2, 0),
        position("carl", 0, 4),
        position("dan", 0, 6),
    )
    sites = {"ann-pv": Site("solar", "north"), "bea-pv": Site("gas", "south")}
    sites |= {"carl-load": Site("", "south"), "dan-load": Site("", "north")}
    return SlotBook(0, 900_000, positions, TARIFF, parameters, {}, rows, sites)


ROWS = (
    Order("ann", ASK, None, 120_000, 1, order_id="a"),
    Order("bea", ASK, 2 * KWH, 180_000, 2, order_id="b"),
    Order("carl", BID, 3 * KWH, 250_000, 3, order_id="c"),
    Order("dan", BID, 9 * KWH, 200_000, 4, order_id="d"),
)


def test_meters_cap_orders_and_the_rest_is_the_grids() -> None:
    book = live(*ROWS)
    clearing = clear(book)
    check_clearing(book, clearing)
    assert clearing.matches == (
        Match("ann", "carl", "ann-pv", "carl-load", 3 * KWH, 190_000),
        Match("ann", "dan", "ann-pv", "dan-load", 2 * KWH, 190_000),
        Match("bea", "dan", "bea-pv", "dan-load", 2 * KWH, 190_000),
    )
    assert clearing.remainders == (
        Remainder("carl", GRID, KWH, 300_000),
        Remainder("dan", GRID, 2 * KWH, 300_000),
    )
    assert clearing.fates == (
        Fate("carl", "c", BID, 3 * KWH, 250_000, 3 * KWH, ""),
        Fate("dan", "d", BID, 6 * KWH, 200_000, 4 * KWH, "the last one served: in part"),
        Fate("ann", "a", ASK, 5 * KWH, 120_000, 5 * KWH, ""),
        Fate("bea", "b", ASK, 2 * KWH, 180_000, 2 * KWH, ""),
    )


def test_losers_are_told_why() -> None:
    late = Order("dan", BID, KWH, 250_000, 9, order_id="late")
    low = Order("dan", BID, KWH, 110_000, 5, order_id="low")
    seller = Order("ann", ASK, 3 * KWH, 120_000, 1, order_id="a")
    dear = Order("ann", ASK, None, 290_000, 2, order_id="dear")
    stranger = Order("eve", ASK, None, 1, 2, order_id="eve")
    nothing = Order("carl", ASK, None, 100_000, 1, order_id="n")
    found = clear(live(seller, dear, ROWS[2], late, low, nothing, stranger))
    assert {fate.order_id: fate.reason for fate in found.fates} == {
        "c": "",
        "late": "as good as the last, but later",
        "low": "the last bid that was served stood at 250000, this one at 110000",
        "a": "",
        "dear": "the last ask that was served stood at 120000, this one at 290000",
        "n": "the meter shows nothing more to sell",
    }
    nobody = clear(live(dear, low))
    assert {fate.reason for fate in nobody.fates} == {"no bid reaches any ask"}
    assert nobody.matches == ()


def test_pay_as_bid_and_the_network_fee() -> None:
    book = live(*ROWS, price_rule="pay_as_bid", network_fee_utok_per_kwh=10_000)
    found = clear(book)
    assert [(m.buyer, m.price_utok_per_kwh) for m in found.matches] == [
        ("carl", 240_000),
        ("dan", 190_000),
        ("dan", 190_000),
    ]
    assert found.transfers == (
        Transfer("carl", OPERATOR, 30_000, "network fee"),
        Transfer("dan", OPERATOR, 40_000, "network fee"),
    )
    checks = settlement(book, found).checks
    assert checks.limits_kept
    assert (checks.worst_total_utok_uwh_per_kwh, checks.worst_utok_per_kwh) == (0, 10_000)


def test_a_fee_keeps_apart_who_would_have_traded_and_the_check_shows_it() -> None:
    rows = (Order("ann", ASK, KWH, 100_000), Order("dan", BID, KWH, 105_000))
    book = live(*rows, network_fee_utok_per_kwh=10_000)
    checks = settlement(book, clear(book)).checks
    assert checks.welfare_ppm == 0
    assert checks.optimum_utok_uwh_per_kwh == 5_000 * KWH
    assert not checks.passed["welfare_optimal"]


def test_a_bid_takes_only_its_fuels_and_pays_the_premium_for_them() -> None:
    green = ROWS[2]._replace(fuels=("solar",))
    book = live(*ROWS[:2], green, ROWS[3], fuel_premium_utok_per_kwh=5_000)
    found = clear(book)
    assert found.matches[0] == Match("ann", "carl", "ann-pv", "carl-load", 3 * KWH, 195_000)
    assert {m.price_utok_per_kwh for m in found.matches[1:]} == {190_000}
    windy = ROWS[2]._replace(fuels=("wind",), order_id="w")
    lone = live(*ROWS[:2], windy)
    unmet = clear(lone)
    assert unmet.matches == ()
    assert {fate.order_id: fate.reason for fate in unmet.fates} == {
        "w": "no seller of the fuels and areas that it takes was left",
        "a": "the bids that it would have served take other fuels or areas",
        "b": "the last ask that was served stood at 120000, this one at 180000",
    }
    assert settlement(lone, unmet).checks.welfare_ppm == 0


def test_who_placed_no_order_can_be_taken_at_the_tariff() -> None:
    assert clear(live()).matches == ()
    book = live(without_order="tariff")
    found = clear(book)
    assert {match.price_utok_per_kwh for match in found.matches} == {200_000}
    assert all(settlement(book, found).checks.passed.values())


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"price_rule": "lowest"}, "price_rule is one of uniform, pay_as_bid, not 'lowest'"),
        ({"gate_slots": 97}, "gate_slots is a whole number from 0 to 96, not 97"),
        ({"gate_slots": True}, "gate_slots is a whole number from 0 to 96, not True"),
        (
            {"areas_beside": "north"},
            "areas_beside is pairs of areas, one:other, not 'north'",
        ),
        ({"areas_beside": 3}, "areas_beside is a text, not 3"),
        ({"book": "sealed", "gate_slots": 0}, "a sealed book needs gate_slots of 1 or more"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(BadParameter, match=f"double_auction: .*{text}"):
        DoubleAuction().check(parameters)
