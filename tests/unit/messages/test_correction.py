"""What a calibration makes of a value, and that what the device said is not lost."""

from __future__ import annotations

from fractions import Fraction

import pytest

from messages.correction import GAIN_PPM_LEAST, GAIN_PPM_MOST, Correction, divided, gain_text


@pytest.mark.parametrize(
    ("gain_ppm", "offset", "raw", "corrected"),
    [
        (0, 0, -123, -123),
        (12_000, 0, 988_142, 999_999 + 1),  # 999_999.704
        (12_000, 0, -988_142, -1_000_000),
        (0, 40, 40, 0),
        (0, 40, 0, -40),
        (100_000, -5, 5, 11),
        (-500_000, 0, 1, 0),  # half to even
        (-500_000, 0, 3, 2),
        (-500_000, 0, -1, 0),
        (-500_000, 0, -3, -2),
        (99_000_000, 0, 7, 700),
    ],
)
def test_the_offset_goes_first_and_the_gain_rounds_half_to_even(
    gain_ppm: int, offset: int, raw: int, corrected: int
) -> None:
    assert Correction(gain_ppm, offset).of(raw) == corrected


RAW = (*range(-1_000, 1_001), *range(999_000, 1_001_000, 7), -(10**9), 10**9 + 1)


@pytest.mark.parametrize("gain_ppm", [0, 1, 499, 12_000, 333_333, 1_000_000, GAIN_PPM_MOST])
@pytest.mark.parametrize("offset", [0, -37, 5_000])
def test_raw_comes_back_exactly_where_the_gain_is_not_negative(gain_ppm: int, offset: int) -> None:
    correction = Correction(gain_ppm, offset)
    assert [correction.raw_of(correction.of(raw)) for raw in RAW] == list(RAW)


@pytest.mark.parametrize("gain_ppm", [-1, -499, -12_000, -333_333, GAIN_PPM_LEAST])
@pytest.mark.parametrize("offset", [0, -37, 5_000])
def test_raw_comes_back_to_within_one_where_the_gain_is_negative(
    gain_ppm: int, offset: int
) -> None:
    correction = Correction(gain_ppm, offset)
    off = [abs(correction.raw_of(correction.of(raw)) - raw) for raw in RAW]
    assert max(off) <= 1
    lost = sum(off)
    assert lost > 0 if gain_ppm < -499 else lost <= len(RAW)


def test_below_the_least_gain_more_than_one_would_be_lost() -> None:
    correction = Correction(GAIN_PPM_LEAST - 250_000)
    assert max(abs(correction.raw_of(correction.of(raw)) - raw) for raw in RAW) > 1


def test_division_is_that_of_python_for_fractions() -> None:
    for dividend in range(-40, 41):
        for divisor in range(1, 9):
            assert divided(dividend, divisor) == round(Fraction(dividend, divisor))


@pytest.mark.parametrize(
    ("gain_ppm", "text"),
    [
        (0, "0 %"),
        (1, "+0.0001 %"),
        (-1, "-0.0001 %"),
        (12_000, "+1.2 %"),
        (-200_000, "-20 %"),
        (1_000_000, "+100 %"),
        (GAIN_PPM_MOST, "+9900 %"),
    ],
)
def test_a_gain_is_told_in_percent(gain_ppm: int, text: str) -> None:
    assert gain_text(gain_ppm) == text
