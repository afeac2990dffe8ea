"""How contracts are played: forecasts side by side, tokens minted each midnight, calls weighed."""

from __future__ import annotations

import pytest

from hub.market.catalog import CONTRACTS
from hub.market.contract import BID
from testbed.compare.community import Community, community, firm_orders
from testbed.compare.forecasting import PERFECT, PERSISTENCE, expected
from testbed.compare.ledgersize import call_bytes
from testbed.compare.members import Member
from testbed.compare.playing import Settings, mint_each_day, settings_of, token_uwh
from testbed.compare.running import run_contract
from testbed.compare.tariff import Prices
from testbed.homes import Home, Homes
from tests.support.compared import KWH, PRICES

DAY = 86_400_000
HALF = Homes(
    (
        Home("ann", [0, 0, 0, 0], [4 * KWH, 0, 2 * KWH, 0]),
        Home("bob", [1 * KWH, 3 * KWH, 3 * KWH, 3 * KWH], [0, 0, 0, 0]),
    ),
    4,
    DAY // 2,
)
"""Two days of two slots; ann has 4 kWh over in the morning, and 2 the next one."""


def two() -> Community:
    return community(HALF, (Member("ann"), Member("bob")))


def matched(name: str, forecast: str) -> list[int]:
    (settings,) = (
        each for each in settings_of(name, PRICES) if each.forecast == forecast and not each.variant
    )
    run = run_contract(two(), PRICES, settings, CONTRACTS, lambda done: None)
    assert run.tally.failures == {}
    return run.tally.series.matched_uwh


def test_persistence_expects_the_day_before_and_on_the_first_day_nothing() -> None:
    rows = two()
    assert expected(rows, 1, PERSISTENCE) == ()
    assert expected(rows, 2, PERSISTENCE) == rows.positions(0)
    assert expected(rows, 2, PERFECT) == rows.positions(2)


def test_firm_orders_name_what_is_expected() -> None:
    rows = two()
    found = firm_orders(rows, rows.positions(0), PRICES.at(rows.at_ms(0)))
    asked = [(each.member, each.side, each.energy_uwh) for each in found]
    assert asked == [("ann", "ask", 4 * KWH), ("bob", BID, KWH)]


@pytest.mark.parametrize("name", ["hybrid_p2p", "listing", "pooled_auction"])
def test_an_order_ahead_matches_what_was_expected(name: str) -> None:
    assert matched(name, PERFECT) == [KWH, 0, 2 * KWH, 0]
    # bob asked for 1 kWh on the second day, since he lacked 1 on the first.
    assert matched(name, PERSISTENCE) == [0, 0, KWH, 0]


def test_sealed_orders_are_two_calls_each() -> None:
    found = {}
    for settings in settings_of("pooled_auction", PRICES):
        run = run_contract(two(), PRICES, settings, CONTRACTS, lambda done: None)
        found[settings.forecast] = run.calls
    # Six amounts above 0 over two days; by persistence only the three of the first are known.
    assert found == {PERFECT: 12, PERSISTENCE: 6}


def test_a_listing_and_a_purchase_are_a_call_each() -> None:
    for settings in settings_of("listing", PRICES):
        run = run_contract(two(), PRICES, settings, CONTRACTS, lambda done: None)
        assert run.calls == (6 if settings.forecast == PERFECT else 3)


def test_both_readings_of_a_price_run_side_by_side() -> None:
    found = {(each.variant, each.forecast) for each in settings_of("hybrid_p2p", PRICES)}
    readings = ("", "lowest ask")
    assert found == {(reading, each) for reading in readings for each in (PERFECT, PERSISTENCE)}


def test_what_the_tariff_file_says_comes_first() -> None:
    asked = Prices(((0, 3),), ((0, 1),), {}, {"energy_token": {"token_uwh": 5 * KWH}})
    (settings,) = settings_of("energy_token", asked)
    assert settings.parameters == {"token_uwh": 5 * KWH}


def test_the_bank_mints_at_midnight_what_a_day_costs() -> None:
    rows = two()
    assert [*mint_each_day(rows, PRICES, 1, {})] == []
    (asked,) = mint_each_day(rows, PRICES, 2, {})
    assert (asked.method, asked.roles) == ("deposit", ("bank",))
    assert asked.arguments == {"member": "bob", "amount_utok": 6 * 300_000}


