"""On every shipped scenario the policy that its file names does better than threshold control.

Fewer watt-hours are not served, no limit is exceeded for longer than a cycle, nothing collapses.
"""

import pytest

from testbed.scenario import load_scenario, scored
from testbed.scoring.control import CYCLE_MS
from testbed.scoring.outcome import joined
from testbed.scoring.playing import NO_CONTROL, THRESHOLD, play


@pytest.mark.parametrize("name", scored())
def test_ours_serves_more_and_keeps_every_limit(name: str) -> None:
    scenario = load_scenario(name)
    ours, theirs = (play(scenario, each).score for each in (scenario.policy.dispatch, THRESHOLD))
    assert ours.not_served_mwh < theirs.not_served_mwh
    assert ours.time_to_safe_ms <= CYCLE_MS
    assert ours.collapses == 0


@pytest.mark.parametrize("name", scored())
def test_each_scenario_needs_somebody_who_controls(name: str) -> None:
    score = play(load_scenario(name), NO_CONTROL).score
    assert score.time_to_safe_ms > 10 * CYCLE_MS


def test_who_joins_an_island_sells_in_the_next_slot() -> None:
    """Paper 001: a new participant joins an islanded microgrid."""
    scenario = load_scenario("join_in_outage")
    (found,) = joined(play(scenario, scenario.policy.dispatch))
    assert found.member == "dan"
    assert found.first_sale_slot == found.joined_slot + 1
    assert found.sold_mwh > 0
