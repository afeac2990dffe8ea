"""Beside every clearing: energy, money, limits, welfare. Over random books, for every contract.

Ties, zeros, one-sided books, huge numbers, negative prices where the policy has them. What a
contract does not keep stands in OPTIONS, beside what breaks it; a unit test of the contract has the
counter-example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.clearing import check_clearing, clear
from hub.core.settlement import settlement
from hub.market.catalog import CONTRACTS
from hub.market.contract import (
    ASK,
    BID,
    Order,
    Position,
    Site,
    SlotBook,
    StepBudget,
    Tariff,
)
from messages.regulating import Regulation
from tests.support.source import ROOT

LIMITS, WELFARE = "limits_kept", "welfare_optimal"
OPTIONS: Mapping[str, tuple[tuple[dict[str, Any], set[str]], ...]] = {
    "choose_producer": (({}, set()), ({"others": "grid", "price_percent": 0}, {WELFARE})),
    "commission": (
        ({"commission_utok_per_kwh": 0, "price_percent": 100}, set()),
        ({"commission_utok_per_kwh": 30, "tokens": "two"}, {WELFARE}),
    ),
    "community_pool": (
        ({}, set()),
        ({"capacity_uwh": 5, "efficiency_ppm": 900_000, "price_percent": 33}, set()),
    ),
    "day_ahead": (({}, {WELFARE}),),  # nobody has a plan here; with plans: test_planned.py
    "dep_balance": (({}, set()), ({"deficit": "supplier", "surplus": "storage"}, set())),
    "double_auction": (
        ({}, set()),
        (
            {"price_rule": "pay_as_bid", "partners": "preferred_area", "areas_beside": "x:y"},
            set(),
        ),
        ({"without_order": "tariff"}, {WELFARE}),  # with bids that take only some fuels
        ({"network_fee_utok_per_kwh": 3, "fuel_premium_utok_per_kwh": 2}, {WELFARE}),
    ),
    "energy_token": (
        ({}, {LIMITS, WELFARE}),
        ({"grid": "outside", "priority": "m3,m1", "payout_slots": 1}, {LIMITS, WELFARE}),
    ),
    "generation_coin": (({}, {LIMITS, WELFARE}), ({"coin_utok": 150}, {LIMITS, WELFARE})),
    "green_forecast": (({}, set()),),
    "hybrid_p2p": (
        ({}, set()),
        ({"match_by": "distance", "other_areas": "grid", "sell": "market"}, {WELFARE}),
        ({"price_rule": "lowest_ask", "areas_beside": "x:y"}, {LIMITS, WELFARE}),
    ),
    "listing": (({}, {WELFARE}),),
    "local_coin": (({}, set()), ({"neighbours": "area", "coin_utok": 7}, set())),
    "pooled_auction": (
        ({}, {LIMITS, WELFARE}),
        ({"price_rule": "uniform", "bid_limit": "none"}, {LIMITS, WELFARE}),
    ),
    "prepaid": (({}, {WELFARE}),),
    "storage_escrow": (
        ({"storage": "m0"}, set()),
        ({"storage": "m1", "capacity_uwh": 5, "efficiency_ppm": 900_000}, set()),
    ),
    "storage_transfer": (({"storage": "m0", "fee_utok_per_kwh": 9}, set()),),
    "tenant_share": (
        ({"price_percent": 100}, set()),
        ({"by": "equal"}, set()),
        ({"roof": "m0,m2", "owners": "m0:1,m1:2"}, {LIMITS, WELFARE}),
    ),
}
"""Contract -> parameters, and the checks that it does not keep under them. Bids name fuels where
welfare may suffer."""

NAMES = tuple(sorted(CONTRACTS))
PRICES = st.one_of(st.sampled_from([-5, 0, 100, 150, 300]), st.integers(-(10**6), 10**6))
ENERGY = st.one_of(st.none(), st.integers(0, 3), st.integers(0, 10**14))
MEMBERS = tuple(f"m{n}" for n in range(6))
SITES = {
    f"{member}{end}": Site(fuel, area, n * 10, n)
    for n, member in enumerate(MEMBERS)
    for end in ("-pv", "-load")
    for fuel, area in ((("solar", "gas")[n % 2], ("x", "y", "z")[n % 3]),)
}


@st.composite
def orders(draw: Any, *, bare: bool) -> tuple[Order, ...]:
    found = []
    for number in range(draw(st.integers(0, 9))):
        side = draw(st.sampled_from([BID, ASK]))
        energy = draw(ENERGY)
        wishes = side == BID and draw(st.integers(0, 4)) == 0
        found.append(
            Order(
                member=f"{side}{number}" if bare else draw(st.sampled_from(MEMBERS)),
                side=side,
                energy_uwh=energy or 0 if bare else energy,
                price_utok_per_kwh=draw(PRICES),
                sequence=draw(st.integers(0, 3)),
                meter=f"{number}" if bare else "",
                area=draw(st.sampled_from(["x", "y", ""])) if bare else "",
                prefers=(draw(st.sampled_from(MEMBERS)),) if side == BID else (),
                fuels=("solar",) if wishes else (),
                order_id=f"{number}",
            )
        )
    return tuple(found)


@st.composite
def books(draw: Any) -> SlotBook:
    bare = draw(st.booleans())
    rows = draw(orders(bare=bare))
    amounts = st.one_of(st.integers(0, 3), st.integers(0, 10**14))
    positions = tuple(
        Position(name, f"{name}-pv", f"{name}-load", draw(amounts), draw(amounts))
        for name in MEMBERS[: draw(st.integers(0, 6))]
    )
    feed_in, price = sorted((draw(st.integers(0, 400)), draw(st.integers(0, 400))))
    floor = draw(st.sampled_from([-(10**6), 0]))
    tariff = Tariff(price, feed_in, floor)
    balances = {name: draw(st.integers(-(10**7), 10**12)) for name in MEMBERS}
    shown = () if bare and rows else positions
    return SlotBook(0, 900_000, shown, tariff, {}, {}, rows, SITES, balances)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150)
@given(book=books(), number=st.integers(0, 9))
def test_the_four_checks(name: str, book: SlotBook, number: int) -> None:
    parameters, breaks = OPTIONS[name][number % len(OPTIONS[name])]
    rows = book.orders
    if WELFARE not in breaks:
        rows = tuple(order._replace(fuels=()) for order in rows)
    book = replace(book, parameters=parameters, orders=rows)
    clearing = CONTRACTS[name]().clear(book, StepBudget())
    if not book.is_bare:
        check_clearing(book, clearing)
    checks = settlement(book, clearing).checks
    broken = {check for check, holds in checks.passed.items() if not holds}
    assert broken <= breaks, checks
    assert checks.welfare_utok_uwh_per_kwh <= checks.optimum_utok_uwh_per_kwh


ROWS = st.lists(
    st.lists(st.integers(-5, 5) | st.integers(-(10**13), 10**13), min_size=4, max_size=4),
    min_size=2,
    max_size=5,
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(slots=ROWS, number=st.integers(0, 9))
def test_slots_in_a_row(name: str, slots: list[list[int]], number: int) -> None:
    """What a contract remembers of one slot leaks nothing in the next; all accounts sum to zero."""
    parameters, breaks = OPTIONS[name][number % len(OPTIONS[name])]
    memory: dict[str, Any] = {}
    balances: dict[str, int] = {}
    for place, nets in enumerate(slots):
        positions = tuple(
            Position(member, f"{member}-pv", f"{member}-load", max(net, 0), max(-net, 0))
            for member, net in zip(MEMBERS, nets, strict=False)
        )
        book = SlotBook(
            place * 900_000,
            900_000,
            positions,
            Tariff(300, 100),
            parameters,
            memory,
            (),
            SITES,
            balances,
        )
        clearing = CONTRACTS[name]().clear(book, StepBudget())
        check_clearing(book, clearing)
        lines, checks = settlement(book, clearing)
        broken = {check for check, holds in checks.passed.items() if not holds}
        assert broken <= breaks, checks
        memory = {**memory, **clearing.memory}
        memory = {key: value for key, value in memory.items() if value is not None}
        for line in lines:
            balances[line.account] = balances.get(line.account, 0) + line.amount_utok
        assert sum(balances.values()) == 0


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(book=books(), bounds=st.tuples(st.integers(0, 400), st.integers(0, 400)))
def test_no_energy_is_sold_outside_of_the_regulators_bounds(
    name: str, book: SlotBook, bounds: tuple[int, int]
) -> None:
    """A price that a contract fixes itself is moved there; nothing at all is paid for no sale."""
    low, high = sorted(bounds)
    tariff = book.tariff._replace(floor_utok_per_kwh=low, cap_utok_per_kwh=high)
    rules = Regulation(floor_utok_per_kwh=low, cap_utok_per_kwh=high)
    book = replace(book, tariff=tariff, parameters=OPTIONS[name][0][0], regulation=rules)
    if book.is_bare:
        book = replace(book, orders=())
    clearing, failure = clear(book, name, CONTRACTS)
    prices = [match.price_utok_per_kwh for match in clearing.matches]
    assert all(low <= price <= high or (price == 0 and name in STORING) for price in prices)
    assert failure == ""


STORING = ("storage_escrow", "storage_transfer")
"""Contracts that match what goes into a storage, which is no sale."""


@pytest.mark.parametrize("name", NAMES)
def test_its_page_names_what_it_does_not_keep(name: str) -> None:
    page = (ROOT / "docs/markets" / f"{name}.md").read_text()
    for check in set().union(*(breaks for _, breaks in OPTIONS[name])):
        assert f"`{check}`" in page, f"docs/markets/{name}.md does not name {check}"
