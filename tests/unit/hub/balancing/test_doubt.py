"""What nobody knows is danger: silence, values that are not believed, ages that nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.demand import demands
from hub.balancing.policy import View
from tests.support.bench import house, kept, view

RATED_MW = 100_000
DOUBTS: list[tuple[dict[str, Any], str]] = [
    ({"power_mw": None, "age_ms": None}, ""),
    ({"age_ms": 3_001}, ""),
    ({"age_ms": None}, " (of unknown age)"),
    ({"quality": "implausible"}, " (implausible)"),
    ({"quality": "wrapped frozen"}, " (frozen)"),
]
doubts = pytest.mark.parametrize(("change", "named"), DOUBTS)
every = pytest.mark.parametrize("name", ["dep", "least_disruption", "priority", "rotation"])


def doubted(shown: View, meter_id: str, change: dict[str, Any]) -> View:
    meters = (
        replace(each, **change) if each.meter_id == meter_id else each for each in shown.meters
    )
    return replace(shown, meters=tuple(meters))


@every
@doubts
def test_a_generator_that_nobody_can_believe_gives_nothing(
    name: str, change: dict[str, Any], named: str
) -> None:
    shown = view(house("ann", 60, {"lamp": 20.0, "oven": 30.0}))
    assert kept(POLICIES[name]().decide(shown)) == {"lamp", "oven"}
    verdict = POLICIES[name]().decide(doubted(shown, "ann-pv", change))
    assert kept(verdict) == set()
    assert verdict.limit == "stale meter"
    assert f"silent meters count as danger: ann-pv{named}" in verdict.reason


@doubts
def test_a_load_that_nobody_can_believe_draws_its_rating(
    change: dict[str, Any], named: str
) -> None:
    shown = doubted(view(house("ann", 60, {"oven": 30.0})), "oven-m", change)
    (demand,) = demands(shown)
    assert [load.power_mw for load in demand.loads] == [RATED_MW]
    assert demand.stale == (f"oven-m{named}",)


@pytest.mark.parametrize("quality", ["", "wrapped", "jump reset", "range"])
def test_doubts_about_counters_leave_a_power_as_it_is(quality: str) -> None:
    shown = doubted(view(house("ann", 60, {"oven": 30.0})), "oven-m", {"quality": quality})
    assert demands(shown)[0].stale == ()


@doubts
def test_a_load_that_is_cut_hides_nothing_else_behind_its_silent_meter(
    change: dict[str, Any], named: str
) -> None:
    shown = doubted(view(house("ann", 60, {"oven": -30.0}, base_w=50)), "oven-m", change)
    (demand,) = demands(shown)
    assert demand.firm_mw == 50_000
    assert demand.stale == (f"oven-m{named}",)
