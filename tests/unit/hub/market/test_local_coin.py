"""NRGcoin's: a coin for each renewable kWh that neighbours drew."""

from __future__ import annotations

from hub.market.contract import BANK, Site, Transfer
from tests.support.scheme_market import SchemeMarket, sales

SITES = {
    "ann": Site("solar", "north"),
    "bob": Site("gas", "north"),
    "cyd": Site("", "north"),
    "dan": Site("", "south"),
}
WHY = "coins for energy used locally"


def test_coins_for_what_was_used_locally_and_only_if_it_comes_again() -> None:
    market = SchemeMarket("local_coin", SITES, coin_utok=100_000)
    found = market.clear(ann=3, bob=3, cyd=-2)
    assert sales(found) == [("ann", "cyd", 1), ("bob", "cyd", 1)]
    assert found.transfers == (Transfer(BANK, "ann", 100_000, WHY),)
    assert market.checks.limits_kept
    assert market.checks.passed["welfare_optimal"]


def test_nothing_for_what_leaves_the_microgrid() -> None:
    assert SchemeMarket("local_coin", SITES).clear(ann=3).transfers == ()


def test_neighbours_of_one_area() -> None:
    market = SchemeMarket("local_coin", SITES, neighbours="area")
    found = market.clear(ann=4, cyd=-1, dan=-3)
    assert found.transfers == (Transfer(BANK, "ann", 100_000, WHY),)


def test_no_fuel_and_no_area_earn_nothing() -> None:
    market = SchemeMarket("local_coin", {"ann": Site("", ""), "bob": Site("solar", "")})
    assert market.clear(ann=1, cyd=-1).transfers == ()
    market.parameters["neighbours"] = "area"
    assert market.clear(bob=1, cyd=-1).transfers == ()
