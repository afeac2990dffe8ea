"""What every market contract owes, run over the catalog: a new one is tested without an edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.clearing import check_clearing
from hub.market.catalog import CONTRACTS
from hub.market.contract import (
    STEPS_PER_RUN,
    CallRequest,
    Position,
    SlotBook,
    StepBudget,
    Tariff,
)
from hub.market.errors import BadParameter, BudgetExceeded, CallRefused
from messages import cbor

PARAMETERS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "dep_balance": (
        {},
        {"deficit": "supplier", "surplus": "storage"},
        {"deficit": "curtail", "surplus": "curtail"},
    ),
}
"""Besides the defaults: parameters that a contract must take."""

amounts = st.one_of(st.integers(0, 4), st.integers(0, 10**12))
books = st.lists(st.tuples(amounts, amounts, amounts), max_size=8).map(
    lambda rows: tuple(
        Position(f"m{n}", f"m{n}-pv", f"m{n}-load", made, used, held)
        for n, (made, used, held) in enumerate(rows)
    )
)


def _book(positions: tuple[Position, ...], parameters: Mapping[str, Any]) -> SlotBook:
    return SlotBook(0, 900_000, positions, Tariff(300_000, 100_000), parameters, {})


every_contract = pytest.mark.parametrize("name", sorted(CONTRACTS))


@every_contract
def test_it_has_the_name_it_is_found_by(name: str) -> None:
    assert CONTRACTS[name]().name == name


@every_contract
@given(positions=books, choice=st.integers(0, 9))
def test_it_conserves_energy_and_repeats_itself(
    name: str, positions: tuple[Position, ...], choice: int
) -> None:
    options = PARAMETERS.get(name, ({},))
    book = _book(positions, options[choice % len(options)])
    clearing = CONTRACTS[name]().clear(book, StepBudget())
    check_clearing(book, clearing)
    again = CONTRACTS[name]().clear(book, StepBudget())
    assert cbor.encode([again.matches, again.remainders, again.curtailments]) == cbor.encode(
        [clearing.matches, clearing.remainders, clearing.curtailments]
    )
    assert (again.transfers, again.memory) == (clearing.transfers, clearing.memory)


@every_contract
def test_it_counts_its_steps(name: str) -> None:
    positions = tuple(Position(f"m{n}", f"p{n}", f"l{n}", n % 2, 1 - n % 2) for n in range(200))
    book = _book(positions, {})
    with pytest.raises(BudgetExceeded):
        CONTRACTS[name]().clear(book, StepBudget(100))
    budget = StepBudget()
    CONTRACTS[name]().clear(book, budget)
    assert STEPS_PER_RUN - budget.left >= len(positions)


@every_contract
def test_it_refuses_parameters_it_does_not_know(name: str) -> None:
    for good in PARAMETERS.get(name, ({},)):
        CONTRACTS[name]().check(good)
    with pytest.raises(BadParameter, match="no-such-parameter"):
        CONTRACTS[name]().check({"no-such-parameter": 1})


@every_contract
def test_it_refuses_a_call_it_does_not_know(name: str) -> None:
    request = CallRequest("ann", b"1" * 16, "no-such-method", {}, 0, {})
    with pytest.raises(CallRefused, match="no-such-method"):
        CONTRACTS[name]().call(request, StepBudget())
