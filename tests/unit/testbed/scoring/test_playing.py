"""A home on a tie of 40 W wants 70: what each control makes of it, figure by figure."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.errors import BadScenario
from testbed.scenario import load_scenario
from testbed.scoring.playing import controls, play
from tests.support.small_scenario import event, small

SCORED_S = 55


def mwh(watts: int, seconds: float) -> int:
    return int(watts * seconds * 1000 / 3600)


def test_no_control_serves_everything_and_exceeds_the_limit_all_the_time(tmp_path: Path) -> None:
    score = play(small(tmp_path), "no control").score
    assert score.wanted_mwh == mwh(70, SCORED_S)
    assert (score.not_served_mwh, score.switchings, score.collapses) == (0, 0, 0)
    assert (score.violation_ms, score.time_to_safe_ms) == (SCORED_S * 1000, SCORED_S * 1000)
    assert score.violation_mwh == mwh(30, SCORED_S)


@pytest.mark.parametrize("control", ["priority", "threshold"])
def test_the_least_important_load_goes_and_the_limit_holds(tmp_path: Path, control: str) -> None:
    score = play(small(tmp_path), control).score
    assert score.not_served_mwh == mwh(40, SCORED_S)
    assert (score.violation_ms, score.unnecessary_mwh) == (0, 0)


def test_what_would_fit_and_is_held_back_counts_as_unneeded(tmp_path: Path) -> None:
    """From the second slot on the fridge is all that is wanted beside the oven, and all fits."""
    scenario = small(tmp_path, wanted_w="70, 50", import_mw=60_000)
    slow, quick = play(scenario, "threshold").score, play(scenario, "priority").score
    assert slow.not_served_mwh == mwh(40, 25 + 30)
    assert slow.unnecessary_mwh == mwh(40, 30)
    assert quick.unnecessary_mwh < mwh(40, 4)
    assert quick.not_served_mwh < mwh(40, 25 + 4)


def test_the_same_seed_plays_the_same_and_the_ledger_settles_each_slot(tmp_path: Path) -> None:
    scenario = small(tmp_path, wanted_w="70, 30")
    first, again = play(scenario, "priority"), play(scenario, "priority")
    assert first == again
    # the last instant closes no slot: nobody plays it
    assert [slot.slot_ms for slot in first.settled] == [scenario.start_ms]
    assert first.settled[0].failure == ""


def test_another_seed_reads_the_meters_at_another_phase(tmp_path: Path) -> None:
    scenario = small(tmp_path, wanted_w="30, 70")
    scores = {play(replace(scenario, seed=seed), "priority").score for seed in range(5)}
    assert len(scores) > 1


def test_where_the_hub_dies_contacts_go_back_to_their_wiring(tmp_path: Path) -> None:
    dies = event("hub_down", 10, 50)
    fed = play(small(tmp_path, events=dies), "priority").score
    assert 44_000 <= fed.violation_ms <= 47_000  # the lease ran on for at most its 5 s
    cut = play(small(tmp_path, events=dies, oven=', deenergised = "cut"'), "priority").score
    assert cut.violation_ms == 0


def test_where_threshold_control_dies_contacts_stay_as_they_are(tmp_path: Path) -> None:
    scenario = small(tmp_path, events=event("hub_down", 10, 50), wanted_w="30, 70")
    score = play(scenario, "threshold").score
    assert (score.violation_ms, score.switchings) == (30_000, 0)


@pytest.mark.parametrize("kind", ["broker_down", "node_silent"])
def test_leases_run_out_where_no_message_arrives(tmp_path: Path, kind: str) -> None:
    target = 'target = "ann"' if kind == "node_silent" else ""
    scenario = small(tmp_path, events=event(kind, 10, 20, target))
    score = play(scenario, "priority").score
    # a lease ends 5 s after its nonce was made; back again, a new nonce comes first
    assert 14_000 <= score.time_to_safe_ms <= 20_000


def test_a_delay_eats_the_life_of_a_lease_and_then_all_of_it(tmp_path: Path) -> None:
    for delay_ms, is_held in ((1_000, True), (4_000, False)):
        late = event("delay", 20, 40, f"delay_ms = {delay_ms}")
        score = play(small(tmp_path, events=late), "priority").score
        assert (score.violation_ms == 0) is is_held


def test_a_meter_that_is_gone_is_danger_but_the_tie_says_how_much(tmp_path: Path) -> None:
    gone = event("meter_gone", 10, 0, 'target = "ann-consumption"')
    score = play(small(tmp_path, events=gone, import_mw=75_000), "priority").score
    assert score.not_served_mwh == 0


def test_a_meter_that_lies_exceeds_nothing(tmp_path: Path) -> None:
    lies = "".join(
        event("meter_lies", 10, 0, f'target = "ann-{each}"\npermille = 100')
        for each in ("consumption", "oven", "lamp", "fridge")
    )
    scenario = small(tmp_path, events=lies, wanted_w="30, 70")
    assert play(scenario, "least_disruption").score.time_to_safe_ms <= 1_000


def test_an_unknown_node_is_enrolled_when_it_joins(tmp_path: Path) -> None:
    joins = event("join", 10, 0, 'target = "ann"')
    ledgerless, joined = (play(small(tmp_path, events=e), "priority") for e in ("", joins))
    assert joined.score.violation_ms > ledgerless.score.violation_ms == 0


def test_what_cannot_be_played_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="no dispatch policy 'best'; there are dep,"):
        controls(("best",))
    with pytest.raises(BadScenario, match="at most six hours"):
        play(load_scenario("paper000"), "priority")
    with pytest.raises(BadScenario, match="no parameter 'fairness'"):
        play(small(tmp_path, more="fairness = 1"), "threshold")


def test_parameters_of_another_policy_are_left_out(tmp_path: Path) -> None:
    scenario = small(tmp_path, more="shed_permille = 30")
    assert play(scenario, "dep").score.violation_ms == 0
