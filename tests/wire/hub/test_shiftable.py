"""A tariff goes down signed, a wish comes up signed, and the hub leases: bytes of both programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.shifting import Shift, Shifting
from hub.market.catalog import CONTRACTS
from hub.switching.tariffs import Tariffs, coming
from messages import cose, topics
from messages.entries import network_aad, parse_as
from messages.errors import BadSignature
from messages.status import REST, RUN, WAIT, RelayStatus
from messages.tariff import Tariff
from tests.support.hub_bench import NODE, SLOT_MS, START_MS
from tests.support.switch_bench import Board, settle, switch_bench

HOUR = 3_600_000


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with switch_bench(tmp_path) as made:
        yield made


def told(board: Board, tariffs: Tariffs) -> list[tuple[str, bytes]]:
    board.bench.link.sent.clear()
    state = board.spine.recorder.state
    tariffs.tell(state, START_MS + board.now_ms, (NODE,))
    return list(board.bench.link.sent)


def tariffs_of(board: Board) -> Tariffs:
    return Tariffs(CONTRACTS, board.news, board.switchboard._post)


def test_each_node_is_told_once_a_slot_and_after_its_hello(board: Board) -> None:
    tariffs = tariffs_of(board)
    ((topic, raw),) = told(board, tariffs)
    assert topics.parse(topic) == topics.Topic("bench", NODE, up=False, leaf="tariff")
    assert told(board, tariffs) == []
    board.now_ms += SLOT_MS
    ((_, later),) = told(board, tariffs)
    assert later != raw
    board.now_ms += 1
    board.hearing.take([board.bench.hello(board.opened)], board.now_ms, START_MS + board.now_ms)
    assert [again for _, again in told(board, tariffs)] == [later]


def test_the_tariff_is_the_hubs_word_in_this_network_and_no_other(board: Board) -> None:
    ((_, raw),) = told(board, tariffs_of(board))
    trust, envelope = board.opened.trust, cose.parse(raw)
    cose.verify(envelope, trust.hub_key, network_aad(trust.network_id))
    tariff = parse_as(Tariff, envelope)
    assert tariff == coming(board.spine.recorder.state, CONTRACTS, START_MS + board.now_ms)
    assert len(tariff.prices) == len(tariff.feed_in) == len(tariff.expected) == 192
    assert tariff.expected == tariff.prices
    with pytest.raises(BadSignature):
        cose.verify(envelope, trust.hub_key, network_aad(b"x" * 32))


def test_a_load_that_asks_to_wait_is_cut_by_a_lease_and_counted_as_shifted(board: Board) -> None:
    """The whole way: wish in the node's status, decision on the ledger, lease, acknowledgement."""
    settle(board)
    assert [lease.energised for lease in board.renew()] == []  # fed: the coil is let go
    board.now_ms += 1_000
    board.status(wish=WAIT)
    board.samples(50_000, 40_000, 30_000)
    assert board.decide()
    (output,) = board.decisions()[-1].outputs
    assert (output.cut, output.shift, output.power_mw) == (True, WAIT, 30_000)
    (lease,) = board.renew()
    assert (lease.relay, lease.energised) == ("heat", True)
    assert lease.reason == "its node lets it wait for a cheaper slot"
    board.ack(lease)
    (shed,) = board.spine.recorder.state.sheds.values()
    assert (shed.is_shift, shed.power_mw) == (True, 30_000)

    board.now_ms += 1_000
    board.status(energised=True, wish=REST)
    assert board.decide()
    assert board.decisions()[-1].outputs[0].shift == REST
    board.now_ms += 1_000
    board.status(energised=True, wish=RUN)
    board.samples(50_000, 10_000, 0)
    assert board.decide()
    assert not board.decisions()[-1].outputs[0].cut


def test_no_wish_moves_a_contact_without_a_decision(board: Board) -> None:
    settle(board)
    board.renew()
    board.now_ms += 1_000
    board.status(wish=WAIT)
    assert board.renew() == []  # no decision, no lease


def test_a_silent_node_wishes_nothing(board: Board) -> None:
    settle(board)
    board.status(wish=WAIT)
    board.now_ms += 10_000
    board.samples(50_000, 40_000, 30_000)
    board.decide()
    assert board.decisions() == []  # all is fed, as it was


def test_edge_and_hub_agree_on_what_the_tariff_says(board: Board) -> None:
    ((_, raw),) = told(board, tariffs_of(board))
    tariff = parse_as(Tariff, cose.parse(raw))
    shifting = Shifting({"heat": Shift(0, 0, 2 * SLOT_MS, "fed")}, SLOT_MS)
    at_ms = START_MS + board.now_ms
    assert shifting.take(tariff, at_ms)
    assert shifting.is_told(at_ms)
    shifting.look(at_ms, ())
    (status,) = shifting.told((RelayStatus("heat", True, 0, ""),))
    assert status.wish in (RUN, WAIT, REST)
    assert tariff.expected_at(tariff.first_slot_ms) == tariff.prices[0]
    assert tariff.expected_at(tariff.first_slot_ms + HOUR * 100) is None
