"""The bus itself says whether there is a grid, and how much the island can give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.balancing.policy import View
from hub.link.nodes import Sample
from hub.switching.islanding import CHARGED_MS, BusWatch
from messages.live import Live
from tests.support.bench import house, meter, view

KEYS = {"island_import_mw_max": 60_000, "island_below_mv": 12_300, "sag_below_mv": 11_800}
NOW_MS = 5_000


def shown(power_w: float, age_ms: int | None = 100, **keys: int) -> View:
    tie = ((meter("tie", "manager", "boundary", power_w, age_ms=age_ms),), ())
    return view(house("ann", 20, {"oven": 60}), tie, import_w=200, **(keys or KEYS))


def samples(voltage_mv: int | None = None, frequency_mhz: int | None = None) -> dict[str, Sample]:
    live = Live("bench", "tie", 1, 0, voltage_mv=voltage_mv, frequency_mhz=frequency_mhz)
    return {"tie": Sample(live, NOW_MS, NOW_MS)}


def import_mw(watch: BusWatch, power_w: float, voltage_mv: int, now_ms: int = NOW_MS) -> int:
    return watch.seen(shown(power_w), samples(voltage_mv), now_ms).limits.import_mw_max


def test_without_the_keys_the_view_stays_as_it_was() -> None:
    plain = shown(40, stale_after_ms=3_000)
    assert BusWatch().seen(plain, samples(100), NOW_MS) is plain


@pytest.mark.parametrize(
    ("voltage_mv", "most_mw"), [(12_500, 200_000), (12_300, 200_000), (12_299, 60_000)]
)
def test_a_lower_bus_is_an_island(voltage_mv: int, most_mw: int) -> None:
    assert import_mw(BusWatch(), 40, voltage_mv) == most_mw


def test_an_alternating_bus_says_it_in_hertz() -> None:
    keys = {"island_import_mw_max": 7, "island_below_mhz": 49_900, "sag_below_mhz": 49_000}
    for frequency_mhz, most_mw in ((50_000, 200_000), (49_800, 7)):
        seen = BusWatch().seen(shown(1, **keys), samples(None, frequency_mhz), NOW_MS)
        assert seen.limits.import_mw_max == most_mw


def test_a_silent_boundary_cannot_vouch_for_the_grid() -> None:
    for told in ({}, samples(12_500)):
        seen = BusWatch().seen(shown(40, age_ms=None), told, NOW_MS)
        assert seen.limits.import_mw_max == 60_000


def test_what_a_sagging_island_gives_is_all_there_is_until_it_was_charged() -> None:
    watch = BusWatch()
    assert import_mw(watch, 40, 11_700) == 37_000
    assert import_mw(watch, 37, 12_200) == 37_000
    assert import_mw(watch, 0, 12_200) == 37_000
    assert import_mw(watch, -5, 12_200, NOW_MS + CHARGED_MS - 1) == 37_000
    assert import_mw(watch, -5, 12_200, NOW_MS + CHARGED_MS) == 60_000


def test_a_spent_battery_leaves_less_than_nothing_so_that_the_bus_is_raised() -> None:
    assert import_mw(BusWatch(), 0, 11_700) == -3_000


def test_drawing_again_begins_the_minute_anew() -> None:
    watch = BusWatch()
    import_mw(watch, 40, 11_700)
    import_mw(watch, -5, 12_200)
    import_mw(watch, 5, 12_200, NOW_MS + 1_000)
    assert import_mw(watch, -5, 12_200, NOW_MS + CHARGED_MS) == 37_000


def test_the_grid_makes_it_forget() -> None:
    watch = BusWatch()
    import_mw(watch, 40, 11_700)
    assert import_mw(watch, 40, 12_500) == 200_000
    assert import_mw(watch, 40, 12_200) == 60_000


def test_on_a_dark_bus_loads_count_as_what_they_are_rated_for() -> None:
    dark = BusWatch().seen(shown(0), samples(0), NOW_MS)
    assert dark.limits.import_mw_max == 0
    ages = {each.meter_id: each.age_ms for each in dark.meters}
    assert ages.pop("tie") == 100
    assert set(ages.values()) == {None}
    assert replace(dark, meters=(), limits=shown(0).limits) == replace(shown(0), meters=())
