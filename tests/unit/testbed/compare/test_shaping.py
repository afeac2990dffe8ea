"""Slots made longer and shorter: no energy is lost, and what cannot be made is refused."""

import pytest

from testbed.compare.shaping import first_days, resampled
from testbed.errors import BadComparison
from testbed.homes import Home, Homes

HOUR = 3_600_000
HOMES = Homes((Home("a", [7, 5, 3], [0, 2, 1]), Home("b", [1, 1, 1], [0, 0, 0])), 3, HOUR, 60)


def test_shorter_slots_share_evenly_and_lose_nothing() -> None:
    quarters = resampled(HOMES, 15)
    assert (quarters.slots, quarters.slot_ms, quarters.start_minute) == (12, 900_000, 60)
    assert quarters.homes[0].consumption_uwh == [2, 2, 2, 1, 2, 1, 1, 1, 1, 1, 1, 0]
    assert quarters.homes[0].generation_uwh == [0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0]


def test_longer_slots_add_up_and_leave_out_an_incomplete_end() -> None:
    long = resampled(HOMES, 120)
    assert (long.slots, long.homes[0].consumption_uwh) == (1, [12])
    assert resampled(resampled(HOMES, 15), 60) == HOMES


def test_the_same_length_is_the_same() -> None:
    assert resampled(HOMES, 60) is HOMES


@pytest.mark.parametrize(
    ("minutes", "says"),
    [
        (7, "--slot 7: wanted minutes that divide a day"),
        (0, "--slot 0: wanted minutes that divide a day"),
        (32, "--slot 32: the file has slots of 60 min, no whole part"),
        (90, "--slot 90: the file has slots of 60 min, no whole part"),
        (240, "--slot 240: longer than all that is in the file"),
    ],
)
def test_what_cannot_be_made_is_refused(minutes: int, says: str) -> None:
    with pytest.raises(BadComparison, match=says):
        resampled(HOMES, minutes)


def test_days_are_cut_off_and_never_added() -> None:
    two_days = Homes((Home("a", list(range(48)), [0] * 48),), 48, HOUR)
    assert first_days(two_days, 1).homes[0].consumption_uwh == list(range(24))
    assert first_days(two_days, 9) == two_days
