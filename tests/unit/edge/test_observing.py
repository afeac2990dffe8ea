"""What is believed of a sample, and the register after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.agent import make_reading
from edge.calibration.coefficients import Coefficients
from edge.observing import observe
from edge.register import Meter, Observed, Register, Reset
from hardware.ports import Counting, Sample
from messages.correction import Correction
from messages.reading import Reading

METER = Meter("bench", "dep1-pv", False, False, 100_000, 5000)
COUNTER = replace(METER, has_counters=True)
MOST_UWH = 1_000_000  # within a second or less, next to nothing flows at 100 W
KWH = 10**9


def dc(power_mw, **more):
    return replace(Sample(power_mw, None, None, 12_000, 100, None), **more)


def ac(import_uwh, export_uwh, power_mw=0, **more):
    return replace(Sample(power_mw, import_uwh, export_uwh, 230_000, 50, 50_000), **more)


def walk(meter: Meter, samples, register: Register | None = None) -> list[Observed]:
    seen, register = [], register or Register()
    for at_ms, sample in samples:
        observed = observe(meter, register, sample, at_ms)
        register = observed.register
        seen.append(observed)
    return seen


# A calibrated meter

TENTH_MORE = Coefficients(Correction(100_000, 20), Correction(-10_000), Correction(100_000, -1))


def test_a_calibrated_device_is_corrected_before_it_is_integrated():
    meter = replace(METER, coefficients=TENTH_MORE)
    first, second = walk(meter, [(0, dc(3_620)), (1000, dc(3_620))])
    assert (second.sample.power_mw, second.sample.voltage_mv) == (3_960, 11_880)
    assert second.sample.current_ma == 111
    assert second.sample.energy_import_uwh == second.register.import_uwh == 1_100
    assert first.register.power_mw == 3_960


def test_what_the_device_said_comes_back_from_what_is_shown():
    meter = replace(METER, coefficients=TENTH_MORE)
    for power_mw in range(-5_000, 5_000, 13):
        (seen,) = walk(meter, [(0, dc(power_mw))])
        assert TENTH_MORE.power.raw_of(seen.sample.power_mw) == power_mw


def test_a_meter_built_in_backwards_is_flipped_before_it_is_corrected():
    meter = replace(METER, coefficients=TENTH_MORE, reversed=True)
    (seen,) = walk(meter, [(0, dc(-3_620))])
    assert seen.sample.power_mw == 3_960


def test_counters_of_a_calibrated_device_are_its_own():
    meter = replace(COUNTER, coefficients=TENTH_MORE)
    first, second = walk(meter, [(0, ac(10, 20, 1_020)), (1000, ac(11, 20, 1_020))])
    assert second.register.totals == (11, 20)
    assert second.sample == ac(11, 20, 1_100, voltage_mv=227_700, current_ma=56)
    assert (first.reset, second.reset) == (None, None)


def test_what_is_not_measured_stays_so():
    meter = replace(METER, coefficients=TENTH_MORE)
    (seen,) = walk(meter, [(0, Sample(None, None, None, None, None, None, "absent"))])
    assert seen.sample == Sample(None, None, None, None, None, None, "absent")


# Counters


def test_a_counter_is_taken_as_it_is():
    first, second = walk(COUNTER, [(0, ac(10, 20)), (1000, ac(11, 20, 99, quality="slow"))])
    assert first.register.totals == (10, 20)
    assert second.register.totals == (11, 20)
    assert (second.register.at_ms, second.register.power_mw) == (1000, 99)
    assert second.register.doubts == ("slow",)
    assert second.sample == ac(11, 20, 99, quality="slow")
    assert second.reset is None


def test_a_total_that_is_not_measured_now_stays():
    *_, last = walk(COUNTER, [(0, ac(10, 20)), (1000, ac(None, 21))])
    assert last.register.totals == (10, 21)
    assert make_reading(COUNTER, last, 1000) == Reading("bench", "dep1-pv", 0, 1000, None, 21)
    *_, last = walk(COUNTER, [(0, ac(10, 20)), (1000, ac(11, None))])
    assert last.register.totals == (11, 20)


def test_a_single_fall_is_held_back():
    _, fell, after = walk(COUNTER, [(0, ac(10, 20)), (1000, ac(9, 20)), (2000, ac(11, 20))])
    assert fell.register.totals == (10, 20)
    assert (fell.sample.energy_import_uwh, fell.sample.energy_export_uwh) == (None, None)
    assert fell.sample.quality == "fell"
    assert make_reading(COUNTER, fell, 1000) is None
    assert after.register.totals == (11, 20)
    assert after.register.held is None
    assert after.register.doubts == ("fell",)
    assert after.reset is None


def test_a_fall_that_stays_is_a_reset():
    *_, reset = walk(COUNTER, [(0, ac(10, 20)), (1000, ac(0, 0)), (2000, ac(1, 0))])
    assert reset.reset == Reset(1, (10, 20), (1, 0), "the counters fell")
    assert reset.register.totals == (1, 0)
    assert reset.register.epoch == 1
    assert make_reading(COUNTER, reset, 2000) == Reading(
        "bench", "dep1-pv", 0, 2000, 1, 0, 1, "fell reset"
    )


def test_a_fall_that_goes_on_falling_is_not_believed():
    seen = walk(COUNTER, [(0, ac(10, 20)), (1, ac(9, 20)), (2, ac(8, 20)), (3, ac(8, 20))])
    assert [each.reset is None for each in seen] == [True, True, True, False]


def test_a_torn_read_is_held_back_and_forgotten():
    """The high word of one moment and the low word of another: 65 536 steps too much, once."""
    torn = 65_536 * 10_000_000
    _, odd, after = walk(COUNTER, [(0, ac(0, 0)), (1000, ac(torn, 0)), (2000, ac(30_000, 0))])
    assert odd.sample.energy_import_uwh is None
    assert odd.sample.quality == "jump"
    assert odd.sample.power_mw == 0
    assert after.register.totals == (30_000, 0)
    assert after.reset is None


def test_two_torn_reads_that_differ_are_both_held_back():
    seen = walk(COUNTER, [(0, ac(0, 0)), (1000, ac(9 * KWH, 0)), (2000, ac(5 * KWH, 0))])
    assert [each.register.totals for each in seen] == [(0, 0)] * 3


def test_energy_that_the_line_can_carry_is_no_jump():
    most = MOST_UWH + 2 * 100_000 * 3600 // 3600
    fine = walk(COUNTER, [(0, ac(0, 0)), (3600, ac(most, 0))])[-1]
    assert fine.register.doubts == ()
    odd = walk(COUNTER, [(0, ac(0, 0)), (3600, ac(0, most + 1))])[-1]
    assert odd.register.doubts == ("jump",)


def test_a_small_jump_that_stays_is_counted_and_told():
    rise = 3 * MOST_UWH
    samples = [(0, ac(0, 0)), (1, ac(rise, 0)), (2, ac(rise, 0)), (3, ac(rise, 0))]
    _, held, jumped, after = walk(COUNTER, samples)
    assert held.register.totals == (0, 0)
    assert jumped.register.totals == (rise, 0)
    assert jumped.sample.quality == "jump"
    assert jumped.reset is None
    assert after.sample.quality == ""


def test_another_device_with_higher_totals_begins_an_epoch_and_bills_nothing():
    *_, swapped = walk(COUNTER, [(0, ac(KWH, 0)), (1000, ac(5 * KWH, 7)), (2000, ac(5 * KWH, 8))])
    assert swapped.reset == Reset(1, (KWH, 0), (5 * KWH, 8), "the counters jumped: another device")
    assert swapped.register.epoch == 1
    assert swapped.sample.quality == "swapped"
    assert swapped.register.doubts == ("jump", "swapped")


def test_a_rated_power_that_is_too_low_holds_no_energy_back():
    """The device's own power explains the rise: one fault, told once."""
    a_minute = 3_000_000 * 60_000 // 3600
    seen = walk(COUNTER, [(n * 60_000, ac(n * a_minute, 0, 3_000_000)) for n in range(5)])
    assert [each.register.import_uwh for each in seen] == [n * a_minute for n in range(5)]
    assert {each.sample.quality for each in seen} == {"implausible"}


