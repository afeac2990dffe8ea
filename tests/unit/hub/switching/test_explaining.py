"""Why a relay stands as it does, from a ledger on which it was decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.errors import NoSuchEntry
from hub.switching.explaining import explain, why_lines
from messages.lease import Lease
from messages.timetext import format_time
from tests.support.hub_bench import START_MS
from tests.support.switch_bench import NONCE, Board, settle, switch_bench


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with switch_bench(tmp_path) as made:
        yield made


def shed(board: Board) -> None:
    """The sun goes: the heater is cut, and its guard says so."""
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    for lease in board.renew():
        board.ack(lease)


def lines(board: Board, wanted: str = "heat", at_ms: int | None = None) -> list[str]:
    return list(why_lines(explain(board.spine.recorder.store, wanted, at_ms, POLICIES)))


def test_a_shed_load_has_its_limit_its_reason_and_its_proof(board: Board) -> None:
    shed(board)
    said = lines(board)
    (index,) = [e.index for e in board.spine.recorder.store.of_kind("decision")][-1:]
    assert said[0].endswith("heater (30.0 W at last) is to be cut")
    assert f"entry {index}" in said[1]
    assert said[3] == "limit     supply"
    assert said[4] == "because   alice wants 40.0 W, may use 15.0 W, keeps 10.0 W"
    assert said[5] == "order     40.0 W wanted, 15.0 W there"
    assert "applied, coil on" in said[6]
    assert [line for line in said if line.startswith("seen      pv: -15.0 W, ")]


def test_before_the_decision_nobody_had_spoken_of_it(board: Board) -> None:
    shed(board)
    decision = board.decisions()[-1]
    assert "no decision has spoken of it" in lines(board, at_ms=decision.at_ms - 1)[0]
    assert "is to be cut" in lines(board, at_ms=decision.at_ms)[0]


def test_without_its_view_the_decision_still_stands(board: Board) -> None:
    shed(board)
    board.spine.recorder.store.views.forget_before(1 << 62)
    said = lines(board)
    assert said[-1] == "seen      no longer kept; its root stands in the decision"
    assert not [line for line in said if line.startswith("order")]


def test_a_relay_that_nobody_has_is_told_with_those_there_are(board: Board) -> None:
    with pytest.raises(NoSuchEntry, match=r"no relay is called oven; there are .*/heat"):
        lines(board, "oven")


def test_an_override_is_said_first_with_its_time_and_entry(board: Board) -> None:
    shed(board)
    lease = Lease("dep1", "heat", NONCE, 1, 6_000, False, "", 1)
    index = board.spine.recorder.store.size
    reason = "overridden locally by switch stop"
    board.now_ms += 1_000
    board.ack(lease, "override", reason)
    thrown_ms = START_MS + board.now_ms
    board.now_ms += 1_000
    board.ack(lease, "override", reason)
    assert board.spine.recorder.state.contacts["dep1", "heat"].is_cut is False
    assert lines(board)[0] == (
        f"dep1/heat: {reason}, since {format_time(thrown_ms)}, coil off (entry {index}); "
        "the hub's orders wait"
    )
    assert "is to be cut" in lines(board)[1]
    assert "is to be cut" in lines(board, at_ms=thrown_ms - 1)[0]
    board.ack(lease, "safe", "the local override is over")
    assert "is to be cut" in lines(board)[0]
