"""The software register against exact rational arithmetic, over random profiles."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from edge.register import HALF_MW_MS_PER_UWH, Register, integrated

POWER = st.one_of(st.integers(-5, 5), st.integers(-100_000_000, 100_000_000))
STEP = st.integers(0, 100_000)
PROFILE = st.lists(st.tuples(STEP, POWER), min_size=1, max_size=40)


def exact(first_mw, last_mw, elapsed_ms):
    """Import and export of a straight line, as rationals. [uWh]"""
    if first_mw * last_mw >= 0:
        area = Fraction((first_mw + last_mw) * elapsed_ms, HALF_MW_MS_PER_UWH)
        return max(area, Fraction(0)), max(-area, Fraction(0))
    cross = Fraction(abs(first_mw), abs(first_mw) + abs(last_mw)) * elapsed_ms
    before = Fraction(first_mw) * cross / HALF_MW_MS_PER_UWH
    after = Fraction(last_mw) * (elapsed_ms - cross) / HALF_MW_MS_PER_UWH
    return max(before, after), -min(before, after)


@given(PROFILE)
def test_registers_are_the_integral_rounded_down(profile):
    register, at_ms, crossings = Register(), 0, 0
    total_in = total_out = Fraction(0)
    for step_ms, power_mw in profile:
        at_ms += step_ms
        before = register
        register = integrated(register, power_mw, at_ms, 100_000)
        assert register.doubts == ()
        if before.power_mw is None:
            continue
        into, out = exact(before.power_mw, power_mw, step_ms)
        total_in, total_out = total_in + into, total_out + out
        crossings += before.power_mw * power_mw < 0
        # never falls, never above the truth, and below it by no more than the rounding of crossings
        assert register.import_uwh >= before.import_uwh
        assert register.export_uwh >= before.export_uwh
        for total, uwh, rest in (
            (total_in, register.import_uwh, register.import_rest),
            (total_out, register.export_uwh, register.export_rest),
        ):
            held = uwh + Fraction(rest, HALF_MW_MS_PER_UWH)
            assert 0 <= rest < HALF_MW_MS_PER_UWH
            assert 0 <= total - held <= Fraction(crossings, HALF_MW_MS_PER_UWH)
        net = Fraction(register.import_rest - register.export_rest, HALF_MW_MS_PER_UWH)
        net += register.import_uwh - register.export_uwh
        assert net == total_in - total_out


@given(PROFILE, st.integers(0, 39))
def test_cutting_an_interval_at_the_same_instant_changes_nothing(profile, place):
    def total(steps):
        register, at_ms = Register(), 0
        for step_ms, power_mw in steps:
            at_ms += step_ms
            register = integrated(register, power_mw, at_ms, 100_000)
        return register

    place %= len(profile)
    _, power_mw = profile[place]
    again = [*profile[: place + 1], (0, power_mw), *profile[place + 1 :]]
    assert total(again) == total(profile)
