"""Whatever the link does and whoever dies: every signed message is on the ledger exactly once."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hub.market.catalog import CONTRACTS
from hub.recorder import Recorder
from tests.support.edge_hub_pair import EdgeHubPair

STEPS = 300
DRAIN_ROUNDS = 200


def play(pair: EdgeHubPair, steps: int) -> None:
    actions = (
        [pair.send] * 6
        + [pair.carry_up] * 8
        + [pair.carry_down] * 8
        + [pair.measure] * 3
        + [pair.close_slot] * 2
        + [pair.hello, pair.kill_hub, pair.kill_edge]
    )
    for _ in range(steps):
        pair.random.choice(actions)()


def drain(pair: EdgeHubPair) -> None:
    """Let everything through until the edge has nothing left."""
    pair.loss = 0.0
    for _ in range(DRAIN_ROUNDS):
        pair.now_ms += 30_000
        pair.send()
        pair.carry_up()
        pair.close_slot()
        pair.carry_down()
        if pair.outbox.rows == 0:
            return
        if pair.random.random() < 0.1:
            pair.hello()
    raise AssertionError(f"{pair.outbox.rows} rows are still in the outbox")


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_doubled_or_foreign(tmp_path: Path, seed: int) -> None:
    pair = EdgeHubPair(tmp_path, Random(seed))
    try:
        play(pair, STEPS)
        pair.measure()
        drain(pair)
        store = pair.opened.recorder.store
        on_ledger: dict[tuple[bytes, str], list[bytes]] = {}
        for entry in store.entries():
            if entry.stream:
                on_ledger.setdefault((entry.kid, entry.stream), []).append(entry.raw)
        assert store.packs.pending() == []
        for kid, stream in pair.signed:
            if stream == "telemetry":
                packs = [store.packs.pack(kid, n + 1) for n in range(pair.slot)]
                on_ledger[kid, stream] = [pack.raw for pack in packs if pack is not None]
        assert on_ledger == pair.signed
        assert pair.outbox.dead_letters == 0
        assert pair.posting.alarm == ""
        assert store.strangers.evidence() == []
        assert Recorder(store, CONTRACTS).state.root() == pair.opened.recorder.state.root()
    finally:
        pair.close()
