"""A demo under another market: its members have keys, and hand in orders once a slot has closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.inbox import Inbox
from messages import cose
from messages.entries import Call, parse_as
from testbed.demo import Options, prepare
from testbed.errors import BadScenario
from testbed.layout import plan
from testbed.scenario import load_scenario
from testbed.trading import Traders, has_book, key_path, limits


def test_members_order_once_the_first_slot_has_closed(tmp_path: Path) -> None:
    installation, _ = prepare(Options("paper000", contract="double_auction"), tmp_path)
    layout = installation.layout
    assert layout.scenario.policy.contract == "double_auction"
    assert all(key_path(installation, member).exists() for member in layout.members)
    traders, inbox = Traders(installation), Inbox(installation.folder)
    traders.look(layout.start_ms)
    assert not inbox.waiting()
    for _ in range(2):
        traders.look(layout.start_ms + layout.slot_ms)
    calls = [parse_as(Call, cose.parse(each.raw)) for each in inbox.waiting()]
    assert [call.arguments["side"] for call in calls] == ["bid", "ask"] * len(layout.members)
    assert {(call.contract, call.method) for call in calls} == {("double_auction", "order")}


def test_no_member_bids_below_another_s_ask() -> None:
    layout = plan(load_scenario("paper000"), None, None)
    found = [limits(layout, number) for number in range(1_000)]
    assert min(bid for bid, _ in found) >= max(ask for _, ask in found)
    assert found[0] == (200_000, 80_000)


def test_a_market_without_a_book_has_no_traders() -> None:
    layout = plan(load_scenario("paper000"), None, None)
    assert not has_book(layout)
    policy = replace(layout.scenario.policy, contract="pooled_auction")
    assert has_book(replace(layout, scenario=replace(layout.scenario, policy=policy)))


def test_a_market_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="'bazaar' is not installed here"):
        prepare(Options("paper000", contract="bazaar"), tmp_path)