def test_the_first_totals_are_no_jump_and_neither_are_those_after_a_clock_went_back():
    assert walk(COUNTER, [(0, ac(9**15, 9**15))])[-1].register.doubts == ()
    assert walk(COUNTER, [(9, ac(0, 0)), (0, ac(None, 1))])[-1].register.doubts == ()


# The end of a counter


END = 2**32 * 10_000_000
WRAPS = Counting(import_wrap_uwh=END, export_wrap_uwh=2**32)


def test_a_counter_that_passes_its_end_goes_on_in_the_register():
    before = ac(END - 1000, 5, counting=WRAPS)
    *_, wrapped, after = walk(
        COUNTER,
        [(0, before), (1000, ac(500, 5, counting=WRAPS)), (2000, ac(900, 6, counting=WRAPS))],
    )
    assert wrapped.register.totals == (END + 500, 5)
    assert wrapped.sample.energy_import_uwh == END + 500
    assert wrapped.sample.quality == "wrapped"
    assert wrapped.reset is None
    assert after.register.totals == (END + 900, 6)
    assert after.sample.quality == ""


def test_a_fall_far_from_the_end_is_a_reset_although_the_counter_can_wrap():
    far = ac(END // 2, 0, counting=WRAPS)
    *_, reset = walk(
        COUNTER, [(0, far), (1000, ac(0, 0, counting=WRAPS)), (2000, ac(1, 0, counting=WRAPS))]
    )
    assert reset.reset is not None
    assert reset.register.totals == (1, 0)


def test_a_reset_after_a_wrap_shows_what_the_device_says():
    register = Register(END + 900, 6, at_ms=0, import_wrapped_uwh=END)
    samples = [(1000, ac(3, 6)), (2000, ac(4, 6))]
    assert [each.reset is None for each in walk(COUNTER, samples, register)] == [True, False]
    reset = walk(COUNTER, samples, register)[-1]
    assert reset.reset == Reset(1, (END + 900, 6), (4, 6), "the counters fell")
    assert (reset.register.totals, reset.register.import_wrapped_uwh) == ((4, 6), 0)


def test_the_ends_of_a_reversed_meter_change_sides_with_its_counters():
    backwards = replace(COUNTER, reversed=True)
    exporting = Counting(import_wrap_uwh=None, export_wrap_uwh=END)
    before = ac(0, END - 5, counting=exporting)
    *_, wrapped = walk(backwards, [(0, before), (1000, ac(0, 5, counting=exporting))])
    assert wrapped.register.totals == (END + 5, 0)


# Frozen


def test_a_counter_that_stands_still_while_power_flows_is_frozen():
    a_minute = [(n * 60_000, ac(KWH, 0, 60_000)) for n in range(10)]
    seen = walk(COUNTER, a_minute)
    assert [each.sample.quality for each in seen][:2] == ["", ""]
    assert seen[-1].sample.quality == "frozen"
    assert "frozen" in seen[-1].register.doubts
    moved = walk(COUNTER, [(600_000, ac(KWH + 1000, 0, 60_000))], seen[-1].register)
    assert moved[-1].sample.quality == ""


def test_a_load_that_was_switched_on_just_now_has_not_been_counted_yet():
    powers = [1_000, 60_000, 60_000]
    totals = [KWH, KWH, KWH + 1_000_000]
    steps = [(n * 3_600_000, ac(totals[n], 0, powers[n])) for n in range(3)]
    assert [each.sample.quality for each in walk(COUNTER, steps)] == ["", "", ""]


def test_a_coarse_counter_may_stand_still_for_its_step():
    coarse = Counting(step_uwh=10_000_000)
    half_an_hour = [(n * 60_000, ac(KWH, 0, 60_000, counting=coarse)) for n in range(30)]
    assert {each.sample.quality for each in walk(COUNTER, half_an_hour)} == {""}


def test_a_single_may_stand_still_for_longer_the_higher_it_is():
    high = [(n * 60_000, ac(100_000 * KWH, 0, 60_000)) for n in range(60)]
    assert {each.sample.quality for each in walk(COUNTER, high)} == {""}


def test_a_coarse_counter_may_rise_by_a_step_at_once():
    """A step of 0.1 kWh takes a second, whatever flowed while it was held back."""
    coarse = Counting(step_uwh=KWH // 10)
    totals = [KWH] * 3 + [KWH + KWH // 10] * 3
    seen = walk(
        COUNTER, [(n * 1000, ac(t, 0, 60_000, counting=coarse)) for n, t in enumerate(totals)]
    )
    assert {each.sample.quality for each in seen} == {""}
    assert seen[-1].register.import_uwh == KWH + KWH // 10


def test_a_single_may_rise_by_more_at_once_the_higher_it_is():
    low, high = 999_999_937_500_000, 1_000_000_000_000_000  # neighbours, 62.5 Wh apart
    seen = walk(COUNTER, [(n * 1000, ac((low, high)[n // 2], 0, 60_000)) for n in range(4)])
    assert {each.sample.quality for each in seen} == {""}


@pytest.mark.parametrize("power_mw", [0, 999, None])
def test_below_the_starting_current_nothing_needs_to_be_counted(power_mw):
    a_day = [(n * 60_000, ac(KWH, 0, power_mw)) for n in range(1440)]
    assert {each.sample.quality for each in walk(COUNTER, a_day)} == {""}


def test_a_chip_that_says_the_very_same_for_long_is_frozen():
    meter = replace(METER, frozen_ms=3000)
    seen = walk(meter, [(n * 1000, dc(50)) for n in range(5)])
    assert [each.sample.quality for each in seen] == ["", "", "", "frozen", "frozen"]
    moved = walk(meter, [(5000, dc(51))], seen[-1].register)
    assert moved[-1].sample.quality == ""
    assert {
        each.sample.quality for each in walk(METER, [(n * 1000, dc(50)) for n in range(9)])
    } == {""}


def test_a_spike_of_power_is_kept_and_doubted():
    assert walk(COUNTER, [(0, ac(0, 0, 200_001))])[-1].sample.quality == "implausible"
