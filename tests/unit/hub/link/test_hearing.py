"""Hellos: how far a node is, and whether the ledger it knows is still this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import LedgerBehind
from hub.link.arrivals import Arrival
from hub.link.beacons import Beacons
from hub.link.hearing import Hearing
from hub.link.nodes import HELLO_COUNTS_MS, SILENT_AFTER_MS, Newsroom
from hub.spine import Spine
from hub.starting import Opened
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.receipt import Receipt
from tests.support.hub_bench import NODE, START_MS, Bench
from tests.support.signers import ed25519

NOW_MS = 1_000_000


class Ear:
    """A hearing, and the hub around it."""

    def __init__(self, bench: Bench, opened: Opened, spine: Spine) -> None:
        self.bench, self.opened, self.spine = bench, opened, spine
        self.news = Newsroom()
        comparison = bench.comparison(opened)
        self.hearing = Hearing(spine, self.news, Beacons(lambda: bytes(16)), comparison)

    def take(self, *arrivals: Arrival) -> bool:
        return self.hearing.take(arrivals, NOW_MS, START_MS)

    def show(self, size: int, root: bytes, *, log: str = "") -> None:
        """Let the node show a checkpoint that the log (or another key of its name) signed."""
        head = Checkpoint(self.opened.trust.origin, size, root)
        signer = ed25519(log) if log else self.opened.pen.log
        self.take(self.bench.hello(self.opened, sign_checkpoint(head, signer)))


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    bench = Bench(tmp_path)
    opened = bench.open()
    spine = bench.spine(opened)
    bench.enrol(spine)
    yield Ear(bench, opened, spine)
    opened.close()


def test_a_checkpoint_that_this_ledger_continues_is_well(ear: Ear) -> None:
    store = ear.spine.recorder.store
    for size in (1, store.size - 1, store.size):
        ear.show(size, store.root(size))


def test_a_larger_checkpoint_stops_the_hub_for_good(ear: Ear) -> None:
    store = ear.spine.recorder.store
    with pytest.raises(LedgerBehind, match="node dep1 shows a checkpoint over"):
        ear.show(store.size + 1, bytes(32))
    with pytest.raises(LedgerBehind):
        ear.spine.take_in([ear.bench.reading("pv", START_MS, 1)], NOW_MS, START_MS)
    with pytest.raises(LedgerBehind):
        ear.spine.sign_checkpoint()


def test_another_history_stops_the_hub(ear: Ear) -> None:
    with pytest.raises(LedgerBehind, match="two histories exist under one key"):
        ear.show(2, b"x" * 32)


def test_what_this_log_did_not_sign_proves_nothing(ear: Ear) -> None:
    ear.show(10**6, bytes(32), log="another log")
    ear.take(ear.bench.hello(ear.opened, "no note at all"))
    ear.spine.take_in([ear.bench.reading("pv", START_MS, 1)], NOW_MS, START_MS)


def test_a_hello_asks_for_what_was_not_proven(ear: Ear) -> None:
    ear.spine.take_in([ear.bench.reading("pv", START_MS, 1)], NOW_MS, START_MS)
    ear.bench.link.sent.clear()
    from messages.status import StreamHead

    kid = ear.bench.meters["pv"].public.kid
    head = StreamHead(kid, "register", 2, 0, 0, 1)
    ear.take(ear.bench.hello(ear.opened, heads=(head,)))
    ear.spine.publish()
    (receipt,) = ear.bench.take_sent(ear.opened, Receipt)
    (line,) = receipt.streams
    assert (line.kid, line.final_up_to) == (kid, 1)


def test_a_backlog_counts_while_its_hello_is_fresh(ear: Ear) -> None:
    ear.take(ear.bench.hello(ear.opened, backlog=7))
    assert ear.news.has_backlog(NODE, NOW_MS + HELLO_COUNTS_MS)
    assert not ear.news.has_backlog(NODE, NOW_MS + HELLO_COUNTS_MS + 1)
    assert not ear.news.has_backlog("dep2", NOW_MS)
    ear.take(ear.bench.hello(ear.opened, backlog=0))
    assert not ear.news.has_backlog(NODE, NOW_MS)


def test_a_node_that_says_nothing_is_silent(ear: Ear) -> None:
    assert ear.news.is_silent(NODE, NOW_MS)
    ear.take(ear.bench.hello(ear.opened))
    assert not ear.news.is_silent(NODE, NOW_MS + SILENT_AFTER_MS)
    assert ear.news.is_silent(NODE, NOW_MS + SILENT_AFTER_MS + 1)


def test_a_last_will_is_nobody_s_word(ear: Ear) -> None:
    assert not ear.take(Arrival(NODE, "status", b""))
    assert ear.spine.refused == {}
    assert ear.news.nodes == {}


def test_a_hello_under_another_s_name_is_refused(ear: Ear) -> None:
    hello = ear.bench.hello(ear.opened)
    spoilt = hello.raw[:-1] + bytes([hello.raw[-1] ^ 1])
    ear.take(Arrival("dep2", "hello", hello.raw), Arrival(NODE, "hello", spoilt))
    assert sum(ear.spine.refused.values()) == 2
    assert ear.news.nodes == {}
