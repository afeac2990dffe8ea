"""Append, step, close, restart: the state is always what the ledger says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub import recorder as recorder_module
from hub.closing import COMPLETE, TIMEOUT, Closer, CloseRule, next_slot
from hub.core.events import read_event
from hub.ledger.books import MatchRow, SlotEnergyRow, SlotRow
from hub.ledger.records import Snapshot
from hub.ledger.schema import snapshot as snapshot_table
from hub.link.nodes import Newsroom
from hub.market.catalog import CONTRACTS
from hub.recorder import Recorder
from hub.spine import Spine
from hub.starting import Opened
from messages.entries import BlockHeader, Close, Seal
from messages.log import tree
from messages.receipt import Receipt
from tests.support.hub_bench import SLOT_MS, START_MS, Bench

RULE = CloseRule(SLOT_MS, 30_000, 600_000)


def closer_of(opened: Opened, spine: Spine) -> Closer:
    return Closer(spine, opened.pen, RULE)


def play(bench: Bench, opened: Opened, spine: Spine, slots: int) -> None:
    """Read every meter at each edge, and close each slot."""
    closer = closer_of(opened, spine)
    spine.take_in(bench.readings(START_MS, 0), 0, START_MS)
    for slot in range(1, slots + 1):
        at_ms = START_MS + slot * SLOT_MS
        spine.take_in(bench.readings(at_ms, slot * 1_000), 0, at_ms)
        assert closer.close_due(Newsroom(), at_ms, 0, 0)
    assert not closer.close_due(Newsroom(), at_ms, 0, 0)


def test_a_slot_closes_with_seal_close_and_header(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    recorder = spine.recorder
    packs = [bench.pack("pv", START_MS, (5, 6)), bench.pack("load", START_MS, (7,))]
    spine.take_in([*bench.readings(START_MS, 0), *packs], 0, START_MS)
    spine.take_in(bench.readings(START_MS + SLOT_MS, 500), 0, START_MS)
    before = recorder.store.size
    closer_of(opened, spine).close(START_MS, COMPLETE, START_MS + SLOT_MS + 7)
    events = [read_event(e.index, e.raw) for e in recorder.store.entries(before)]
    seal, close, header = (event.body for event in events)
    kids = sorted(bench.meters[m].public.kid for m in ("pv", "load"))
    by_kid = {bench.meters[m].public.kid: p.raw for m, p in zip(("pv", "load"), packs, strict=True)}
    assert seal == Seal(START_MS, 2, tree.root([tree.leaf_hash(by_kid[kid]) for kid in kids]))
    assert close == Close(START_MS, COMPLETE, (), START_MS + SLOT_MS + 7)
    assert isinstance(header, BlockHeader)
    assert (header.end_index, header.height) == (before + 2, 0)
    assert header.log_root == recorder.store.root(before + 2)
    assert recorder.store.packs.pending() == []
    assert recorder.next_header() is None
    assert next_slot(recorder.state) == START_MS + SLOT_MS
    (row,) = recorder.store.books.latest(SlotRow, 5)
    assert (row.start_ms, row.result, row.close_index) == (START_MS, "settled", before + 1)
    energies = recorder.store.books.of_slot(SlotEnergyRow, START_MS)
    assert {e.meter_id: (e.import_uwh, e.export_uwh) for e in energies} == {
        "heater": (500, 0),
        "load": (500, 0),
        "pv": (0, 500),
    }
    assert recorder.store.books.of_slot(MatchRow, START_MS) == []


def test_packs_are_final_with_their_seal(bench: Bench, opened: Opened, spine: Spine) -> None:
    spine.take_in([*bench.readings(START_MS, 0), bench.pack("pv", START_MS, (5,))], 0, START_MS)
    kid = bench.meters["pv"].public.kid

    def final() -> int:
        lines = [s for r in bench.take_sent(opened, Receipt) for s in r.streams]
        return [s.final_up_to for s in lines if (s.kid, s.stream) == (kid, "telemetry")][-1]

    assert final() == 0
    closer_of(opened, spine).close(START_MS, COMPLETE, START_MS + SLOT_MS)
    spine.publish()
    assert final() == 1


def test_the_missing_are_waited_for_then_estimated(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    closer = closer_of(opened, spine)
    spine.take_in(bench.readings(START_MS, 0), 0, START_MS)
    end_ms = START_MS + SLOT_MS
    spine.take_in([bench.reading("pv", end_ms, 9)], 0, end_ms)
    assert not closer.close_due(Newsroom(), end_ms + 29_999, 10**9, 0)
    assert closer.close_due(Newsroom(), end_ms + 30_000, 10**9, 0)
    store = spine.recorder.store
    body = read_event(0, store.entry(store.size - 2).raw).body
    assert body == Close(START_MS, TIMEOUT, ("heater", "load"), end_ms + 30_000)


def test_a_restart_replays_to_the_same_root(bench: Bench, opened: Opened, spine: Spine) -> None:
    play(bench, opened, spine, 5)
    root, rows = spine.recorder.state.root(), spine.recorder.store.books.latest(SlotRow, 99)
    spine.recorder.store.books.clear()
    again = Recorder(spine.recorder.store, CONTRACTS)
    assert again.replayed_from == 0
    assert again.state.root() == root
    assert again.store.books.latest(SlotRow, 99) == rows


def test_a_snapshot_spares_the_replay(
    bench: Bench, opened: Opened, spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "SNAPSHOT_EVERY_CLOSES", 2)
    play(bench, opened, spine, 5)
    again = Recorder(spine.recorder.store, CONTRACTS)
    newest = spine.recorder.store.snapshots()[0]
    assert again.replayed_from == newest.size > 0
    assert again.state.root() == spine.recorder.state.root()
    header = read_event(0, spine.recorder.store.entry(newest.size).raw).body
    assert isinstance(header, BlockHeader)
    assert header.state_root == newest.root


def test_a_snapshot_that_the_ledger_does_not_vouch_for_is_passed_over(
    bench: Bench, opened: Opened, spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "SNAPSHOT_EVERY_CLOSES", 2)
    play(bench, opened, spine, 5)
    store, root = spine.recorder.store, spine.recorder.state.root()
    newest, older, *_ = store.snapshots()
    store.save_snapshot(Snapshot(newest.size, older.root, older.body))
    again = Recorder(store, CONTRACTS)
    assert (again.replayed_from, again.state.root()) == (older.size, root)
    store.save_snapshot(Snapshot(newest.size, newest.root, newest.body[:-1]))
    again = Recorder(store, CONTRACTS)
    assert (again.replayed_from, again.state.root()) == (older.size, root)
    with store.engine.begin() as connection:
        connection.execute(snapshot_table.delete())
    assert Recorder(store, CONTRACTS).state.root() == root


def test_a_header_that_a_crash_cut_off_is_made_at_the_next_start(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    play(bench, opened, spine, 2)
    at_ms = START_MS + 3 * SLOT_MS
    spine.take_in(bench.readings(at_ms, 7_000), 0, at_ms)
    pen = opened.pen
    spine.record([pen.entry(Close(START_MS + 2 * SLOT_MS, COMPLETE, (), at_ms))])
    expected = spine.recorder.next_header()
    assert expected is not None
    late = bench.reading("pv", at_ms + SLOT_MS, 8_000)
    spine.take_in([late], 0, at_ms)
    opened.close()
    again = bench.open()
    try:
        fresh = bench.spine(again)
        assert fresh.recorder.next_header() == expected
        closer_of(again, fresh).add_headers()
        assert fresh.recorder.next_header() is None
    finally:
        again.close()


def test_what_would_change_nothing_is_objected_to(bench: Bench, spine: Spine) -> None:
    (reason, *others) = bench.enrol(spine, bench.key_entries()[:1])
    assert others == []
    assert reason == ""  # the same bytes again: it is there already
    (again,) = bench.enrol(spine, [replace(bench.meter_entry("pv"), serial="x")])
    assert "is registered already" in again
