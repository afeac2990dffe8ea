"""Faults of relays in the fold: who says them, who takes them back, and how often."""

from __future__ import annotations

import pytest

from hub.core.faulting import WELDS_MAX, needs_person
from hub.core.records import Faulty
from messages.entries import KeyEntry
from messages.relayfault import ASTRAY, DEAD, REASON_CHARS_MAX, WELDED, WORKS, RelayFault
from tests.support.signers import ed25519
from tests.support.village import Village, ignored, relay

HUB = ed25519("hub")
NAME = ("pi", "heater")


@pytest.fixture
def village() -> Village:
    made = Village()
    made.node("pi", (relay("heater", "ann"),))
    return made


def say(village: Village, fault: str, at_ms: int = 5) -> RelayFault:
    entry = RelayFault("pi", "heater", fault, f"it is {fault or 'well'}", at_ms)
    assert village.put(HUB, entry) == ()
    return entry


def test_a_fault_stands_until_it_is_taken_back(village: Village) -> None:
    say(village, DEAD)
    fault = village.state.faults[NAME]
    assert (fault.fault, fault.reason, fault.at_ms, fault.welds) == (DEAD, "it is dead", 5, 0)
    say(village, WORKS, 9)
    assert village.state.faults[NAME].fault == WORKS
    assert village.state.faults[NAME].at_ms == 9


def test_what_was_welded_twice_needs_a_person(village: Village) -> None:
    for _ in range(WELDS_MAX):
        say(village, WELDED)
        is_last = village.state.faults[NAME].welds == WELDS_MAX
        assert needs_person(village.state.faults[NAME]) == is_last
        if not is_last:
            say(village, WORKS)
    reason = ignored(village.put(HUB, RelayFault(*NAME, WORKS, "it seems well", 6)))
    assert reason == "relay heater was found welded 2 times: a person clears it"
    assert village.state.faults[NAME].fault == WELDED
    assert village.put(village.administrator, RelayFault(*NAME, WORKS, "mended", 7)) == ()
    assert NAME not in village.state.faults
    say(village, WELDED)
    assert village.state.faults[NAME].welds == 1


def test_another_fault_does_not_forget_how_often_it_welded(village: Village) -> None:
    say(village, WELDED)
    say(village, ASTRAY)
    say(village, WORKS)
    say(village, WELDED)
    assert needs_person(village.state.faults[NAME])


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (RelayFault("pi", "oven", WELDED, "", 5), "node pi has no relay oven"),
        (RelayFault("pi", "heater", "tired", "", 5), "'tired' is no fault of a relay"),
        (RelayFault("pi", "heater", DEAD, "x" * (REASON_CHARS_MAX + 1), 5), "too long"),
        (RelayFault("pi", "heater", DEAD, "", -1), "'dead' is no fault"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    village: Village, entry: RelayFault, reason: str
) -> None:
    assert reason in ignored(village.put(HUB, entry))
    assert village.state.faults == {}


def test_clearing_what_is_well_changes_nothing(village: Village) -> None:
    assert village.put(village.administrator, RelayFault(*NAME, WORKS, "", 7)) == ()
    assert village.state.faults == {}


def test_a_node_that_is_enrolled_anew_begins_without_faults(village: Village) -> None:
    say(village, WELDED)
    admin = village.administrator
    village.put(admin, KeyEntry("revoke", "node", "pi", b""))
    key, relays = ed25519("another pi").public.cose_key, (relay("heater", "ann"),)
    village.put(admin, KeyEntry("enrol", "node", "pi", key, relays=relays))
    assert NAME in village.state.relays
    assert village.state.faults == {}


def test_a_replay_and_a_snapshot_know_it(village: Village) -> None:
    say(village, WELDED)
    assert village.replay() == village.state
    again = type(village.state).loads(village.state.dumps())
    assert isinstance(again.faults[NAME], Faulty)
