"""Words to exact integers, against the machine's own floats and fractions."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hardware import words
from hardware.errors import ImplausibleSample

BITS = st.integers(0, 2**32 - 1)


@given(BITS, st.integers(-3, 50))
@example(0x3F00_0000, 0)  # 0.5 is a tie
@example(0x3FC0_0000, 0)  # so is 1.5
@example(0x0000_0001, 45)  # the least float there is
def test_a_float_becomes_the_nearest_integer_with_ties_to_even(bits, exponent):
    (value,) = struct.unpack(">f", bits.to_bytes(4, "big"))
    high, low = bits >> 16, bits & 0xFFFF
    if math.isnan(value):
        assert words.f32(high, low, exponent) is None
    elif math.isinf(value):
        with pytest.raises(ImplausibleSample, match=f"{high:04X} {low:04X}"):
            words.f32(high, low, exponent)
    else:
        assert words.f32(high, low, exponent) == round(Fraction(value) * Fraction(10) ** exponent)


@given(st.integers(0, 0x7F7F_FFFE))
def test_a_counter_that_does_not_fall_in_floats_does_not_fall_in_integers(bits):
    before, after = (words.f32(each >> 16, each & 0xFFFF, 9) for each in (bits, bits + 1))
    assert before <= after


@given(st.integers(), st.integers(1, 10**12))
@example(1, 2)
@example(-3, 2)
def test_division_rounds_half_to_even(numerator, denominator):
    assert words.divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-(2**31), 2**31 - 1))
def test_signed_words_come_back(value):
    high, low = value >> 16 & 0xFFFF, value & 0xFFFF
    assert words.s32(high, low) == value
    assert words.u32(high, low) == value % 2**32
    assert words.s16(low) == (low ^ 0x8000) - 0x8000
