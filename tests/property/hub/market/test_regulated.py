"""The regulator's rules bind every contract of the catalog, whatever it looks at.

In each book here somebody trades, so that there is something to bind; what is due is reckoned from
the rows by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.clearing import clear
from hub.core.settlement import settlement
from hub.market.catalog import CONTRACTS
from hub.market.contract import (
    ASK,
    BID,
    GRID,
    OPERATOR,
    SUPPLIER,
    Clearing,
    Match,
    Order,
    Position,
    Site,
    SlotBook,
    Tariff,
)
from hub.market.contracts.storage_escrow import Purchase
from messages.regulating import KINDS, PAYEES, UNBOUND, Mix, Premium, Regulation
from tests.support.village import HOUR, KWH

NAMES = tuple(sorted(CONTRACTS))
NETS = {"ann": 4, "bob": -3, "cyd": -2, "gus": 1, "store": 1}
SITES = {
    "ann-pv": Site("solar", "x"),
    "gus-pv": Site("gas", "y"),
    "store-pv": Site("battery", "x"),
    "bob-load": Site("", "x"),
}
ORDERS = (
    Order("ann", ASK, None, 120_000, 1, order_id="1"),
    Order("gus", ASK, None, 140_000, 2, order_id="2"),
    Order("bob", BID, None, 290_000, 3, order_id="3"),
    Order("cyd", BID, None, 280_000, 4, order_id="4"),
)
DAY: dict[str, Any] = {"tariff": (300_000,) * 24, "feed_in": (100_000,) * 24}
MEMORY: dict[str, dict[str, Any]] = {
    "generation_coin": {"purse.bob": 2 * KWH},
    "day_ahead": {
        "day.0": DAY | {"prices": (200_000,) * 24},
        "net.0.ann": (-4 * KWH,) * 24,
        "net.0.bob": (3 * KWH,) * 24,
    },
    "storage_transfer": {"credit.bob": KWH},
    "storage_escrow": {
        "bought.000000000000007": tuple(
            Purchase("07", "ann", "bob", KWH, 250_000, 250_000, 0, 9 * HOUR)
        )
    },
}
ORDERED = ("double_auction", "hybrid_p2p", "pooled_auction", "listing")
NOBODY_TRADES = ("prepaid",)
"""Where everybody buys from the supplier alone."""
SUPPLIED = (GRID, SUPPLIER)


def book_of(name: str, rules: Regulation = UNBOUND) -> SlotBook:
    positions = tuple(
        Position(who, f"{who}-pv", f"{who}-load", max(net, 0) * KWH, max(-net, 0) * KWH)
        for who, net in NETS.items()
    )
    tariff = Tariff(
        300_000,
        100_000,
        rules.floor_utok_per_kwh,
        rules.cap_utok_per_kwh,
        rules.fee_utok_per_kwh,
    )
    return SlotBook(
        0,
        HOUR,
        positions,
        tariff,
        {"storage": "store"} if name.startswith("storage") else {},
        MEMORY.get(name, {}),
        ORDERS if name in ORDERED else (),
        SITES,
        {**dict.fromkeys(NETS, 10**9), "@escrow": 250_000},
        rules,
    )


def cleared(name: str, rules: Regulation = UNBOUND) -> Clearing:
    book = book_of(name, rules)
    clearing, failure = clear(book, name, CONTRACTS)
    assert failure == ""
    checks = settlement(book, clearing).checks
    assert checks.energy_conserved
    assert checks.money_conserved
    return clearing


def moved(clearing: Clearing, reason: str) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for move in clearing.transfers:
        if move.reason == reason:
            key = (move.payer, move.payee)
            found[key] = found.get(key, 0) + move.amount_utok
    return found


def bought(clearing: Clearing, who: str) -> dict[str, int]:
    """What a buyer bought, by the fuel of its source. [uWh]"""
    found: dict[str, int] = {}
    for match in clearing.matches:
        if match.buyer == who:
            fuel = SITES[match.from_meter].fuel
            found[fuel] = found.get(fuel, 0) + match.energy_uwh
    for row in clearing.remainders:
        if row.member == who and NETS[who] < 0 and row.route in SUPPLIED:
            found["grid"] = found.get("grid", 0) + row.energy_uwh
    return found


def of_kind(fuels: dict[str, int], kind: str) -> int:
    return fuels.get("solar", 0) if kind == "renewable" else fuels.get(kind, 0)


def priced(matches: Iterable[Match]) -> list[int]:
    return [match.price_utok_per_kwh for match in matches if match.price_utok_per_kwh]


@pytest.mark.parametrize("name", NAMES)
def test_somebody_trades_in_each_book_here(name: str) -> None:
    assert bool(priced(cleared(name).matches)) is (name not in (*NOBODY_TRADES, "storage_transfer"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("low", "high"), [(0, 90_000), (330_000, 400_000), (210_000, 210_000)])
def test_floor_and_cap(name: str, low: int, high: int) -> None:
    rules = Regulation(floor_utok_per_kwh=low, cap_utok_per_kwh=high)
    assert all(low <= price <= high for price in priced(cleared(name, rules).matches))


@pytest.mark.parametrize("name", NAMES)
def test_the_network_fee(name: str) -> None:
    clearing = cleared(name, Regulation(fee_utok_per_kwh=10_000))
    due = {
        (who, OPERATOR): energy * 10_000 // KWH
        for who in NETS
        if (energy := sum(m.energy_uwh for m in clearing.matches if m.buyer == who))
    }
    if name == "double_auction":
        assert due  # with the fee some still trade
    assert moved(clearing, "network fee") == due


LOOKS = tuple(
    name
    for name in NAMES
    if name
    not in ("dep_balance", "energy_token", "generation_coin", "day_ahead")  # prices of their own
    and name not in ("listing", "storage_escrow")  # the other side names the price
    and name not in ("pooled_auction", "storage_transfer", "tenant_share", "prepaid")
)


@pytest.mark.parametrize("name", LOOKS)
@settings(max_examples=30)
@given(fee=st.integers(0, 400_000))
def test_with_the_fee_nobody_pays_more_than_he_bid_or_alone(name: str, fee: int) -> None:
    rules = Regulation(fee_utok_per_kwh=fee)
    checks = settlement(book_of(name, rules), cleared(name, rules)).checks
    assert checks.limits_kept, checks


@pytest.mark.parametrize("name", NAMES)
def test_a_guaranteed_feed_in_price(name: str) -> None:
    book = book_of(name, Regulation(feed_in_guaranteed=True))
    low = {"grid": "outside"} if name == "energy_token" else {}
    clearing, failure = clear(replace(book, parameters={**book.parameters, **low}), name, CONTRACTS)
    assert failure == ""
    sold = [row for row in clearing.remainders if NETS[row.member] > 0 and row.route == GRID]
    assert all(row.price_utok_per_kwh >= 100_000 for row in sold)
    drawn = [row for row in clearing.remainders if NETS[row.member] < 0]
    assert not low or {row.price_utok_per_kwh for row in drawn} <= {0}  # what is bought stays


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(
    fuel=st.sampled_from(KINDS),
    rate=st.integers(1, 10**6),
    above=st.integers(0, 4 * KWH),
    account=st.sampled_from(PAYEES),
)
def test_premiums(name: str, fuel: str, rate: int, above: int, account: str) -> None:
    clearing = cleared(name, Regulation(premiums=(Premium(fuel, rate, above, account),)))
    due = {
        (who, account): amount
        for who in NETS
        if (amount := max(of_kind(bought(clearing, who), fuel) - above, 0) * rate // KWH)
    }
    assert moved(clearing, "fuel premium") == due


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(fuel=st.sampled_from(KINDS), percent=st.integers(1, 100), unmet=st.integers(0, 10**6))
def test_the_energy_mix(name: str, fuel: str, percent: int, unmet: int) -> None:
    clearing = cleared(name, Regulation(mix=(Mix(fuel, percent, unmet),)))
    lacks = {}
    for who in NETS:
        fuels = bought(clearing, who)
        short = sum(fuels.values()) * percent // 100 - of_kind(fuels, fuel)
        if short > 0:
            lacks[who] = short
    due = {(who, "@community"): short * unmet // KWH for who, short in lacks.items()}
    assert moved(clearing, "energy mix") == {key: amount for key, amount in due.items() if amount}
    told = {x.member: x.reason for x in clearing.fates if x.reason.startswith("energy mix")}
    assert told == {
        who: f"energy mix: {percent} % {fuel} are due, {short} uWh of it lack"
        for who, short in lacks.items()
    }
    if fuel == "nuclear" and percent > 1:
        assert lacks  # nobody has any


def test_an_own_order_beyond_the_bounds_does_not_count_and_says_so() -> None:
    clearing = cleared("double_auction", Regulation(floor_utok_per_kwh=285_000, fee_utok_per_kwh=1))
    reasons = {fate.member: fate.reason for fate in clearing.fates}
    assert reasons["cyd"] == ("the bid is below the lowest price that may be, 285000, and 1 on top")
    assert priced(clearing.matches) != []
    capped = cleared("double_auction", Regulation(cap_utok_per_kwh=130_000))
    reasons = {fate.member: fate.reason for fate in capped.fates}
    assert reasons["gus"] == "the ask is above the highest price that may be, 130000"
