"""Sixteen-bit words to exact integers. Pure: no device is known here.

A float32 is a whole number times a power of two, so a value in kWh becomes uWh without any
binary rounding of our own: the only rounding is to the nearest unit, ties to even, and it keeps
order, so that a counter that does not fall in floats does not fall in integers.
"""

from __future__ import annotations

from hardware.errors import ImplausibleSample


def divide_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator, rounded to the nearest integer, ties to even.

    >>> [divide_half_even(n, 2) for n in (-3, -1, 1, 3)]
    [-2, 0, 0, 2]
    """
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2 == 1):
        return quotient + 1
    return quotient


def scale(value: int, exponent: int) -> int:
    """Return value times ten to the exponent, rounded half to even.

    >>> scale(-25, -1), scale(7, 3)
    (-2, 7000)
    """
    if exponent >= 0:
        return value * int(10**exponent)
    return divide_half_even(value, int(10**-exponent))


def u32(high: int, low: int) -> int:
    """Return the unsigned value of two words."""
    return high << 16 | low


def s16(word: int) -> int:
    """Return the two's complement value of one word.

    >>> s16(0xFFF6), s16(0x8300)
    (-10, -32000)
    """
    return word - 0x1_0000 if word & 0x8000 else word


def s32(high: int, low: int) -> int:
    """Return the two's complement value of two words."""
    value = u32(high, low)
    return value - 0x1_0000_0000 if value & 0x8000_0000 else value


def f32(high: int, low: int, exponent: int) -> int | None:
    """Return an IEEE 754 single times ten to the exponent, rounded half to even.

    Not-a-number is how meters say "not available": the answer is None.

    >>> f32(0x4366, 0x3334, 3)
    230200

    Raises:
        ImplausibleSample: the float is infinite.
    """
    bits = u32(high, low)
    power, fraction = bits >> 23 & 0xFF, bits & 0x7F_FFFF
    if power == 0xFF:
        if fraction:
            return None
        raise ImplausibleSample(f"words {high:04X} {low:04X}: an infinite float")
    mantissa = fraction | 0x80_0000 if power else fraction
    if bits & 0x8000_0000:
        mantissa = -mantissa
    shift = max(power, 1) - 150  # value = mantissa * 2**shift
    numerator = mantissa * int(10 ** max(exponent, 0)) << max(shift, 0)
    return divide_half_even(numerator, int(10 ** max(-exponent, 0)) << max(-shift, 0))