def test_minted_tokens_are_no_cost_and_no_gain() -> None:
    (settings,) = settings_of("energy_token", PRICES)
    run = run_contract(two(), PRICES, settings, CONTRACTS, lambda done: None)
    assert token_uwh(PRICES) == 5 * KWH  # a token buys 5 kWh: 0.2 tokens a kWh
    assert run.tally.series.matched_uwh == [KWH, 0, 2 * KWH, 0]
    cost = run.tally.cost_utok
    assert cost["bob"] == 3 * 200_000 + 7 * 300_000
    assert cost["ann"] == -(3 * 200_000 + 3 * 100_000)
    assert run.calls == 2
    assert run.tally.fees_utok == 0
    assert run.tally.money_left_utok == 0
    weight = call_bytes("energy_token", "deposit", (("member", "bob"), ("amount_utok", 1_200_000)))
    assert run.calls_bytes > weight


def test_a_refused_call_is_counted_and_stops_nothing() -> None:
    # A contract under that name that knows no deposits.
    contracts = {"energy_token": CONTRACTS["dep_balance"]}
    settings = Settings("energy_token", {"deficit": "supplier"})
    run = run_contract(two(), PRICES, settings, contracts, lambda done: None)
    assert run.calls == 0
    assert [*run.tally.reasons] == [
        "a call was refused: contract dep_balance takes no calls, got 'deposit'"
    ]
    assert run.tally.series.matched_uwh == [KWH, 0, 2 * KWH, 0]


def test_what_is_stored_is_sold_when_the_storage_gives_it() -> None:
    (settings,) = settings_of("storage_escrow", PRICES)
    run = run_contract(two(), PRICES, settings, CONTRACTS, lambda done: None)
    tally = run.tally
    # The first morning all together have 3 kWh over; 95 % of 95 % of that comes out for bob. On the
    # second day bob lacks more than ann has over.
    assert tally.stored_uwh == 3 * KWH
    assert tally.series.matched_uwh == [0, 2_707_500_000, 0, 0]
    assert tally.sales.keys() == {("storage", "bob")}
    assert [tally.failures, tally.slots_unbalanced, tally.money_left_utok] == [{}, 0, 0]
    assert tally.cost_utok["storage"] <= 1  # it passes everything on
    # bob pays ann's limit, what the grid would give her; nothing stored is worth less to anybody.
    assert tally.cost_utok["bob"] < 10 * 300_000
    assert not tally.unfair_uwh
    assert sum(tally.series.generated_uwh) == 6 * KWH


def test_a_member_called_storage_is_the_storage() -> None:
    (settings,) = settings_of("storage_escrow", PRICES)
    homes = Homes(
        (Home("ann", [0, 0], [4 * KWH, 0]), Home("storage", [2 * KWH, 0], [0, 0])), 2, DAY // 2
    )
    rows = community(homes, (Member("ann"), Member("storage")))
    run = run_contract(rows, PRICES, settings, CONTRACTS, lambda done: None)
    assert run.tally.community.shared == ()
    assert run.tally.sales == {("ann", "storage"): (2 * KWH, 0)}


def test_each_draws_from_the_storage_what_he_put_in() -> None:
    (settings,) = settings_of("storage_transfer", PRICES)
    homes = Homes(
        (Home("ann", [0, 1 * KWH], [4 * KWH, 0]), Home("bob", [0, 1 * KWH], [0, 0])), 2, DAY // 2
    )
    run = run_contract(
        community(homes, (Member("ann"), Member("bob"))),
        PRICES,
        settings,
        CONTRACTS,
        lambda done: None,
    )
    tally = run.tally
    assert tally.stored_uwh > 3 * KWH
    assert tally.sales.keys() == {("storage", "ann")}  # bob holds no tokens
    assert tally.series.matched_uwh == [0, 1 * KWH]
    assert (tally.cost_utok["ann"], tally.cost_utok["bob"] > 0) == (0, True)
    assert [tally.failures, tally.slots_unbalanced, tally.money_left_utok] == [{}, 0, 0]
