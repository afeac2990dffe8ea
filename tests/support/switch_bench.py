"""Everything between a live sample and a lease, for tests that move the clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.balancing.catalog import POLICIES
from hub.core.events import read_event
from hub.link.beacons import Beacons
from hub.link.hearing import Hearing
from hub.link.nodes import Newsroom
from hub.link.post import Post
from hub.spine import Spine
from hub.starting import Opened
from hub.switching.dispatch import (
    Dispatcher,
)
from hub.switching.leases import Leases
from hub.switching.switchboard import Clocks, Switchboard
from messages.entries import Ack, Decision
from messages.lease import Lease
from tests.support.hub_bench import MICROGRID, START_MS, Bench

NOW_MS = 1_000_000
NONCE = b"n" * 16


class Board:
    """Everything between a live sample and a lease, on a clock that a test moves."""

    def __init__(self, bench: Bench, opened: Opened, spine: Spine) -> None:
        self.bench, self.opened, self.spine = bench, opened, spine
        self.now_ms = NOW_MS
        self.news = Newsroom()
        self.leases = Leases(6_000)
        drawn = iter(range(1, 10_000))
        self.beacons = Beacons(lambda: next(drawn).to_bytes(16, "big"))
        self.beacon = b""
        self.hearing = Hearing(spine, self.news, self.beacons, bench.comparison(opened))
        self.dispatcher = Dispatcher(self.news, self.leases, POLICIES, NOW_MS)
        post = Post(bench.link, opened.pen, MICROGRID)
        self.switchboard = Switchboard(
            spine, self.dispatcher, self.leases, self.news, opened.pen, post
        )

    def samples(self, pv_mw: int, load_mw: int, heater_mw: int) -> None:
        """Let every meter be heard now, with a beacon of now."""
        self.beacon = self.beacons.next(self.now_ms) or self.beacon
        at_ms = START_MS + self.now_ms
        powers = {"pv": -pv_mw, "load": load_mw, "heater": heater_mw}
        lives = [self.bench.live(meter, at_ms, mw, self.beacon) for meter, mw in powers.items()]
        assert self.hearing.take(lives, self.now_ms, at_ms)

    def status(self, *, energised: bool = False, unavailable: str = "", wish: str = "") -> None:
        at_ms = START_MS + self.now_ms
        arrival = self.bench.status(
            self.opened,
            NONCE,
            energised=energised,
            at_ms=at_ms,
            unavailable=unavailable,
            wish=wish,
        )
        self.hearing.take([arrival], self.now_ms, START_MS + self.now_ms)

    def decide(self) -> bool:
        return self.switchboard.decide(Clocks(self.now_ms, START_MS + self.now_ms))

    def renew(self) -> list[Lease]:
        self.bench.link.sent.clear()
        self.switchboard.renew(self.now_ms)
        return self.bench.take_sent(self.opened, Lease)

    def ack(self, lease: Lease, outcome: str = "applied", reason: str = "") -> None:
        arrival = self.bench.ack(self.opened, lease, START_MS + self.now_ms, outcome, reason)
        for message in self.spine.take_in([arrival], self.now_ms, START_MS + self.now_ms):
            assert isinstance(message.body, Ack)
            self.hearing.take_ack(message.body, self.now_ms)

    def decisions(self) -> list[Decision]:
        entries = self.spine.recorder.store.of_kind("decision")
        bodies = [read_event(entry.index, entry.raw).body for entry in entries]
        return [body for body in bodies if isinstance(body, Decision)]


@contextmanager
def switch_bench(folder: Path) -> Iterator[Board]:
    """Yield a board whose node is enrolled."""
    bench = Bench(folder)
    opened = bench.open()
    spine = bench.spine(opened)
    bench.enrol(spine)
    yield Board(bench, opened, spine)
    opened.close()


def settle(board: Board) -> None:
    """All is well: everything heard, everything fed, the first decision made and obeyed."""
    board.status()
    board.samples(50_000, 40_000, 30_000)
    board.decide()
    for lease in board.renew():
        board.ack(lease)
