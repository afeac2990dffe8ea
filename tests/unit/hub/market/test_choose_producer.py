"""Piclo's and its kin: whose energy it is, is chosen; how much and for what is not."""

from __future__ import annotations

import pytest

from tests.support.scheme_market import SchemeMarket, reasons, sales


@pytest.fixture
def market() -> SchemeMarket:
    return SchemeMarket("choose_producer")


def test_by_rank(market: SchemeMarket) -> None:
    market.call("cyd", "choose", producers="bob, ann")
    assert sales(market.clear(ann=2, bob=2, cyd=-3, dan=-1)) == [
        ("bob", "cyd", 2),
        ("ann", "cyd", 1),
        ("ann", "dan", 1),
    ]
    assert market.checks.limits_kept
    assert market.checks.passed["welfare_optimal"]


def test_a_choice_takes_nothing_from_anybody(market: SchemeMarket) -> None:
    plain = market.clear(ann=2, bob=2, cyd=-6, dan=-2)
    market.call("cyd", "choose", producers="bob")
    chosen = market.clear(ann=2, bob=2, cyd=-6, dan=-2)
    for who in ("ann", "bob", "cyd", "dan"):
        told = [[f for f in found.fates if f.member == who] for found in (plain, chosen)]
        assert told[0] == told[1]
    assert sales(chosen)[0] == ("bob", "cyd", 2)


def test_a_choice_is_taken_back(market: SchemeMarket) -> None:
    market.call("cyd", "choose", producers="bob")
    market.call("cyd", "choose")
    assert market.memory == {}


def test_who_wants_nobody_else_gets_less() -> None:
    """The counter-example to the best welfare."""
    market = SchemeMarket("choose_producer", others="grid")
    market.call("cyd", "choose", producers="bob")
    found = market.clear(ann=2, bob=2, cyd=-4)
    assert sales(found) == [("bob", "cyd", 2)]
    assert reasons(found) == {
        "ann": "nobody lacked more",
        "cyd": "the producers of your choice have no more for you",
    }
    assert not market.checks.passed["welfare_optimal"]
