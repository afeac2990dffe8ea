"""Relays that nobody can count on: held by their guard, or on a node that says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.policy import View
from hub.core.events import read_event
from hub.link.nodes import SILENT_AFTER_MS
from hub.switching.dispatch import FOLLOW_MS
from hub.switching.explaining import explain, why_lines
from hub.vitals.alarms import relay_alarms
from messages.relayfault import WELDED, RelayFault
from messages.timetext import format_time
from tests.support.hub_bench import START_MS
from tests.support.switch_bench import Board, settle, switch_bench

WHY = "metering only: why"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with switch_bench(tmp_path) as made:
        yield made


def shown(board: Board) -> View:
    """Return the view behind the newest decision."""
    body = board.spine.recorder.store.views.body(board.decisions()[-1].view_root)
    assert body is not None
    return View.loads(body)


def test_a_relay_that_its_guard_holds_is_neither_ordered_nor_leased(board: Board) -> None:
    settle(board)
    board.status(unavailable=WHY)
    before = len(board.decisions())
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert not board.decide()
    assert len(board.decisions()) == before
    assert board.leases.standing == ()
    assert board.renew() == []
    verdict = board.dispatcher.verdict
    assert verdict is not None
    assert [order.reason for order in verdict.orders] == [f"cannot be counted on: {WHY}"]
    assert verdict.infeasible == ("alice: 25.0 W too much that no relay can cut",)
    state = board.spine.recorder.state
    assert list(relay_alarms(state, board.news, board.leases, board.now_ms)) == [
        f"node dep1 lets no lease move heat: {WHY}"
    ]


def test_what_is_let_go_of_again_is_decided_anew(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    board.status(unavailable=WHY)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert not board.decide()
    before = len(board.decisions())
    board.now_ms += FOLLOW_MS
    board.status()
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    assert len(board.decisions()) == before + 1
    (lease,) = board.renew()
    assert lease.energised


def test_a_load_on_a_silent_node_counts_as_drawing_all_it_may(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    board.ack(board.renew()[0])
    before = len(board.decisions())
    board.now_ms += SILENT_AFTER_MS + 1
    assert not board.decide()
    assert len(board.decisions()) == before
    verdict = board.dispatcher.verdict
    assert verdict is not None
    (order,) = verdict.orders
    rated_mw = board.spine.recorder.state.meters["heater"].rated_mw
    assert (order.cut, order.power_mw) == (False, rated_mw)
    assert order.reason == "cannot be counted on: node dep1 is silent"
    assert "not to be counted on: heat (node dep1 is silent)" in verdict.reason


def test_a_welded_contact_is_an_entry_an_alarm_and_an_answer(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    for lease in board.renew():
        board.ack(lease)
    for _ in range(5):
        board.now_ms += 1_000
        board.samples(15_000, 40_000, 29_000)
        board.status(energised=True)
        board.decide()
    store, state = board.spine.recorder.store, board.spine.recorder.state
    (entry,) = store.of_kind("fault")
    fault = read_event(entry.index, entry.raw).body
    assert isinstance(fault, RelayFault)
    assert (fault.fault, fault.at_ms) == (WELDED, START_MS + board.now_ms - 2_000)
    reason = "cut, and heater still shows 29.0 W: a welded contact, or a wrong wire"
    alarms = relay_alarms(state, board.news, board.leases, board.now_ms)
    assert list(alarms) == [f"relay dep1/heat: {reason}"]
    verdict = board.dispatcher.verdict
    assert verdict is not None
    assert f"not to be counted on: heat ({reason})" in verdict.reason
    assert list(verdict.infeasible) == ["alice: 25.0 W too much that no relay can cut"]
    since = format_time(fault.at_ms)
    lines = list(why_lines(explain(store, "heat", None, POLICIES)))
    assert lines[0] == f"dep1/heat: not to be counted on since {since}: {reason}"
    before = list(why_lines(explain(store, "heat", fault.at_ms - 1, POLICIES)))
    assert "is to be cut" in before[0]
    (standing,) = board.leases.standing
    assert standing.cut  # it is held where it was ordered, and not moved again
