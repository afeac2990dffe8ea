"""How a calibrated value follows from what a device says, and back. Integers only.

    corrected = (raw - offset) * (1_000_000 + gain_ppm) / 1_000_000, rounded half to even

in whole mW, mV or mA. Whoever has a corrected value and the coefficients has the raw one: to the
unit where the gain is not negative, and to within one unit where it is, since fewer corrected
values than raw ones are there then. A gain below -50 % would lose more, and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ONE_PPM: Final = 1_000_000
GAIN_PPM_LEAST: Final = -500_000
GAIN_PPM_MOST: Final = 99_000_000


@dataclass(frozen=True, slots=True)
class Correction:
    """One quantity's coefficients; `offset` is what the device says when there is nothing.

    >>> Correction(gain_ppm=12_000, offset=-3).of(985)
    1000
    >>> Correction(gain_ppm=12_000, offset=-3).raw_of(1000)
    985
    """

    gain_ppm: int = 0
    offset: int = 0

    def of(self, raw: int) -> int:
        """Return the corrected value."""
        return divided((raw - self.offset) * (ONE_PPM + self.gain_ppm), ONE_PPM)

    def raw_of(self, corrected: int) -> int:
        """Return what the device said."""
        return self.offset + divided(corrected * ONE_PPM, ONE_PPM + self.gain_ppm)


NO_CORRECTION: Final = Correction()


def gain_text(gain_ppm: int) -> str:
    """Return a gain for people.

    >>> gain_text(12_000), gain_text(-415), gain_text(0)
    ('+1.2 %', '-0.0415 %', '0 %')
    """
    whole, rest = divmod(abs(gain_ppm), ONE_PPM // 100)
    sign = "-" if gain_ppm < 0 else "+" if gain_ppm else ""
    return f"{sign}{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def divided(dividend: int, divisor: int) -> int:
    """Return dividend / divisor, rounded half to even; the divisor is above 0.

    >>> [divided(n, 2) for n in (-3, -1, 1, 3, 5)], divided(7, 4), divided(-7, 4)
    ([-2, 0, 0, 2, 2], 2, -2)
    """
    whole, rest = divmod(dividend, divisor)
    if 2 * rest > divisor or (2 * rest == divisor and whole % 2):
        return whole + 1
    return whole
