"""A block header follows its close, whenever it comes, and covers exactly it."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.effects import Corrected, HeaderFollows
from hub.core.headers import next_header
from hub.core.results import result_rows, row_leaf
from messages.log.tree import EMPTY_ROOT, root
from tests.support.village import HOUR, KWH, Village, ignored


@pytest.fixture
def village() -> Village:
    village = Village()
    village.meter("m", "ann", "net")
    village.read("m", 0, 0, 0)
    return village


def results(village: Village, *effects: Any) -> list[bytes]:
    """Leaves of effects that the village has taken in last."""
    return [
        row_leaf(row)
        for effect in effects
        for row in result_rows(effect, lambda account: village.state.accounts.get(account, 0))
    ]


def test_a_header_covers_the_results_since_the_last_close(village: Village) -> None:
    assert next_header(village.state) is None
    (first,) = village.close(0, "timeout")
    of_first = results(village, first)
    (late,) = village.read("m", 1, 5 * KWH, 0)
    (second,) = village.close(1, "timeout")
    assert isinstance(late, Corrected)
    dues = village.state.dues
    assert list(dues) == [5, 7]
    assert dues[5].results_root == root(of_first)
    assert dues[7].results_root == root(results(village, late, second))
    assert (dues[5].first_index, dues[7].first_index) == (0, 5)
    assert (dues[7].slot_ms, dues[7].close_time_ms) == (HOUR, 2 * HOUR)
    assert next_header(village.state) == (5, dues[5])


def test_every_correction_of_an_entry_is_a_result(village: Village) -> None:
    for slot in range(3):
        village.close(slot, "timeout")
    late = village.read("m", 2, 5 * KWH, 0)
    village.read("m", 4, 9 * KWH, 0)
    last = village.close(3)
    assert [type(effect) for effect in (*late, *last[:1])] == [Corrected] * 3
    due = village.state.dues[len(village.entries)]
    assert due.results_root == root(results(village, *late, *last))


def test_headers_come_in_order_and_any_number_of_entries_later(village: Village) -> None:
    for slot in range(3):
        village.close(slot, "timeout")
    for height, end_index in enumerate((5, 6, 7)):
        (effect,) = village.header()
        assert isinstance(effect, HeaderFollows)
        assert (effect.height, effect.end_index) == (height, end_index)
        progress = village.state.progress
        assert progress.header_id == village.entries[-1].event.leaf_hash
        assert (progress.header_height, progress.header_end_index) == (height, end_index)
    assert village.state.dues == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"height": 1}, "header 1 does not follow header -1"),
        ({"previous": b"x"}, "header 0 does not follow header -1"),
        ({"end_index": 4}, "the header covers entries up to 4, the close is at 4"),
        ({"first_index": 1}, "the header covers entries up to 5, the close is at 4"),
        ({"results_root": EMPTY_ROOT}, "the header has another results root"),
    ],
)
def test_headers_that_do_not_fit(village: Village, changes: dict[str, Any], reason: str) -> None:
    village.close(0, "timeout")
    assert ignored(village.header(**changes)) == reason
    assert village.state.dues != {}


def test_the_first_valid_header_counts(village: Village) -> None:
    village.close(0, "timeout")
    body = village.header() and village.entries[-1].event.body
    assert ignored(village.put(village.hub, body)) == "no close wants a header"
