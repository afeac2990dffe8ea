"""Books of numbers: the known vectors up to a million orders a side, with numpy and without."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.core.settlement import settlement
from hub.market import arrays
from hub.market.columns import LARGE, Deals, Side, auction
from hub.market.contract import Clearing, StepBudget
from hub.market.contracts.double_auction import DoubleAuction
from tests.support.order_books import WH, bare_book, columns, digest, orders

VECTORS = json.loads((Path(__file__).parents[3] / "vectors/market/order_books.json").read_text())
NEVER = 2**62


def sides(found: list[list[int]]) -> tuple[Side, Side]:
    bid_wh, bid_price, _, _, ask_wh, ask_price, _ = found
    return Side([wh * WH for wh in bid_wh], bid_price), Side([wh * WH for wh in ask_wh], ask_price)


def check(vector: dict[str, Any]) -> None:
    found = columns(vector["n"], vector["tick"])
    assert digest(found) == vector["digest"]
    plain, quick = (auction(*sides(found), large=large) for large in (NEVER, 0))
    for deals in (plain, quick):
        assert sum(map(int, deals.energy_uwh)) == vector["energy_wh"] * WH
        assert deals.price_utok_per_kwh == vector["price"]
        assert deals.welfare_utok_uwh_per_kwh == vector["welfare"] * WH
        assert sum(map(int, deals.lines.amount_utok)) == 0
    assert [column.tolist() for column in (*quick[:3], *quick.lines)] == [*plain[:3], *plain.lines]


def name(vector: dict[str, Any]) -> str:
    return f"{vector['n']}-{vector['tick']}"


SMALLER = [row for row in VECTORS["books"] if row["n"] < 1_000_000]
LARGEST = [row for row in VECTORS["books"] if row["n"] == 1_000_000]


@pytest.mark.parametrize("vector", SMALLER, ids=name)
def test_the_seeded_books_come_to_the_known_energy_price_and_welfare(
    vector: dict[str, Any],
) -> None:
    check(vector)


@pytest.mark.torture
@pytest.mark.timeout(600)
@pytest.mark.parametrize("vector", LARGEST, ids=name)
def test_a_million_orders_a_side_do_too(vector: dict[str, Any]) -> None:
    check(vector)


@pytest.mark.torture
@pytest.mark.timeout(600)
def test_a_million_orders_with_ties_clear_alike_with_numpy_and_without() -> None:
    found = sides(columns(1_000_000, 10_000))
    plain, quick = (auction(*found, large=large) for large in (NEVER, 0))
    assert alike(plain, quick)


def alike(plain: Deals, quick: Deals) -> bool:
    columns_of = [column.tolist() for column in (*quick[:3], *quick.lines)]
    return columns_of == [*plain[:3], *plain.lines] and quick[3::2] == plain[3::2]


@pytest.fixture
def without_numpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a machine that does not have it."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    arrays.numpy.cache_clear()
    yield
    monkeypatch.undo()
    arrays.numpy.cache_clear()


def cleared(count: int) -> Clearing:
    return DoubleAuction().clear(bare_book(orders(columns(count))), StepBudget(10**7))


WITH_NUMPY = cleared(LARGE)


def test_a_machine_without_numpy_settles_the_same(without_numpy: None) -> None:
    assert arrays.numpy() is None
    found = cleared(LARGE)
    assert found == WITH_NUMPY
    book = bare_book(orders(columns(LARGE)))
    assert settlement(book, found) == settlement(book, WITH_NUMPY)
    assert all(type(match.energy_uwh) is int for match in WITH_NUMPY.matches)


def test_no_deal_has_no_price() -> None:
    for large in (0, NEVER):
        found = auction(Side([5, 5], [10, 20]), Side([5], [21]), large=large)
        assert found.price_utok_per_kwh is None
        assert [len(column) for column in (*found[:3], *found.lines)] == [0] * 7
        assert found.welfare_utok_uwh_per_kwh == 0
