"""A statement that begins at a snapshot says what one that begins at genesis says, to the byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.state import State
from hub.core.step import step
from hub.errors import NoSuchEntry
from hub.ledger.records import Snapshot
from hub.ledger.store import Store
from hub.statements.beginning import beginning_for
from hub.statements.making import Wanted, make_statement
from messages.entries import Close
from messages.log.policy import parse_policy, unwitnessed
from messages.statement import format_statement
from tests.property.hub.test_statements import SLOTS, delays, lost, moves, parameters, play
from tests.support.village import Village
from tests.support.village_ledger import VKEY, store_of

POLICY = parse_policy(unwitnessed(VKEY))


def snapshots(village: Village) -> Iterator[Snapshot]:
    """Yield the state after each close, as a hub would keep it."""
    state = State()
    for entry in village.entries:
        state.apply(step(state, entry.event, village.contracts).changes)
        if isinstance(entry.event.body, Close):
            yield Snapshot(entry.event.index + 1, state.root(), state.dumps())


def told(store: Store, village: Village, account: str, span: tuple[int, int]) -> str:
    first, last = span
    wanted = Wanted(account, first * village.slot_ms, last * village.slot_ms)
    try:
        return format_statement(make_statement(store, wanted, POLICY, village.contracts))
    except NoSuchEntry as error:
        return str(error)


def begun(store: Store, village: Village, first: int) -> int:
    return beginning_for(store, "ann", first * village.slot_ms).size


@settings(max_examples=15, deadline=None)
@given(moves, delays, lost, parameters, st.integers(2, SLOTS - 1))
def test_both_beginnings_lead_to_one_statement(
    moves: list[Any], delays: list[Any], lost: set[Any], parameters: dict[str, Any], first: int
) -> None:
    village = play(moves, delays, lost, parameters)
    asked = [(name, (first, last)) for name in ("ann", "@grid") for last in (first + 1, SLOTS)]
    with tempfile.TemporaryDirectory() as folder, store_of(village, Path(folder)) as store:
        plain = [told(store, village, *each) for each in asked]
        assert begun(store, village, SLOTS) == 0
        for snapshot in snapshots(village):
            store.save_snapshot(snapshot, keep=99)
        assert begun(store, village, 1) == 0, "a slot before is folded, for its balance"
        assert begun(store, village, 3) > begun(store, village, 2) > 0
        assert plain == [told(store, village, *each) for each in asked]


@pytest.mark.parametrize("spoil", ["root", "body", "both"])
def test_a_snapshot_that_no_header_vouches_for_is_passed_over(spoil: str, tmp_path: Path) -> None:
    village = play([[(5, 1)] * 4] * SLOTS, [[0] * SLOTS] * 4, set(), {})
    with store_of(village, tmp_path) as store:
        plain = told(store, village, "ann", (3, 4))
        good, *_, newest = snapshots(village)
        forged = State.loads(newest.body).copy()
        forged.accounts["ann"] = 10**9
        root, body = newest.root, newest.body
        if spoil in ("root", "both"):
            root = forged.root() if spoil == "both" else bytes(32)
        if spoil in ("body", "both"):
            body = forged.dumps()
        store.save_snapshot(good)
        store.save_snapshot(Snapshot(newest.size, root, body))
        assert begun(store, village, 9) == good.size
        assert told(store, village, "ann", (3, 4)) == plain
