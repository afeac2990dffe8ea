"""From live samples to set-points: ordered once, renewed with their power, told apart by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.balancing.agenda import SHIFTED
from hub.balancing.catalog import POLICIES
from hub.balancing.deciding import decide
from hub.balancing.policy import View
from hub.core.pricing import policy_at
from hub.core.state import Change
from hub.link.nodes import Newsroom
from hub.switching.dispatch import build_view
from hub.switching.explaining import explain, why_lines
from messages.entries import RelayEntry
from tests.support.hub_bench import START_MS, Bench
from tests.support.switch_bench import NONCE, Board, settle, switch_bench


@pytest.fixture
def roof(tmp_path: Path) -> Iterator[Board]:
    """A board whose one device is a limit on the generator; 20 W may leave."""
    bench = Bench(tmp_path, dispatch="none", dispatch_parameters={"export_mw_max": 20_000})
    opened = bench.open()
    spine = bench.spine(opened)
    limit = RelayEntry("heat", "fed", "pv", "alice", 50_000, critical=False, setpoint="limit")
    node, *meters = bench.key_entries()
    bench.enrol(spine, [replace(node, relays=(limit,)), *meters])
    yield Board(bench, opened, spine)
    opened.close()


def told(board: Board) -> list[int | None]:
    return [output.setpoint_mw for each in board.decisions() for output in each.outputs]


def test_a_set_point_is_ordered_once_and_renewed_with_its_power(roof: Board) -> None:
    roof.status()
    roof.samples(50_000, 10_000, 0)
    assert roof.decide()
    (first,) = roof.renew()
    assert (first.setpoint_mw, first.energised, first.reason) == (29_000, True, "export is capped")
    roof.ack(first)
    roof.now_ms += 3_000
    roof.status(energised=True)
    roof.samples(29_000, 10_000, 0)
    assert not roof.decide()
    (again,) = roof.renew()
    assert (again.setpoint_mw, again.decision) == (29_000, first.decision)
    assert told(roof) == [29_000]


def test_another_power_is_another_decision(roof: Board) -> None:
    roof.status()
    roof.samples(50_000, 10_000, 0)
    roof.decide()
    for lease in roof.renew():
        roof.ack(lease)
    roof.now_ms += 3_000
    roof.status(energised=True)
    roof.samples(29_000, 25_000, 0)
    assert roof.decide()
    assert told(roof) == [29_000, 44_000]
    roof.now_ms += 3_000
    roof.samples(44_000, 40_000, 0)
    assert roof.decide()
    assert told(roof)[-1] is None
    roof.renew()
    assert roof.leases.order_of(("dep1", "heat")) is not None


def test_a_hub_that_restarts_knows_a_limit_that_stands_from_its_node(roof: Board) -> None:
    status = roof.bench.status(
        roof.opened, NONCE, energised=True, at_ms=START_MS + roof.now_ms, setpoint_mw=29_000
    )
    roof.hearing.take([status], roof.now_ms, START_MS + roof.now_ms)
    roof.samples(29_000, 10_000, 0)
    assert roof.decide()
    assert told(roof) == [29_000]


def test_a_kept_decision_on_a_set_point_is_decided_again_alike(roof: Board) -> None:
    roof.status()
    roof.samples(50_000, 10_000, 0)
    roof.decide()
    (decision,) = roof.decisions()
    body = roof.spine.recorder.store.views.body(decision.view_root)
    assert body is not None
    view = View.loads(body)
    assert view.relays[0].setpoint == "limit"
    (order,) = decide(POLICIES["none"](), view).orders
    assert order.setpoint_mw == 29_000


def test_why_a_limit_stands_is_said_in_plain_words(roof: Board) -> None:
    roof.status()
    roof.samples(50_000, 10_000, 0)
    roof.decide()
    why = explain(roof.spine.recorder.store, "heat", None, POLICIES)
    first, *rest = why_lines(why)
    assert first == "dep1/heat: pv is to be limited to 29.0 W"
    assert "order     export is capped" in rest


def test_a_scheduled_load_waits_and_its_member_is_owed_nothing(tmp_path: Path) -> None:
    with switch_bench(tmp_path) as board:
        settle(board)
        at_ms = START_MS + board.now_ms
        row = {"from_ms": at_ms, "slot_ms": 60_000, "runs": {}, "battery_uwh": (0, 0)}
        state = board.spine.recorder.state
        key = ("dep_balance", f"schedule.{at_ms}.alice")
        state.apply([Change("memory", key, {**row, "runs": {"dep1/heat": (1, 2)}})])
        board.now_ms += 1_000
        board.status()
        board.samples(50_000, 40_000, 30_000)
        assert board.decide()
        (output,) = board.decisions()[-1].outputs
        assert (output.relay, output.cut, output.power_mw) == ("heat", True, None)
        assert SHIFTED in board.decisions()[-1].reason
        for lease in board.renew():
            board.ack(lease)
        assert [shed.power_mw for shed in state.sheds.values()] == [0]
        board.now_ms += 60_000
        board.status(energised=True)
        board.samples(50_000, 10_000, 0)
        assert board.decide()
        assert [each.cut for each in board.decisions()[-1].outputs] == [False]


@pytest.mark.parametrize(("batteries", "planned"), [(1, [-1_200_000]), (2, [None, None])])
def test_a_plan_is_for_the_only_battery_of_its_member(
    tmp_path: Path, batteries: int, planned: list[int | None]
) -> None:
    bench = Bench(tmp_path, dispatch="none", dispatch_parameters={})
    opened = bench.open()
    spine = bench.spine(opened)
    node, *meters = bench.key_entries()
    store = RelayEntry("s0", "fed", "pv", "alice", 3_000_000, critical=False, setpoint="battery")
    stores = tuple(replace(store, relay=f"s{number}") for number in range(batteries))
    bench.enrol(spine, [replace(node, relays=stores), *meters])
    state = opened.recorder.state
    row = {"from_ms": 0, "slot_ms": 60_000, "runs": {}, "battery_uwh": (-20_000_000, 0)}
    state.apply([Change("memory", ("dep_balance", "schedule.0.alice"), row)])
    policy = policy_at(state, START_MS)
    assert policy is not None
    view = build_view(state, policy, Newsroom(), 0, 5_000, {})
    assert [relay.planned_mw for relay in view.relays] == planned
    opened.close()
