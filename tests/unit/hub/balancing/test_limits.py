"""Limits as a policy entry sets them, and the sentence for each way they are wrong."""

import pytest

from hub.balancing.errors import BadParameter
from hub.balancing.limits import check_limits, limits_of
from hub.balancing.policy import Feeder, Limits

NORTH: dict[str, int | str] = {
    "nominal_mv": 12_000,
    "feeder_north": "bob ann",
    "feeder_north_ma_max": 5_000,
}


def test_what_is_not_set_is_usual() -> None:
    assert limits_of({}) == Limits(0, 3_000, 0, ())


def test_what_is_set_counts() -> None:
    given: dict[str, int | str] = {"import_mw_max": -7, "stale_after_ms": 9, "reserve_mw": 5}
    assert limits_of(given) == Limits(-7, 9, 5)


def test_a_feeder_carries_its_current_at_the_nominal_voltage() -> None:
    assert limits_of(NORTH).feeders == (Feeder("north", ("ann", "bob"), 60_000),)
    check_limits("priority", NORTH)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"reserve_mw": -1}, "reserve_mw is a whole number, 0 or more, not -1"),
        ({"import_mw_max": "all"}, "import_mw_max is a whole number, not 'all'"),
        ({**NORTH, "nominal_mv": 0}, "a feeder's current needs nominal_mv"),
        ({"feeder_north": "ann", "nominal_mv": 1}, "feeder_north needs feeder_north_ma_max"),
        ({"feeder_x_ma_max": 5}, "feeder_x_ma_max needs feeder_x, its members"),
        ({**NORTH, "feeder_north": "  "}, 'names members, like "ann bob"'),
        ({**NORTH, "feeder_north_ma_max": "5 A"}, "whole number, 0 or more, not '5 A'"),
        ({**NORTH, "feeder_North": "ann"}, "no parameter 'feeder_North'"),
    ],
)
def test_wrong_limits_are_named(wrong: dict[str, int | str], says: str) -> None:
    with pytest.raises(BadParameter) as raised:
        check_limits("priority", wrong)
    assert str(raised.value).startswith("priority")
    assert says in str(raised.value)
