"""Telemetry goes when its days are over, a little at a time, and only where somebody asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import NoSuchEntry
from hub.ledger.samples import prove_sample
from hub.upkeep.retention import DAY_MS, LOOK_EVERY_MS, SEALS_AT_ONCE, Retention
from tests.support.small_ledger import START_MS, SmallHub

SEALS = SEALS_AT_ONCE + 3


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    made = SmallHub(tmp_path)
    made.enrol()
    for _ in range(SEALS):
        made.store.append([], [made.pack()])
        made.seal()
    made.checkpoint()
    yield made
    made.store.close()


def gone(hub: SmallHub) -> int:
    return hub.store.packs.forgotten()[0]


def test_nothing_goes_unless_asked_for(hub: SmallHub) -> None:
    Retention(hub.store.packs, 0).turn(0, START_MS + 10_000 * DAY_MS)
    assert gone(hub) == 0


def test_packs_go_after_their_days_a_few_seals_at_once(hub: SmallHub) -> None:
    retention = Retention(hub.store.packs, 2)
    retention.turn(0, START_MS + 2 * DAY_MS)
    assert gone(hub) == 0
    late_ms = START_MS + 3 * DAY_MS
    retention.turn(LOOK_EVERY_MS - 1, late_ms)
    assert gone(hub) == 0
    retention.turn(LOOK_EVERY_MS, late_ms)
    assert gone(hub) == SEALS_AT_ONCE
    retention.turn(LOOK_EVERY_MS + 1, late_ms)
    assert gone(hub) == SEALS


def test_a_sample_that_went_is_said_to_have_gone(hub: SmallHub) -> None:
    assert prove_sample(hub.store, "m1", START_MS + 10_000).meter_id == "m1"
    hub.store.packs.forget_before(START_MS + DAY_MS)
    with pytest.raises(NoSuchEntry, match=r"retention took the sample of m1 .* the hash is left"):
        prove_sample(hub.store, "m1", START_MS + 10_000)
