"""sonnenCommunity's: shared now, and later through one virtual storage."""

from __future__ import annotations

from hub.market.contract import GRID, STORAGE, Remainder
from tests.support.scheme_market import KWH, SchemeMarket, sales


def test_share_store_draw() -> None:
    market = SchemeMarket("community_pool", efficiency_ppm=900_000)
    found = market.clear(ann=3, bob=-1)
    assert sales(found) == [("ann", "bob", 1)]
    assert found.remainders == (Remainder("ann", STORAGE, 2 * KWH, 0),)
    assert market.memory == {"credit.ann": 18 * KWH // 10}
    found = market.clear(ann=-1, bob=-1)
    assert found.remainders == (
        Remainder("ann", STORAGE, KWH, 0),
        Remainder("bob", GRID, KWH, 300_000),
    )
    found = market.clear(ann=-1, bob=0)
    assert found.remainders == (
        Remainder("ann", STORAGE, 8 * KWH // 10, 0),
        Remainder("ann", GRID, 2 * KWH // 10, 300_000),
    )
    assert market.memory == {}
    assert market.balances[STORAGE] == 0
    assert market.checks.limits_kept


def test_a_full_storage_divides_its_room() -> None:
    market = SchemeMarket("community_pool", capacity_uwh=3 * KWH)
    found = market.clear(ann=1, bob=5)
    assert found.remainders == (
        Remainder("ann", STORAGE, KWH // 2, 0),
        Remainder("ann", GRID, KWH // 2, 100_000),
        Remainder("bob", STORAGE, 5 * KWH // 2, 0),
        Remainder("bob", GRID, 5 * KWH // 2, 100_000),
    )
    assert [row.route for row in market.clear(ann=1, bob=1).remainders] == [GRID, GRID]
