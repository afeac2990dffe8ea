from dataclasses import replace

import pytest

from edge.agent import (
    Packing,
    Point,
    cut,
    is_closed,
    make_live,
    make_pack,
    make_point,
    make_reading,
)
from edge.observing import observe
from edge.register import Meter, Observed, Register, integrated, is_new, oriented, shifted
from hardware.ports import Sample
from messages.live import Live
from messages.reading import Reading
from messages.telemetry import Pack

METER = Meter("bench", "dep1-pv", False, False, 100_000, 5000)
COUNTER = replace(METER, has_counters=True)


def dc(power_mw, **more):
    return replace(Sample(power_mw, None, None, 12_000, 100, None), **more)


def ac(import_uwh, export_uwh, power_mw=0, **more):
    return replace(Sample(power_mw, import_uwh, export_uwh, 230_000, 50, 50_000), **more)


def walk(meter, samples):
    seen, register = [], Register()
    for at_ms, sample in samples:
        observed = observe(meter, register, sample, at_ms)
        register = observed.register
        seen.append(observed)
    return seen


# integration


def test_power_is_taken_as_linear_between_samples():
    *_, last = walk(METER, [(0, dc(0)), (1000, dc(3600)), (2000, dc(3600))])
    assert (last.register.import_uwh, last.register.export_uwh) == (1500, 0)
    assert last.sample.energy_import_uwh == 1500
    assert last.sample.energy_export_uwh == 0
    *_, last = walk(METER, [(0, dc(-3600)), (1000, dc(-3600)), (2000, dc(0))])
    assert (last.register.import_uwh, last.register.export_uwh) == (0, 1500)


def test_a_zero_crossing_counts_both_ways():
    *_, last = walk(METER, [(0, dc(-3600)), (2000, dc(3600))])
    assert (last.register.import_uwh, last.register.export_uwh) == (500, 500)
    *_, last = walk(METER, [(0, dc(7200)), (3000, dc(-3600))])
    assert (last.register.import_uwh, last.register.export_uwh) == (2000, 500)


def test_what_is_below_a_unit_is_carried():
    register = integrated(Register(), 1, 0, 5000)
    for at_ms in range(1, 3601):
        register = integrated(register, 1, at_ms, 5000)
    assert (register.import_uwh, register.import_rest) == (1, 0)
    assert integrated(register, 1, 3601, 5000).import_rest == 2


def test_the_same_instant_again_costs_no_time_and_sets_the_next_interval():
    seen = walk(METER, [(0, dc(3600)), (1000, dc(3600)), (1000, dc(0)), (2000, dc(0))])
    assert [each.register.import_uwh for each in seen] == [0, 1000, 1000, 1000]


def test_a_gap_is_not_integrated_but_told():
    first, bridged, jumped, after = walk(
        METER, [(0, dc(3600)), (5000, dc(3600)), (10_001, dc(3600)), (11_001, dc(3600))]
    )
    assert first.register.import_uwh == 0
    assert bridged.register.import_uwh == 5000
    assert bridged.register.doubts == ()
    assert jumped.register.import_uwh == 5000
    assert jumped.register.doubts == ("gap",)
    assert after.register.import_uwh == 6000
    assert after.register.doubts == ("gap",)


def test_a_clock_that_went_back_is_not_integrated_but_told():
    _, back, after = walk(METER, [(9000, dc(3600)), (8000, dc(3600)), (9000, dc(3600))])
    assert back.register.import_uwh == 0
    assert back.register.doubts == ("clock",)
    assert after.register.import_uwh == 1000


def test_a_clock_that_was_set_costs_nothing():
    register = shifted(integrated(Register(), 3600, 1000, 5000), 86_400_000)
    assert integrated(register, 3600, 86_402_000, 5000).import_uwh == 1000
    assert shifted(Register(), 5) == Register()


def test_without_a_power_the_time_stays_open_and_is_bridged():
    lost = dc(None, quality="overflow")
    _, open_, bridged = walk(METER, [(0, dc(3600)), (1000, lost), (2000, dc(3600))])
    assert open_.register.import_uwh == 0
    assert open_.register.at_ms == 0
    assert open_.sample.energy_import_uwh is None
    assert open_.sample.energy_export_uwh is None
    assert open_.sample.quality == "overflow"
    assert make_reading(METER, open_, 1000) is None
    assert bridged.register.import_uwh == 2000
    assert bridged.register.doubts == ("overflow",)
    assert walk(METER, [(0, lost)])[0].register.import_uwh is None


