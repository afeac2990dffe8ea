"""What every relay of the catalog must do: rest at start, follow, read back, rest at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardware import catalog
from hardware.errors import HardwareError, SwitchFailed
from hardware.mock.pins import BenchFactory
from hardware.ports import Relay

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "relay.json").read_text())
LEVELS = {(row["active_high"], row["energised"]): row["high"] for row in VECTORS["levels"]}


@pytest.fixture(params=catalog.RELAYS)
def kind(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["active_high", "active_low"])
def active_high(request):
    return request.param


@pytest.fixture
def board():
    return BenchFactory()


def make(kind: str, board: BenchFactory, active_high: bool) -> Relay:
    return catalog.make_relay(kind, board, {"pin": 17, "active_high": active_high})


def test_it_is_made_deenergised_and_its_pin_never_stood_otherwise(kind, board, active_high):
    relay = make(kind, board, active_high)
    assert isinstance(relay, Relay)
    assert relay.is_energised is False
    assert board.history(17) == [LEVELS[active_high, False]]


def test_its_pin_follows_and_every_level_is_on_record(kind, board, active_high):
    relay = make(kind, board, active_high)
    rest, pulled = LEVELS[active_high, False], LEVELS[active_high, True]
    for energised in (True, True, False, True):
        relay.switch(energised)
        assert relay.is_energised is energised
    assert board.history(17) == [rest, pulled, pulled, rest, pulled]


def test_it_is_left_deenergised(kind, board, active_high):
    relay = make(kind, board, active_high)
    relay.switch(True)
    relay.close()
    assert board.history(17)[-1] is LEVELS[active_high, False]
    assert board.pin(17).function == "input"


def test_an_energised_relay_is_not_restored_by_a_new_program(kind, board, active_high):
    killed = make(kind, board, active_high)
    killed.switch(True)
    board._reservations.clear()  # as the kernel does for a killed program: levels stay
    assert make(kind, board, active_high).is_energised is False
    assert board.history(17)[-1] is LEVELS[active_high, False]


def test_a_pin_that_does_not_follow_is_reported(kind, board, active_high):
    relay = make(kind, board, active_high)
    board.pin(17).faults.switch("pin_stuck", True)
    with pytest.raises(SwitchFailed, match="GPIO17"):
        relay.switch(True)
    assert relay.is_energised is False


def test_two_relays_cannot_share_a_pin(kind, board, active_high):
    first = make(kind, board, active_high)
    with pytest.raises(HardwareError, match="GPIO17"):
        make(kind, board, active_high)
    assert first.is_energised is False


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"pin": 17}, ["active_high"]),
        ({"pin": 28, "active_high": True}, ["pin"]),
        ({"pin": 17, "active_high": 1}, ["active_high"]),
        ({"pin": "17", "active_high": True, "colour": 1}, ["pin", "colour"]),
    ],
)
def test_bad_options_are_named(kind, given, keys):
    assert [finding.key for finding in catalog.check_relay(kind, given)] == keys


def test_an_unknown_kind_is_refused():
    with pytest.raises(HardwareError, match="unknown relay kind"):
        catalog.make_relay("lever", None, {})
