"""The fault suite's own parts: who is killed when, what a board saw, how trials are judged."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from testbed.errors import BadFault
from testbed.torture.board import Board
from testbed.torture.kills import Kill, schedule
from testbed.torture.suite import NAMES, Results, chosen
from testbed.torture.trials import SWITCHING, Tally

FAN, HEATER = ("dep1", 27), ("dep1", 23)


def test_a_seed_repeats_its_kills_and_leaves_the_end_in_peace() -> None:
    victims = ("hub", "edge-a", "broker")
    drawn = schedule(1, 200, 100, victims)
    assert drawn == schedule(1, 200, 100, victims)
    assert drawn != schedule(2, 200, 100, victims)
    assert max(kill.instant for kill in drawn) < 90
    assert drawn == tuple(sorted(drawn, key=lambda kill: (kill.instant, kill.delay_s)))
    assert Counter(kill.victim for kill in drawn).keys() == set(victims)
    assert all(isinstance(kill, Kill) and 0 <= kill.delay_s <= 0.3 for kill in drawn)


# --- the board


def board(*levels: tuple[tuple[str, int], bool]) -> Board:
    made = Board()
    for (node, pin), high in levels:
        made.note(node, pin, high)
    return made


def test_a_board_knows_levels_and_when_a_pin_fell() -> None:
    made = board((FAN, False), (HEATER, True), (FAN, True), (FAN, False), (FAN, False))
    assert made.are([FAN], high=False)
    assert made.are([HEATER], high=True)
    assert not made.are([FAN, HEATER], high=True)
    assert made.fell_ms(FAN) == made.history[3].at_ms
    assert made.fell_ms(HEATER) is None


def test_a_board_tells_changes_from_levels_driven_again() -> None:
    made = board((FAN, False), (FAN, True), (FAN, True), (HEATER, False), (FAN, False))
    changed = [(move.contact, move.high) for move in made.moves_since(1, [FAN, HEATER])]
    assert changed == [(FAN, True), (FAN, False)]
    assert made.moves_since(1, [HEATER]) == []
    assert made.driven_high_since(2) == {FAN}
    assert made.driven_high_since(3) == set()


# --- the verdict


def test_a_time_over_the_limit_and_a_contact_that_stays_are_failures() -> None:
    tally = Tally("hub_kill", 1_200)
    tally.judge([900.0, 1_200.0, 1_200.1, None])
    assert (tally.trials, tally.failed, tally.worst_ms) == (4, 2, 1_200.1)
    assert tally.failures == [
        "safe after 1200 ms, promised 1200 ms",
        "a contact was still energised seconds after the fault",
    ]
    assert not tally.is_whole


@pytest.mark.parametrize("name", ["lost", "duplicated", "hostile_obeyed"])
def test_whatever_is_lost_doubled_or_obeyed_is_no_whole(name: str) -> None:
    tally = Tally("disk_full", 10_000, trials=3)
    assert tally.is_whole
    setattr(tally, name, 1)
    assert not tally.is_whole


def test_json_is_one_line_in_the_order_of_the_names() -> None:
    results = Results(7)
    for name in ("cable_cut", "hub_kill"):
        results.tallies[name] = Tally(name, 1_200, trials=10, worst_ms=912.345)
    row = {"trials": 10, "failed": 0, "worst_ms": 912.3, "limit_ms": 1_200}
    row |= {"lost": 0, "duplicated": 0, "hostile_obeyed": 0}
    assert "\n" not in results.json
    assert json.loads(results.json) == {
        "seed": 7,
        "faults": [{"fault": "hub_kill", **row}, {"fault": "cable_cut", **row}],
    }


def test_faults_are_chosen_by_name_and_all_without_one() -> None:
    assert chosen("") == NAMES
    assert chosen("cable_cut, hub_kill") == ("cable_cut", "hub_kill")
    assert {fault.name for fault in SWITCHING} < set(NAMES)


def test_an_unknown_fault_is_named_with_those_there_are() -> None:
    with pytest.raises(BadFault, match="--faults hub_melt: there are hub_kill, hub_stop, broker_k"):
        chosen("hub_kill,hub_melt")
