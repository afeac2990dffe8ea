"""Each row F1 to F38 is played by a switch, or listed with a reason; and each names its tests."""

from __future__ import annotations

import json

import pytest

from hardware.mock.faults import FAULTS as DEVICE_FAULTS
from testbed.switchboard.catalog import FAULTS, GROUPS, NOT_PLAYED, ROWS
from tests.support.source import ROOT
from tests.unit.house.test_fault_table import functions

TABLE = json.loads((ROOT / "tests" / "vectors" / "fault_catalogue.json").read_text())["rows"]
LESSON = (ROOT / "docs" / "faults.md").read_text()


def test_the_catalogue_is_whole():
    assert list(ROWS) == list(TABLE) == [f"F{number}" for number in range(1, 39)]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_played_or_has_a_reason(row):
    played = {name for name, fault in FAULTS.items() if row in fault.rows}
    assert bool(played) != (row in NOT_PLAYED)
    assert set(TABLE[row]["faults"]) <= played
    assert bool(TABLE[row]["faults"]) == bool(played)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_exist(row):
    assert TABLE[row]["tests"]
    for test in TABLE[row]["tests"]:
        path, name = test.split("::")
        assert name in functions(path), test


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_says_in_plain_words_what_it_is(fault):
    assert fault.name.replace("_", "").isalnum()
    assert set(fault.rows) <= ROWS.keys()
    assert fault.kind in GROUPS
    for words in (fault.plays, fault.see, *(said for _, said in fault.see_on)):
        assert not words[0].islower()
        assert words.endswith((".", ".)"))


def test_every_fault_of_a_simulated_device_has_a_switch():
    assert DEVICE_FAULTS.keys() <= FAULTS.keys()


def test_every_fault_that_is_no_device_s_is_named_in_the_docs():
    own = FAULTS.keys() - DEVICE_FAULTS.keys()
    assert {name for name in own if f"`{name}`" not in LESSON} == set()
