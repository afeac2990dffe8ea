"""The broker is away for hours of simulated time, four samples a second (T18 of the test plan).

The real edge from samples to outbox, and the real hub from messages to receipts, in one process.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, closing

import pytest

from messages.log.tree import leaf_hash
from tests.faults.drivers.hub_and_edge import EdgeSide, HubSide, Wire
from tests.faults.recording import fast_folder
from tests.support.small_ledger import SLOT_MS, START_MS

STEP_MS = 250
HOUR_MS = 3_600_000
OUTBOX_MB_MAX = 100
DRAIN_S_MAX = 180
HOURS = [
    pytest.param(1, id="1-hour"),
    pytest.param(24, id="24-hours", marks=[pytest.mark.torture]),
]


class Certain(random.Random):
    """Nothing gets lost on the way."""

    def random(self) -> float:
        return 1.0


def drained(edge: EdgeSide, hub: HubSide, at_ms: int) -> float:
    """Let both talk until the edge holds nothing but what waits for a seal; return the time. [s]"""
    since_s, held = time.monotonic(), -1
    while True:
        left = edge.go_on(at_ms)
        if left == held and not edge.arrivals and not hub.receipts:
            return time.monotonic() - since_s
        held = left
        arrivals = [edge.arrivals.popleft() for _ in range(min(500, len(edge.arrivals)))]
        hub.take(arrivals, at_ms)
        while hub.receipts:
            edge.take(hub.receipts.popleft())


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("hours", HOURS)
def test_everything_is_there_when_it_is_back(hours: int) -> None:
    with fast_folder() as folder, closing(Wire()) as wire, ExitStack() as closed:
        hub = HubSide(folder / "hub", wire, Certain())
        closed.callback(hub.small.store.close)
        edge = EdgeSide(folder / "edge", wire, hub.small, step_ms=STEP_MS, samples=60)
        closed.callback(edge.end)
        edge.is_away = True
        ends_ms = START_MS + hours * HOUR_MS
        for at_ms in range(START_MS, ends_ms + 1, STEP_MS):
            edge.measure(at_ms, 50_000, moved=False)
        size_mb = sum(each.stat().st_size for each in (folder / "edge").iterdir()) / 1e6
        waiting = edge.go_on(ends_ms)
        edge.is_away = False
        took_s = drained(edge, hub, ends_ms)
        for slot_ms in range(START_MS + SLOT_MS, ends_ms + 1, SLOT_MS):
            hub.close(slot_ms)
        drained(edge, hub, ends_ms)
        left = edge.go_on(ends_ms)
        store = hub.small.store
        registers = [each for each in store.entries() if each.stream == "register"]
        packs = list(store.packs.sealed())
    samples = hours * HOUR_MS // STEP_MS
    print(
        f"{hours} h, {samples} samples: {waiting} messages waited in {size_mb:.1f} MB, drained in "
        f"{took_s:.1f} s, {left} left"
    )
    assert len(registers) >= hours * HOUR_MS // SLOT_MS
    assert [each.sequence for each in registers] == list(range(1, len(registers) + 1))
    assert len(packs) >= samples // 60 - 1
    assert len({leaf_hash(pack.raw) for pack in packs}) == len(packs)
    assert len(registers) + len(packs) + left >= waiting
    assert size_mb <= OUTBOX_MB_MAX
    assert took_s <= DRAIN_S_MAX
