"""verify -> admit -> append -> step -> publish: what a batch leaves behind, who hears of it."""

from __future__ import annotations

from hub.link.arrivals import Arrival
from hub.spine import Spine
from hub.starting import Opened
from messages.log.checkpoint import open_checkpoint
from messages.log.note import parse_vkey
from messages.log.tree import check_many, leaf_hash
from messages.receipt import Receipt, Refusal
from tests.support.hub_bench import MICROGRID, NODE, START_MS, Bench

NOW_MS = 1_000_000


def take(spine: Spine, *arrivals: Arrival, now_ms: int = NOW_MS) -> int:
    """Take a batch in and return how many entries there are."""
    spine.take_in(arrivals, now_ms, START_MS)
    return spine.recorder.store.size


def stream_of(receipts: list[Receipt], kid: bytes, stream: str) -> tuple[int, int]:
    """Return the newest (stored, final) that receipts say of a stream."""
    lines = [
        line for r in receipts for line in r.streams if (line.kid, line.stream) == (kid, stream)
    ]
    assert lines
    return lines[-1].stored_up_to, lines[-1].final_up_to


def test_a_reading_is_stored_folded_and_proven(bench: Bench, opened: Opened, spine: Spine) -> None:
    before = spine.recorder.store.size
    arrivals = bench.readings(START_MS, 1_000)
    assert take(spine, *arrivals) == before + 3
    assert spine.recorder.state.cursors["pv"].export_uwh == 1_000
    (receipt,) = bench.take_sent(opened, Receipt)
    head = open_checkpoint(receipt.checkpoint, parse_vkey(opened.trust.log_vkey))
    assert head.size == before + 3
    assert head.root == spine.recorder.store.root()
    wanted = {
        index: leaf_hash(arrival.raw)
        for index, arrival in zip(range(before, before + 3), arrivals, strict=True)
    }
    check_many(wanted, head.size, receipt.hashes, head.root)
    assert sorted(i for line in receipt.streams for i in line.indices) == sorted(wanted)
    kid = bench.meters["pv"].public.kid
    assert stream_of([receipt], kid, "register") == (1, 1)


