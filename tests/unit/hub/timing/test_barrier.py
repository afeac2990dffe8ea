"""Simulated time: folded, closed, decided, switched, answered; and never stopped by the dead."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hub.switching.leases import RelayName
from hub.timing.barrier import SWITCH_WAIT_MS, Barrier
from hub.timing.instants import Instant

KID = b"k" * 8
AT_MS = 1_800_000_000_000


@dataclass
class Work:
    """A hub whose progress a test sets by hand; `done` is what the barrier made it do."""

    heads: dict[tuple[bytes, str], int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    astray: tuple[RelayName, ...] = ()
    moved: int = 0
    done: list[tuple[object, ...]] = field(default_factory=list)

    def reached(self, kid: bytes, stream: str) -> int:
        return self.heads.get((kid, stream), 0)

    def close_for(self, slot_ms: int, at_ms: int) -> tuple[str, ...]:
        self.done.append(("close", slot_ms, at_ms))
        return self.missing

    def missing_for(self, slot_ms: int) -> tuple[str, ...]:
        return self.missing

    def decide_for(self, at_ms: int) -> None:
        self.done.append(("decide", at_ms))

    def unsettled(self) -> tuple[RelayName, ...]:
        return self.astray

    def take_moved(self) -> int:
        moved, self.moved = self.moved, 0
        return moved


class Desk:
    def __init__(self) -> None:
        self.work = Work()
        self.answers: list[tuple[int, int, tuple[str, ...]]] = []
        self.barrier = Barrier(
            self.work, lambda i, moved, late: self.answers.append((i.at_ms, moved, late))
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def instant(close_ms: int | None = None, sequence: int = 3) -> Instant:
    return Instant(AT_MS, close_ms, 10_000, ((KID, "register", sequence),))


def test_an_instant_that_is_folded_is_decided_and_answered(desk: Desk) -> None:
    desk.work.heads[KID, "register"] = 3
    desk.work.moved = 2
    desk.barrier.serve(instant(AT_MS - 900_000), 0)
    assert desk.work.done == [("close", AT_MS - 900_000, AT_MS), ("decide", AT_MS)]
    assert desk.answers == [(AT_MS, 2, ())]
    assert desk.barrier.newest_ms == AT_MS


def test_it_waits_for_what_was_signed(desk: Desk) -> None:
    asked = instant()
    desk.work.heads[KID, "register"] = 2
    desk.barrier.serve(asked, 0)
    desk.barrier.serve(asked, 9_999)
    assert (desk.work.done, desk.answers) == ([], [])
    desk.work.heads[KID, "register"] = 3
    desk.barrier.serve(asked, 9_999)
    assert desk.answers == [(AT_MS, 0, ())]


def test_the_deadline_goes_on_without_the_late(desk: Desk) -> None:
    asked = instant(AT_MS - 900_000)
    desk.work.missing = ("pv",)
    desk.barrier.serve(asked, 0)
    desk.barrier.serve(asked, 10_000)
    assert desk.work.done == [("close", AT_MS - 900_000, AT_MS), ("decide", AT_MS)]
    assert desk.answers == [(AT_MS, 0, (f"{KID.hex()} register 3", "pv"))]


def test_it_waits_for_registers_before_it_closes(desk: Desk) -> None:
    asked = instant(AT_MS - 900_000)
    desk.work.heads[KID, "register"] = 3
    desk.work.missing = ("pv",)
    desk.barrier.serve(asked, 0)
    assert desk.work.done == []
    desk.work.missing = ()
    desk.barrier.serve(asked, 5)
    assert desk.answers == [(AT_MS, 0, ())]


def test_it_waits_for_contacts_but_not_for_ever(desk: Desk) -> None:
    asked = instant()
    desk.work.heads[KID, "register"] = 3
    desk.work.astray = (("dep1", "heat"),)
    desk.barrier.serve(asked, 100)
    desk.barrier.serve(asked, 100 + SWITCH_WAIT_MS - 1)
    assert desk.answers == []
    assert desk.work.done == [("decide", AT_MS)]
    desk.barrier.serve(asked, 100 + SWITCH_WAIT_MS)
    assert desk.answers == [(AT_MS, 0, ())]


def test_contacts_that_follow_are_answered_at_once(desk: Desk) -> None:
    asked = instant()
    desk.work.heads[KID, "register"] = 3
    desk.work.astray = (("dep1", "heat"),)
    desk.barrier.serve(asked, 100)
    desk.work.astray, desk.work.moved = (), 1
    desk.barrier.serve(asked, 150)
    assert desk.answers == [(AT_MS, 1, ())]
    assert desk.work.done == [("decide", AT_MS)]


def test_a_request_that_is_gone_is_forgotten(desk: Desk) -> None:
    desk.barrier.serve(instant(), 0)
    desk.barrier.serve(None, 5)
    later = instant()
    desk.barrier.serve(later, 9_999)
    desk.barrier.serve(later, 10_001)
    assert desk.answers == []  # its own deadline counts, not the forgotten one's


def test_nothing_waits_nothing_happens(desk: Desk) -> None:
    desk.barrier.serve(None, 0)
    assert (desk.work.done, desk.answers, desk.barrier.newest_ms) == ([], [], None)
