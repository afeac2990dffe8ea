"""What a node's full outbox dropped gets a gap entry, and its stream goes on behind it."""

from __future__ import annotations

import pytest

from hub.spine import Spine
from hub.starting import Opened
from messages import cose
from messages.entries import Gap, parse_as
from messages.receipt import Receipt
from messages.status import Hello, StreamHead
from tests.support.hub_bench import NODE, START_MS, Bench

NOW_MS = 1_000_000


def hello(bench: Bench, first_held: int, *, node: str = NODE, stream: str = "telemetry") -> Hello:
    kid = bench.meters["pv"].public.kid
    head = StreamHead(kid, stream, 10, 0, 0, first_held)
    return Hello(node, b"b" * 16, "", (head,), 0, "test")


def test_a_gap_covers_what_was_dropped_and_the_rest_is_admitted(
    bench: Bench, opened: Opened, spine: Spine
) -> None:
    kid = bench.meters["pv"].public.kid
    packs = [bench.pack("pv", START_MS + n * 1000, (n,)) for n in range(6)]
    spine.take_in(packs[:1], NOW_MS, START_MS)
    before = spine.recorder.store.size
    spine.note_dropped(hello(bench, 5))
    spine.take_in(packs[4:], NOW_MS, START_MS)
    assert spine.recorder.store.size == before + 1
    gap = parse_as(Gap, cose.parse(spine.recorder.store.entry(before).raw))
    assert (gap.stream, gap.first, gap.last) == ("telemetry", 2, 4)
    assert gap.key == bench.meters["pv"].public.cose_key
    assert gap.reason == "dropped by a full outbox"
    lines = [line for r in bench.take_sent(opened, Receipt) for line in r.streams]
    assert [line.stored_up_to for line in lines if line.kid == kid][-1] == 6
    spine.take_in(packs[1:4], NOW_MS, START_MS)
    assert spine.reached(kid, "telemetry") == 6, "what comes after all is passed over"


@pytest.mark.parametrize(
    "said",
    [
        {"first_held": 1},
        {"first_held": 5, "node": "another"},
        {"first_held": 5, "stream": "register"},
    ],
)
def test_no_gap_without_need_or_right(
    bench: Bench, spine: Spine, said: dict[str, int | str]
) -> None:
    before = spine.recorder.store.size
    spine.note_dropped(hello(bench, **said))  # type: ignore[arg-type]
    spine.take_in([], NOW_MS, START_MS)
    assert spine.recorder.store.size == before


def test_a_hello_said_twice_makes_one_gap(bench: Bench, spine: Spine) -> None:
    before = spine.recorder.store.size
    for _ in range(2):
        spine.note_dropped(hello(bench, 99))
        spine.take_in([], NOW_MS, START_MS)
    assert spine.recorder.store.size == before + 1
    assert spine.reached(bench.meters["pv"].public.kid, "telemetry") == 9
