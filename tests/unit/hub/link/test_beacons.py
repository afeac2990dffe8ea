"""A sample's age is the beacon's, on the hub's own clock."""

from __future__ import annotations

from collections.abc import Callable

from hub.link.beacons import KEPT, PERIOD_MS, Beacons


def counting() -> Callable[[], bytes]:
    drawn = iter(range(10_000))
    return lambda: next(drawn).to_bytes(16, "big")


def test_one_a_second_and_no_more() -> None:
    beacons = Beacons(counting())
    assert beacons.next(5_000) == bytes(16)
    assert beacons.next(5_000 + PERIOD_MS - 1) is None
    assert beacons.next(5_000 + PERIOD_MS) == (1).to_bytes(16, "big")


def test_age_counts_from_when_it_went_out() -> None:
    beacons = Beacons(counting())
    beacon = beacons.next(5_000)
    assert beacon is not None
    assert beacons.age_ms(beacon, 5_750) == 750
    assert beacons.age_ms(bytes(range(16)), 5_750) is None
    assert beacons.age_ms(b"", 5_750) is None


def test_an_old_beacon_is_forgotten() -> None:
    beacons = Beacons(counting())
    first = beacons.next(0)
    assert first is not None
    for number in range(1, KEPT):
        beacons.next(number * PERIOD_MS)
    assert beacons.age_ms(first, KEPT * PERIOD_MS) == KEPT * PERIOD_MS
    beacons.next(KEPT * PERIOD_MS)
    assert beacons.age_ms(first, KEPT * PERIOD_MS) is None