def test_more_than_twice_the_rated_power_is_kept_and_doubted():
    (fine,) = walk(METER, [(0, dc(-200_000))])
    assert fine.sample.quality == ""
    (odd,) = walk(METER, [(0, dc(-200_001, quality="noisy"))])
    assert odd.sample.quality == "noisy implausible"
    assert odd.register.doubts == ("noisy", "implausible")


@pytest.mark.parametrize(
    ("at_ms", "new"),
    [(89_999, True), (90_000, False), (99_999, False), (100_000, False), (100_001, True)],
)
def test_an_instant_leaves_something_once(at_ms, new):
    assert is_new(Register(kept_ms=100_000), at_ms, 10_000) is new
    assert is_new(Register(), at_ms, 10_000)


# direction


def test_a_reversed_meter_is_flipped_once():
    flipped = oriented(Sample(5, 1, 2, 12_000, 7, None))
    assert flipped == Sample(-5, 2, 1, 12_000, -7, None)
    assert oriented(Sample(None, None, None, None, None, None)).power_mw is None
    assert oriented(Sample(5, 1, 2, 230_000, 7, 50_000)).current_ma == 7
    backwards = replace(METER, reversed=True)
    *_, last = walk(backwards, [(0, dc(3600)), (1000, dc(3600))])
    assert (last.register.import_uwh, last.register.export_uwh) == (0, 1000)
    assert last.sample.power_mw == -3600
    assert last.sample.current_ma == -100


# what goes out


def test_live_and_reading_say_what_was_observed():
    (observed,) = walk(METER, [(4000, dc(3600, quality="slow"))])
    assert make_live(METER, observed.sample, 4000, b"b" * 16) == Live(
        "bench", "dep1-pv", 0, 4000, 3600, 12_000, 100, None, 0, 0, b"b" * 16, "slow"
    )
    assert make_reading(METER, observed, 4000) == Reading(
        "bench", "dep1-pv", 0, 4000, 0, 0, 0, "slow"
    )


PACKING = Packing(step_ms=1000, slot_ms=10_000, samples_max=4)


def points(*seconds):
    return [Point(each * 1000, (each, None, None, None, None, None)) for each in seconds]


def runs(*seconds):
    return [[point.at_ms // 1000 for point in run] for run in cut(points(*seconds), PACKING)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((), []),
        ((0, 1, 2, 3, 4), [[0, 1, 2, 3], [4]]),
        ((8, 9, 10, 11), [[8, 9], [10, 11]]),
        ((1, 4), [[1, 4]]),
        ((1, 5), [[1], [5]]),
        ((5, 4), [[5], [4]]),
        ((5, 5), [[5], [5]]),
    ],
)
def test_packs_are_cut_at_slots_and_at_their_length(seconds, expected):
    assert runs(*seconds) == expected


def test_samples_off_the_grid_begin_a_pack_of_their_own():
    odd = [*points(1), Point(2500, (1,) * 6)]
    assert [len(run) for run in cut(odd, PACKING)] == [1, 1]


def test_a_pack_is_closed_when_the_next_instant_cannot_join():
    assert not is_closed(points(0, 1), 1000, PACKING)
    assert is_closed(points(0), 3000, PACKING)
    assert is_closed(points(8, 9), 9000, PACKING)
    assert is_closed(points(9), 9000, replace(PACKING, step_ms=1000))
    assert is_closed(points(0), 0, Packing(10_000, 10_000, 60))


def test_a_pack_has_columns_of_what_was_measured_and_holes_where_nothing_was():
    run = [Point(1000, (1, None, None, 4, 5, None)), Point(3000, (None, None, None, 6, 7, None))]
    assert make_pack(METER, run, 1000) == Pack(
        "bench",
        "dep1-pv",
        0,
        1000,
        1000,
        ("power_mw", "voltage_mv", "current_ma"),
        ((1, None, None), (4, None, 6), (5, None, 7)),
    )
    assert make_pack(METER, [Point(0, (None,) * 6)], 1000) is None


def test_a_point_holds_the_columns_in_their_order():
    assert make_point(Sample(1, 2, 3, 4, 5, 6), 7) == Point(7, (1, 2, 3, 4, 5, 6))


def test_observed_is_plain_data():
    assert Observed(Register(), dc(0)) == Observed(Register(), dc(0), None)
