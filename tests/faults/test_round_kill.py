"""An auction's round whose hub is killed: bids, close and state are as if it had not been."""

from __future__ import annotations

from testbed.killed_round import CLOSES, COMMITS, REVEALS, killings


def test_a_kill_in_a_round_loses_no_bid_and_changes_no_clearing() -> None:
    found = list(killings(1))
    assert [each.kind for each in found] == [COMMITS, REVEALS, CLOSES]
    for each in found:
        assert each.bids_lost == 0
        assert each.same_state
        assert each.unsettled_after_uwh == 0
    assert found[-1].unsettled_uwh > 0
