"""Bankymoon's: load first; notice before the end; what was used beyond it is owed."""

from __future__ import annotations

import pytest

from hub.market.contract import BANK, SUPPLIER, Remainder
from hub.market.errors import CallRefused, ImpossibleClearing
from tests.support.scheme_market import KWH, SchemeMarket, reasons


def test_load_use_notice_end_and_load_again() -> None:
    market = SchemeMarket("prepaid", notice_utok=500_000)
    market.clear(ann=0, bob=0)
    assert market.memory == {"supply.ann": "empty", "supply.bob": "empty"}
    market.call("bank", "top_up", "bank", member="ann", amount_utok=1_000_000)
    assert market.memory == {"supply.bob": "empty"}
    found = market.clear(ann=-1, bob=0)
    assert found.remainders == (Remainder("ann", SUPPLIER, KWH, 300_000),)
    assert reasons(found) == {}
    found = market.clear(ann=-1, bob=0)
    notice = "notice: 400000 utok of credit are left, please load more"
    assert reasons(found) == {"ann": notice}
    assert market.memory["supply.ann"] == "low"
    found = market.clear(ann=-2, bob=0)
    assert reasons(found) == {"ann": "no credit is left (-200000 utok): supply ends"}
    assert market.memory["supply.ann"] == "empty"
    answer = market.call("bank", "top_up", "bank", member="ann", amount_utok=900_000).answer
    assert answer == {"credit_utok": 700_000}
    assert "supply.ann" not in market.memory
    assert market.balances[BANK] == -1_900_000


def test_the_bank_loads_accounts_that_are_there() -> None:
    market = SchemeMarket("prepaid")
    with pytest.raises(CallRefused, match="top_up takes a key with the office of bank"):
        market.call("ann", "top_up", member="ann", amount_utok=1)
    with pytest.raises(ImpossibleClearing, match="there is no account 'ann'"):
        market.call("bank", "top_up", "bank", member="ann", amount_utok=1)


def test_neighbours_do_not_trade() -> None:
    """The counter-example to the best welfare."""
    market = SchemeMarket("prepaid")
    assert market.clear(ann=1, bob=-1).matches == ()
    assert not market.checks.passed["welfare_optimal"]
    assert market.checks.limits_kept
