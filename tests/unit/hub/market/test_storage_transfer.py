"""PWR's: stored first, transferred as tokens, drawn by who holds them."""

from __future__ import annotations

import pytest

from hub.market.errors import CallRefused
from tests.support.scheme_market import KWH, SchemeMarket, reasons, sales


def test_store_transfer_draw() -> None:
    market = SchemeMarket("storage_transfer", fee_utok_per_kwh=10_000, token_wh=1_000_000)
    found = market.clear(ann=3, bob=-1, storage=-3)
    assert sales(found) == [("ann", "storage", 3)]
    assert reasons(found)["bob"] == "no tokens are left"
    with pytest.raises(CallRefused, match="there is no account 'nobody'"):
        market.call("ann", "transfer", to="nobody", millionths=1)
    with pytest.raises(CallRefused, match="you hold 3000 millionths of a token, not 3001"):
        market.call("ann", "transfer", to="bob", millionths=3_001)
    answer = market.call("ann", "transfer", to="bob", millionths=2_000).answer
    assert answer == {"millionths": 2_000, "energy_uwh": 2 * KWH}
    found = market.clear(ann=-2, bob=-3, storage=1.5)
    assert sales(found) == [("storage", "ann", 0.5), ("storage", "bob", 1)]
    assert reasons(found) == {
        "ann": "the storage gave no more",
        "bob": "the storage gave no more",
    }
    assert [(move.payer, move.amount_utok) for move in found.transfers] == [
        ("ann", 5_000),
        ("bob", 10_000),
    ]
    assert market.memory == {"credit.ann": KWH // 2, "credit.bob": KWH}
    assert market.checks.limits_kept


def test_who_holds_nothing_draws_nothing() -> None:
    market = SchemeMarket("storage_transfer")
    found = market.clear(bob=-3, storage=2)
    assert found.matches == ()
    assert reasons(found) == {
        "bob": "no tokens are left",
        "storage": "no tokens are held for the rest",
    }


def test_without_a_storage_everything_is_the_grids() -> None:
    market = SchemeMarket("storage_transfer")
    assert market.clear(ann=1, bob=-1).matches == ()
