"""The balancing market of paper 000: who trades with whom, and what becomes of the rest."""

from __future__ import annotations

import pytest

from hub.market.contract import (
    GRID,
    SPILLED,
    STORAGE,
    SUPPLIER,
    CallRequest,
    Clearing,
    Curtailment,
    Match,
    Position,
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
)
from hub.market.contracts.dep_balance import DepBalance
from hub.market.errors import BadParameter, BudgetExceeded, CallRefused

TARIFF = Tariff(price_utok_per_kwh=300, feed_in_utok_per_kwh=100)


def member(name: str, generated: int, consumed: int, held: int = 0) -> Position:
    return Position(name, f"{name}-pv", f"{name}-load", generated, consumed, held)


def clear(*positions: Position, **parameters: str) -> Clearing:
    book = SlotBook(0, 3_600_000, positions, TARIFF, parameters, {})
    return DepBalance().clear(book, StepBudget())


def test_largest_surplus_serves_largest_deficit_first() -> None:
    found = clear(
        member("ann", 70, 0), member("bob", 0, 50), member("cyd", 20, 0), member("dan", 10, 40)
    )
    assert found.matches == (
        Match("ann", "bob", "ann-pv", "bob-load", 50, 300),
        Match("ann", "dan", "ann-pv", "dan-load", 20, 300),
        Match("cyd", "dan", "cyd-pv", "dan-load", 10, 300),
    )
    assert found.remainders == (Remainder("cyd", GRID, 10, 100),)
    assert found.curtailments == ()


def test_equal_amounts_go_by_meter_id() -> None:
    found = clear(
        member("zoe", 5, 0), member("abe", 5, 0), member("yan", 0, 5), member("bea", 0, 3)
    )
    assert [(m.seller, m.buyer, m.energy_uwh) for m in found.matches] == [
        ("abe", "yan", 5),
        ("zoe", "bea", 3),
    ]


def test_hour_seven_of_the_paper() -> None:
    """20 generated, 60 wanted, nobody has a surplus: the load was cut to 20, 40 are curtailed."""
    found = clear(member("dep1", 30, 30), member("dep2", 20, 20, held=40), member("dep3", 25, 25))
    assert found == Clearing(
        curtailments=(
            Curtailment("dep2", wanted_uwh=60, had_uwh=20, curtailed_uwh=40, overdrawn_uwh=0),
        )
    )


def test_what_was_used_before_the_relay_opened_is_overdrawn_and_paid() -> None:
    found = clear(member("dep2", 20, 23, held=37), deficit="curtail")
    assert found.curtailments == (Curtailment("dep2", 60, 20, 37, 3),)
    assert found.remainders == (Remainder("dep2", GRID, 3, 300),)


def test_a_held_load_buys_nothing() -> None:
    found = clear(member("ann", 50, 0), member("bob", 0, 0, held=50))
    assert found.matches == ()
    assert found.remainders == (Remainder("ann", GRID, 50, 100),)
    assert found.curtailments == (Curtailment("bob", 50, 0, 50, 0),)


def test_the_supplier_sells_what_is_lacking_in_a_row_of_its_own() -> None:
    found = clear(member("ann", 10, 0), member("bob", 0, 50), deficit="supplier")
    assert [m.energy_uwh for m in found.matches] == [10]
    assert found.remainders == (Remainder("bob", SUPPLIER, 40, 300),)
    assert found.curtailments == ()


@pytest.mark.parametrize(
    ("choice", "row"),
    [
        ("grid", Remainder("ann", GRID, 10, 100)),
        ("storage", Remainder("ann", STORAGE, 10, 100)),
        ("curtail", Remainder("ann", SPILLED, 10, 0)),
    ],
)
def test_where_a_surplus_goes(choice: str, row: Remainder) -> None:
    assert clear(member("ann", 10, 0), surplus=choice).remainders == (row,)


def test_nobody_and_nothing() -> None:
    assert clear() == Clearing()
    assert clear(member("ann", 0, 0)) == Clearing()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"deficit": "pray"}, "deficit is one of curtail, supplier, not 'pray'"),
        ({"surplus": 3}, "surplus is one of grid, storage, curtail, not 3"),
        ({"price": "high"}, "no parameter 'price'"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, str | int], sentence: str) -> None:
    with pytest.raises(BadParameter, match=sentence):
        DepBalance().check(parameters)
    book = SlotBook(0, 1, (), TARIFF, parameters, {})
    with pytest.raises(BadParameter, match=sentence):
        DepBalance().clear(book, StepBudget())


def test_a_budget_that_is_too_small() -> None:
    book = SlotBook(0, 1, (member("ann", 1, 0), member("bob", 0, 1)), TARIFF, {}, {})
    with pytest.raises(BudgetExceeded):
        DepBalance().clear(book, StepBudget(8))
    assert DepBalance().clear(book, StepBudget(9)).matches


def test_it_takes_no_calls() -> None:
    request = CallRequest("ann", b"1", "bid", {}, 0, {})
    with pytest.raises(CallRefused, match="dep_balance takes no calls, got 'bid'"):
        DepBalance().call(request, StepBudget())
