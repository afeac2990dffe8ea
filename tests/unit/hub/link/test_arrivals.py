"""Urgent goes first, bulk is bounded and waits for company."""

from __future__ import annotations

import pytest

from hub.link import arrivals
from hub.link.arrivals import Arrival, Arrivals


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def message(number: int, channel: str = "register") -> Arrival:
    return Arrival("dep1", channel, str(number).encode())


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_all_that_is_urgent_comes_and_bulk_by_the_batch(clock: Clock) -> None:
    waiting = Arrivals(linger_s=0.0, clock_s=clock)
    for number in range(arrivals.BATCH_MAX + 1):
        waiting.put(message(number), urgent=False)
    waiting.put(message(7, "live"), urgent=True)
    first = waiting.take(0.0)
    assert first.urgent == (message(7, "live"),)
    assert [item.raw for item in first.bulk] == [
        str(number).encode() for number in range(arrivals.BATCH_MAX)
    ]
    assert waiting.take(0.0).bulk == (message(arrivals.BATCH_MAX),)
    assert waiting.take(0.0) == arrivals.Batch()


def test_a_trickle_lingers_until_its_time_is_up(clock: Clock) -> None:
    waiting = Arrivals(linger_s=0.2, clock_s=clock)
    waiting.put(message(1), urgent=False)
    assert waiting.take(0.0).bulk == ()
    clock.now_s += 0.19
    waiting.put(message(2), urgent=False)
    assert waiting.take(0.0).bulk == ()
    clock.now_s += 0.02
    assert waiting.take(0.0).bulk == (message(1), message(2))


def test_lingering_ends_for_an_instant_and_for_a_full_batch(clock: Clock) -> None:
    waiting = Arrivals(linger_s=0.2, clock_s=clock)
    waiting.put(message(1), urgent=False)
    assert waiting.take(0.0, at_once=True).bulk == (message(1),)
    for number in range(arrivals.BATCH_MAX):
        waiting.put(message(number), urgent=False)
    assert len(waiting.take(0.0).bulk) == arrivals.BATCH_MAX


def test_urgent_does_not_cut_the_lingering_of_bulk(clock: Clock) -> None:
    waiting = Arrivals(linger_s=0.2, clock_s=clock)
    waiting.put(message(1), urgent=False)
    waiting.put(message(2, "live"), urgent=True)
    taken = waiting.take(0.0)
    assert taken.urgent == (message(2, "live"),)
    assert taken.bulk == ()


def test_bulk_without_room_is_refused_and_counted(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "BULK_MAX", 3)
    waiting = Arrivals(linger_s=0.0, clock_s=clock)
    assert [waiting.put(message(n), urgent=False) for n in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert waiting.dropped == 2
    assert waiting.take(0.0).bulk == (message(0), message(1), message(2))


def test_urgent_without_room_drops_its_oldest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "URGENT_MAX", 2)
    waiting = Arrivals(linger_s=0.0, clock_s=clock)
    for number in range(3):
        assert waiting.put(message(number, "live"), urgent=True)
    assert waiting.dropped == 1
    assert waiting.take(0.0).urgent == (message(1, "live"), message(2, "live"))


def test_a_wake_returns_an_empty_batch_once(clock: Clock) -> None:
    waiting = Arrivals(linger_s=0.0, clock_s=clock)
    waiting.wake()
    assert waiting.take(1_000.0) == arrivals.Batch()