def test_a_duplicate_is_answered_and_changes_nothing(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    reading = bench.reading("pv", START_MS, 1_000)
    size = take(spine, reading)
    bench.link.sent.clear()
    assert take(spine, reading, reading) == size
    receipts = bench.take_sent(opened, Receipt)
    assert stream_of(receipts, bench.meters["pv"].public.kid, "register") == (1, 1)
    assert receipts[0].streams[0].indices == (size - 1,)


def test_early_ones_wait_for_what_is_missing(bench: Bench, spine: Spine) -> None:
    first, second, third = (bench.reading("pv", START_MS + n * 60_000, n) for n in range(3))
    size = spine.recorder.store.size
    assert take(spine, third, second) == size
    assert take(spine, first) == size + 3
    raws = [entry.raw for entry in spine.recorder.store.entries(size)]
    assert raws == [first.raw, second.raw, third.raw]


def test_what_can_never_be_taken_leaves_a_gap_and_the_stream_goes_on(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    bad = bench.reading("pv", START_MS + 1, 5)
    good = bench.reading("pv", START_MS + 60_000, 9)
    size = take(spine, bad, good)
    gap, reading = list(spine.recorder.store.entries(size - 2))
    assert (gap.kind, reading.raw) == ("gap", good.raw)
    (refusal,) = bench.take_sent(opened, Refusal)
    kid = bench.meters["pv"].public.kid
    assert (refusal.kid, refusal.stream, refusal.sequence) == (kid, "register", 1)
    assert refusal.gap_index == gap.index
    assert refusal.reason.startswith("off-slot-edge: ")
    assert take(spine, bad) == size
    (again,) = bench.take_sent(opened, Refusal)
    assert again.sequence == 1


def test_gaps_are_rationed(bench: Bench, spine: Spine) -> None:
    size = spine.recorder.store.size
    bad = [bench.reading("pv", START_MS + n, 0) for n in range(1, 31)]
    assert take(spine, *bad) == size + 20
    assert take(spine, *bad[20:], now_ms=NOW_MS + 3_000) == size + 23


def test_two_contents_for_one_place_are_evidence(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    size = take(spine, bench.reading("pv", START_MS, 1_000))
    bench.link.sent.clear()
    other = bench.reading("pv", START_MS, 2_000, sequence=1)
    assert take(spine, other) == size
    (kept,) = spine.recorder.store.strangers.evidence()
    assert kept.offered == other.raw
    (refusal,) = bench.take_sent(opened, Refusal)
    assert refusal.sequence == 1
    assert refusal.reason == f"equivocation: {spine.alarms['pv']}"
    assert "signed two contents for register 1" in spine.alarms["pv"]


def test_a_stranger_is_counted_and_nothing_is_stored(bench: Bench, spine: Spine) -> None:
    from tests.support.signers import ed25519

    size = spine.recorder.store.size
    bench.meters["pv"] = ed25519("somebody else")
    reading = bench.reading("pv", START_MS, 1)
    assert take(spine, reading, reading, Arrival(NODE, "register", b"\xff")) == size
    spine.count_refused()
    assert spine.recorder.store.strangers.counts() == {
        ("unknown-key", NODE): 2,
        ("malformed", NODE): 1,
    }


def test_a_reason_without_a_row_is_told_now_and_then(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    junk = Arrival(NODE, "register", b"\xff")
    take(spine, junk, junk)
    take(spine, junk, now_ms=NOW_MS + 9_999)
    assert len(bench.take_sent(opened, Refusal)) == 1
    take(spine, junk, now_ms=NOW_MS + 10_000)
    assert len(bench.take_sent(opened, Refusal)) == 1


def test_a_node_that_is_not_enrolled_hears_nothing(bench: Bench, spine: Spine) -> None:
    take(spine, Arrival("nobody", "register", b"\xff"))
    assert bench.link.sent == []


def test_while_the_broker_is_away_receipts_wait(bench: Bench, opened: Opened, spine: Spine) -> None:
    bench.link.is_open = False
    take(spine, bench.reading("pv", START_MS, 1))
    bench.link.is_open = True
    assert bench.link.sent == []
    spine.publish()
    receipts = bench.take_sent(opened, Receipt)
    assert stream_of(receipts, bench.meters["pv"].public.kid, "register") == (1, 1)


def test_what_was_taken_survives_a_restart(bench: Bench, opened: Opened, spine: Spine) -> None:
    first = bench.reading("pv", START_MS, 1)
    size = take(spine, first)
    root = spine.recorder.state.root()
    opened.close()
    again = bench.open()
    try:
        fresh = bench.spine(again)
        assert fresh.recorder.state.root() == root
        assert take(fresh, first) == size
        assert take(fresh, bench.reading("pv", START_MS + 60_000, 2)) == size + 1
    finally:
        again.close()


def test_how_far_a_stream_is_reached(bench: Bench, spine: Spine) -> None:
    kid = bench.meters["pv"].public.kid
    assert spine.reached(kid, "register") == 0
    take(spine, bench.reading("pv", START_MS, 1), bench.pack("pv", START_MS, (1, 2)))
    assert spine.reached(kid, "register") == 1
    assert spine.reached(kid, "telemetry") == 1
    assert spine.reached(bytes(8), "register") == 0


def test_a_first_sequence_counts_before_the_first_message(bench: Bench, spine: Spine) -> None:
    from dataclasses import replace

    from tests.support.signers import ed25519

    bench.meters["pv"] = ed25519("swapped")
    entries = [
        replace(bench.meter_entry("pv"), action="revoke", key=ed25519("pv").public.cose_key),
        replace(bench.meter_entry("pv"), first_sequence=7),
    ]
    assert bench.enrol(spine, entries) == ["", ""]
    kid = bench.meters["pv"].public.kid
    assert spine.reached(kid, "register") == 6
    size = spine.recorder.store.size
    assert take(spine, bench.reading("pv", START_MS, 1, sequence=7)) == size + 1


def test_the_microgrid_is_the_topic_s(bench: Bench, opened: Opened, spine: Spine) -> None:
    take(spine, bench.reading("pv", START_MS, 1))
    assert [topic for topic, _ in bench.link.sent] == [f"gridtally/{MICROGRID}/{NODE}/down/receipt"]
