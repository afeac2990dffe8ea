"""Key2Energy's: one roof, many tenants, the rest to the grid."""

from __future__ import annotations

import pytest

from hub.market.contract import GRID, Remainder, StepBudget, Transfer
from hub.market.contracts.tenant_share import equal_parts
from hub.market.errors import BadParameter
from tests.support.scheme_market import KWH, SchemeMarket, sales


def test_tenants_by_need() -> None:
    market = SchemeMarket("tenant_share", roof="roof")
    found = market.clear(roof=6, ann=-2, bob=-4, cyd=-6, dan=3)
    assert sales(found) == [("roof", "ann", 1), ("roof", "bob", 2), ("roof", "cyd", 3)]
    assert Remainder("dan", GRID, 3 * KWH, 100_000) in found.remainders
    assert market.checks.limits_kept


def test_tenants_in_equal_parts_but_nobody_more_than_he_lacks() -> None:
    market = SchemeMarket("tenant_share", by="equal", price_percent=0)
    assert sales(market.clear(roof=6, ann=-1, bob=-4, cyd=-6)) == [
        ("roof", "ann", 1),
        ("roof", "bob", 2.5),
        ("roof", "cyd", 2.5),
    ]


def test_equal_parts_make_up_the_whole() -> None:
    for whole in range(40):
        for wanted in ([0, 3, 7, 11], [5], [], [1, 1, 1]):
            got = equal_parts(whole, wanted, StepBudget())
            assert sum(got) == min(whole, sum(wanted))
            assert all(have <= want for have, want in zip(got, wanted, strict=True))


def test_what_the_roof_earns_is_its_owners() -> None:
    """The counter-example to limits: the roof is a meter and keeps nothing."""
    market = SchemeMarket("tenant_share", roof="roof", owners="ann:2, bob:1, nobody:1")
    found = market.clear(roof=4, ann=-1, bob=-1)
    # 2 kWh at 0.2 and 2 at 0.1: 600 000 utok; the part of nobody, who has no account, stays.
    assert found.transfers == (
        Transfer("roof", "ann", 300_000, "share of the roof"),
        Transfer("roof", "bob", 150_000, "share of the roof"),
    )
    assert market.balances["roof"] == 150_000
    assert market.checks.losers == ("roof",)


def test_owners_are_names_with_shares() -> None:
    with pytest.raises(BadParameter, match='owners is names with shares, "ann:60, bob:40"'):
        SchemeMarket("tenant_share", owners="ann")
