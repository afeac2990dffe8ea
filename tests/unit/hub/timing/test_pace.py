"""What moves time on: a wall clock that never holds the relays up, and the testbed's instants."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hub.link.nodes import Newsroom
from hub.timing import pace
from hub.timing.pace import CLOSING_MS_MAX, IDLE_MS, WallPace


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


class Closer:
    """Slots that queued up; each takes a while to close."""

    def __init__(self, clock: Clock, due: int, takes_ms: int) -> None:
        self.clock, self.due, self.takes_ms = clock, due, takes_ms

    def close_due(self, news: Newsroom, wall_ms: int, now_ms: int, started_ms: int) -> bool:
        if not self.due:
            return False
        self.due -= 1
        self.clock.now_ms += self.takes_ms
        return True


class Switchboard:
    def __init__(self) -> None:
        self.left_ms = 0
        self.looks: list[int] = []

    def wait_ms(self, now_ms: int) -> int:
        return self.left_ms

    def decide(self, clocks: pace.Clocks) -> bool:
        self.looks.append(clocks.now_ms)
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pace, "monotonic_ms", made)
    return made


def wall_pace(closer: Closer, switchboard: Switchboard) -> WallPace:
    return WallPace(cast(Any, closer), cast(Any, switchboard), Newsroom())


def test_relays_come_in_between_slots_that_queued_up(clock: Clock) -> None:
    closer, switchboard = Closer(clock, due=7, takes_ms=CLOSING_MS_MAX // 2), Switchboard()
    made = wall_pace(closer, switchboard)
    left = []
    while closer.due:
        made.drive(clock.now_ms)
        left.append((closer.due, made.wait_ms(clock.now_ms)))
    assert [due for due, _ in left] == [5, 3, 1, 0]
    assert len(switchboard.looks) == 4
    switchboard.left_ms = 70
    assert made.wait_ms(clock.now_ms) == 70


def test_it_sleeps_until_the_relays_want_a_look(clock: Clock) -> None:
    closer, switchboard = Closer(clock, due=0, takes_ms=0), Switchboard()
    made = wall_pace(closer, switchboard)
    switchboard.left_ms = 5_000
    made.drive(clock.now_ms)
    assert switchboard.looks == []
    assert made.wait_ms(clock.now_ms) == IDLE_MS
    assert not made.is_awaited
