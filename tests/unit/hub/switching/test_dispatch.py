"""From live samples to orders, decision entries and leases; stale means danger, silence decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.balancing.policy import View, view_root
from hub.core.pricing import policy_at
from hub.core.state import Change
from hub.switching.dispatch import (
    FOLLOW_MS,
    GATHER_MS,
    SPACING_MS,
    START_GRACE_MS,
    Dispatcher,
    build_view,
)
from hub.switching.switchboard import balance_request, is_news
from messages.lease import Lease
from messages.status import Request
from tests.support.hub_bench import START_MS
from tests.support.switch_bench import NONCE, NOW_MS, Board, settle, switch_bench


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with switch_bench(tmp_path) as made:
        yield made


def test_a_deficit_is_decided_recorded_leased_and_followed(board: Board) -> None:
    settle(board)
    before = len(board.decisions())
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    decision = board.decisions()[before]
    (output,) = decision.outputs
    assert (output.relay, output.cut, output.energised) == ("heat", True, True)
    assert output.power_mw == 30_000
    (lease,) = board.renew()
    assert lease.energised
    assert lease.decision == board.spine.recorder.store.of_kind("decision")[-1].index
    assert lease.nonce == NONCE
    assert board.switchboard.unsettled(board.now_ms) == (("dep1", "heat"),)
    board.ack(lease)
    assert board.switchboard.unsettled(board.now_ms) == ()
    contact = board.spine.recorder.state.contacts["dep1", "heat"]
    assert (contact.is_cut, contact.wants_cut, contact.power_mw) == (True, True, 30_000)


def test_the_view_is_kept_and_decides_again(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    board.decide()
    decision = board.decisions()[-1]
    body = board.spine.recorder.store.views.body(decision.view_root)
    assert body is not None
    view = View.loads(body)
    assert view_root(view) == decision.view_root
    verdict = POLICIES["dep"]().decide(view)
    assert [order.cut for order in verdict.orders] == [True]


def test_what_stands_is_not_decided_again(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    assert board.decide()
    for _ in range(3):
        board.now_ms += 1_000
        board.samples(15_000, 10_000, 0)
        assert not board.decide()


def test_an_order_that_is_not_obeyed_counts_as_obeyed_for_a_while_only(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    board.decide()
    board.now_ms += FOLLOW_MS
    board.samples(15_000, 40_000, 30_000)
    state, policy = board.spine.recorder.state, policy_at(board.spine.recorder.state, START_MS)
    assert policy is not None
    on_the_way = board.dispatcher._on_the_way(board.now_ms)
    view = build_view(state, policy, board.news, board.now_ms, START_MS, on_the_way)
    assert [relay.is_cut for relay in view.relays] == [False]


def test_the_ledger_says_which_relays_are_not_fail_safe(board: Board) -> None:
    settle(board)
    state, policy = board.spine.recorder.state, policy_at(board.spine.recorder.state, START_MS)
    assert policy is not None
    for is_failsafe in (True, False):
        (name, record) = next(iter(state.relays.items()))
        state.relays[name] = record._replace(is_failsafe=is_failsafe)
        view = build_view(state, policy, board.news, board.now_ms, START_MS, {})
        assert [relay.is_failsafe for relay in view.relays] == [is_failsafe]


def test_enough_again_and_the_load_comes_back(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    board.decide()
    board.ack(board.renew()[0])
    board.now_ms += 1_000
    board.samples(60_000, 10_000, 0)
    assert board.decide()
    (lease,) = board.renew()
    assert not lease.energised


def test_a_second_load_waits_until_the_first_one_draws(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    board.decide()
    board.ack(board.renew()[0])
    board.now_ms += 1_000
    board.samples(60_000, 10_000, 0)
    board.decide()
    (lease,) = board.renew()
    (standing,) = board.leases.standing

    def waits() -> bool:
        return board.dispatcher._is_coming_back(board.spine.recorder.state, standing, board.now_ms)

    assert waits()  # the contact has not moved yet
    board.now_ms += 100
    board.ack(lease)
    assert waits()  # it has, and no sample shows what the load draws
    board.now_ms += 1_000
    board.samples(60_000, 40_000, 30_000)
    assert not waits()


def test_a_restarted_hub_decides_anew_before_it_holds_anything(board: Board) -> None:
    settle(board)
    board.now_ms += 1_000
    board.samples(15_000, 40_000, 30_000)
    board.decide()
    first = board.renew()[0]
    board.ack(first)
    again = Board(board.bench, board.opened, board.spine)
    again.now_ms = board.now_ms + 1_000
    again.status(energised=True)
    assert again.renew() == []
    again.samples(15_000, 10_000, 0)
    assert again.decide()
    (lease,) = again.renew()
    assert lease.sequence > first.sequence


def test_after_a_start_silence_is_given_time(board: Board) -> None:
    board.status()
    assert not board.decide()
    board.now_ms += START_GRACE_MS - 1
    assert not board.decide()
    assert board.dispatcher.verdict is None
    board.now_ms += 1
    board.decide()
    assert board.dispatcher.verdict is not None


def test_a_sample_with_a_strange_beacon_has_no_age(board: Board) -> None:
    at_ms = START_MS + board.now_ms
    board.hearing.take([board.bench.live("pv", at_ms, -5, b"x" * 16)], board.now_ms, at_ms)
    state = board.spine.recorder.state
    policy = policy_at(state, at_ms)
    assert policy is not None
    view = build_view(state, policy, board.news, board.now_ms, at_ms, {})
    by_id = {meter.meter_id: meter for meter in view.meters}
    assert (by_id["pv"].power_mw, by_id["pv"].age_ms) == (-5, None)
    assert (by_id["load"].power_mw, by_id["load"].age_ms) == (None, None)
    assert all(meter.is_stale(3_000) for meter in view.meters)


def test_ages_are_the_beacons(board: Board) -> None:
    board.samples(1, 2, 3)
    board.now_ms += 700
    state = board.spine.recorder.state
    policy = policy_at(state, START_MS)
    assert policy is not None
    view = build_view(state, policy, board.news, board.now_ms, START_MS, {})
    assert {meter.age_ms for meter in view.meters} == {700}


def test_an_older_live_sample_is_not_heard(board: Board) -> None:
    late = board.bench.live("pv", START_MS, -1)
    newer = board.bench.live("pv", START_MS + 1, -2)
    board.hearing.take([newer], board.now_ms, START_MS)
    assert not board.hearing.take([late, newer], board.now_ms, START_MS)
    assert board.news.samples["pv"].live.power_mw == -2


def test_a_look_is_due_when_an_instant_is_complete(board: Board) -> None:
    settle(board)
    state = board.spine.recorder.state
    board.now_ms += SPACING_MS
    assert board.dispatcher.wait_ms(state, board.now_ms) == 1_000 - SPACING_MS
    at_ms = START_MS + 10_000_000
    board.hearing.take([board.bench.live("pv", at_ms, -1)], board.now_ms, at_ms)
    board.dispatcher.note_change(board.now_ms)
    assert board.dispatcher.wait_ms(state, board.now_ms) == GATHER_MS
    others = [board.bench.live(meter, at_ms, 1) for meter in ("load", "heater")]
    board.hearing.take(others, board.now_ms, at_ms)
    assert board.dispatcher.wait_ms(state, board.now_ms) == 0


def test_looks_are_spaced(board: Board) -> None:
    settle(board)
    board.dispatcher.note_change(board.now_ms)
    assert board.dispatcher.wait_ms(board.spine.recorder.state, board.now_ms) == SPACING_MS


def test_a_policy_that_is_not_installed_is_said(board: Board) -> None:
    dispatcher = Dispatcher(board.news, board.leases, {}, NOW_MS)
    assert dispatcher.look(board.spine.recorder.state, NOW_MS, START_MS) is None
    assert "'dep' is not installed here" in dispatcher.fault


def test_a_late_status_says_nothing(board: Board) -> None:
    board.status(energised=True)
    late = board.bench.status(board.opened, b"o" * 16, energised=False, at_ms=START_MS)
    board.hearing.take([late], board.now_ms, START_MS)
    assert board.news.newest_nonce("dep1") == NONCE
    assert board.news.energised(("dep1", "heat")) is True


def test_moves_are_counted_once(board: Board) -> None:
    board.status()
    assert board.hearing.take_moved() == 0
    board.now_ms += 1
    board.status(energised=True)
    board.ack(Lease("dep1", "heat", NONCE, 1, 6_000, True, "", 1))
    assert board.hearing.take_moved() == 1
    assert board.hearing.take_moved() == 0


@pytest.mark.parametrize(
    ("deficit_mw", "expected"),
    [
        (40_000, Request(5, 40_000, "deficit")),
        (-7, Request(5, 7, "surplus")),
        (0, Request(5, 0, "balanced")),
    ],
)
def test_the_balance_request(deficit_mw: int, expected: Request) -> None:
    assert balance_request(5, deficit_mw) == expected


def test_a_request_is_sent_when_it_says_something_new(board: Board) -> None:
    told = Request(0, 1_000, "deficit")
    assert is_news(None, told, soon=True)
    assert is_news(told, Request(60_000, 1_000, "deficit"), soon=True)
    assert is_news(told, Request(0, 1_000, "surplus"), soon=True)
    assert not is_news(told, Request(0, 9_000, "deficit"), soon=True)
    assert is_news(told, Request(0, 1_051, "deficit"), soon=False)
    assert not is_news(told, Request(0, 1_050, "deficit"), soon=False)
    settle(board)
    board.bench.link.sent.clear()
    board.now_ms += 60_000
    board.samples(20_000, 50_000, 30_000)
    board.decide()
    requests = board.bench.take_sent(board.opened, Request)
    assert [(r.direction, r.amount_mw) for r in requests] == [("deficit", 30_000)]


@pytest.mark.parametrize(
    "loaded",
    [
        Change("memory", ("dep_balance", "supply.alice"), None),
        Change("account", "alice", 1),  # by a deposit, before the contract has seen it
    ],
)
def test_a_relay_opens_when_no_credit_is_left_and_closes_when_loaded(
    board: Board, loaded: Change
) -> None:
    settle(board)
    state = board.spine.recorder.state
    row = ("dep_balance", "supply.alice")
    state.apply([Change("memory", row, "low")])
    board.now_ms += FOLLOW_MS
    board.samples(50_000, 40_000, 30_000)
    assert not board.decide()
    state.apply([Change("memory", row, "empty")])
    board.now_ms += 1_000
    board.samples(50_000, 40_000, 30_000)
    assert board.decide()
    decision = board.decisions()[-1]
    (output,) = decision.outputs
    assert (output.relay, output.cut, output.power_mw) == ("heat", True, 30_000)
    assert decision.reason.endswith("; no credit is left")
    body = board.spine.recorder.store.views.body(decision.view_root)
    assert body is not None
    assert [relay.withheld for relay in View.loads(body).relays] == ["no credit is left"]
    (lease,) = board.renew()
    assert lease.reason == "no credit is left"
    board.ack(lease)
    state.apply([loaded])
    board.now_ms += FOLLOW_MS
    board.samples(50_000, 10_000, 0)
    assert board.decide()
    assert [output.cut for output in board.decisions()[-1].outputs] == [False]


def test_no_look_waits_for_one_meter_and_the_reason_names_it(board: Board) -> None:
    board.now_ms += START_GRACE_MS
    settle(board)
    state = board.spine.recorder.state
    for _ in range(3):
        board.now_ms += 1_000
        at_ms = START_MS + board.now_ms
        board.beacon = board.beacons.next(board.now_ms) or board.beacon
        powers = {"pv": -50_000, "load": 40_000}  # the heater's meter says nothing any more
        lives = [board.bench.live(m, at_ms, mw, board.beacon) for m, mw in powers.items()]
        assert board.hearing.take(lives, board.now_ms, at_ms)
        board.dispatcher.note_change(board.now_ms)
        assert board.dispatcher.wait_ms(state, board.now_ms) <= GATHER_MS
        board.decide()
    assert board.dispatcher.wait_ms(state, board.now_ms) <= 1_000
    board.now_ms += 1_000
    assert board.decide()
    decision = board.decisions()[-1]
    assert decision.limit == "stale meter"
    assert "silent meters count as danger: heater" in decision.reason
