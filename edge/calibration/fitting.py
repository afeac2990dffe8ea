"""From what a device says and what is true to coefficients, and whether they can be right. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge.calibration.coefficients import Coefficients
from edge.calibration.errors import CalibrationRefused
from hardware.ports import Sample
from messages.correction import (
    GAIN_PPM_LEAST,
    GAIN_PPM_MOST,
    ONE_PPM,
    Correction,
    divided,
    gain_text,
)

DOUBTFUL_GAIN_PPM: Final = 200_000
DOUBTFUL_OFFSET_PPM: Final = 20_000  # of the rated power
LEAST_LOAD_PPM: Final = 50_000  # of the rated power
UNSTEADY_PPM: Final = 50_000  # of the mean
UNSTEADY_ZERO_PPM: Final = 10_000  # of the rated power


@dataclass(frozen=True, slots=True)
class Quantity:
    """One of the three that can be calibrated.

    Attributes:
        name: as a person calls it; a field of `Coefficients`.
        field: of a `Sample`.
        option: of the command line.
        unit: the unit of the field is a thousandth of it.
    """

    name: str
    field: str
    option: str
    unit: str


POWER: Final = Quantity("power", "power_mw", "--power-w", "W")
VOLTAGE: Final = Quantity("voltage", "voltage_mv", "--voltage-v", "V")
CURRENT: Final = Quantity("current", "current_ma", "--current-a", "A")
QUANTITIES: Final = (POWER, VOLTAGE, CURRENT)


@dataclass(frozen=True, slots=True)
class Values:
    """One value a quantity; None: not known, or not compared. [mW, mV, mA]"""

    power: int | None = None
    voltage: int | None = None
    current: int | None = None

    def of(self, quantity: Quantity) -> int | None:
        """Return the value of one quantity."""
        value: int | None = getattr(self, quantity.name)
        return value


NOT_COMPARED: Final = Values()


@dataclass(frozen=True, slots=True)
class Averages:
    """What the device said, in the meter's own sign.

    Attributes:
        mean: of each quantity, None where a sample lacked it.
        spread: greatest less least.
        samples: how many.
        is_direct: whether it measures direct current, whose current has a sign.
    """

    mean: Values
    spread: Values
    samples: int
    is_direct: bool


def averaged(samples: Sequence[Sample]) -> Averages:
    """Return means, rounded half to even, and spreads of one sample or more."""
    means: dict[str, int] = {}
    spreads: dict[str, int] = {}
    for quantity in QUANTITIES:
        values = [getattr(each, quantity.field) for each in samples]
        if None not in values:
            means[quantity.name] = divided(sum(values), len(values))
            spreads[quantity.name] = max(values) - min(values)
    is_direct = all(each.frequency_mhz is None for each in samples)
    return Averages(Values(**means), Values(**spreads), len(samples), is_direct)


def fitted(old: Coefficients, said: Averages, true: Values) -> Coefficients:
    """Return coefficients that turn what was said into what is true.

    Offsets stay. On direct current power is voltage times current: if a current was compared and a
    power was not, their gains multiply.

    Raises:
        CalibrationRefused: there is nothing to compare, or no gain could do it.
    """
    found = {
        quantity.name: _fit(quantity, getattr(old, quantity.name), said, reference)
        for quantity in QUANTITIES
        if (reference := true.of(quantity)) is not None
    }
    new = replace(old, **found)
    if said.is_direct and true.current is not None and true.power is None:
        product = (ONE_PPM + new.voltage.gain_ppm) * (ONE_PPM + new.current.gain_ppm)
        gain_ppm = divided(product, ONE_PPM) - ONE_PPM
        new = replace(new, power=replace(new.power, gain_ppm=gain_ppm))
    _check_gains(new)
    return new


def nothing(said: Averages) -> Values:
    """Return what is true where nothing flows, of that which can be compared.

    The current of alternating current is a magnitude: its noise does not average out.
    """
    has_sign = said.is_direct and said.mean.current is not None
    return Values(power=0, current=0 if has_sign else None)


def zeroed(old: Coefficients, said: Averages) -> Coefficients:
    """Return coefficients under which what was said is nothing; gains stay.

    Raises:
        CalibrationRefused: the device says no power.
    """
    if said.mean.power is None:
        raise CalibrationRefused("it said no power, so there is nothing to compare")
    new = replace(old, power=replace(old.power, offset=said.mean.power))
    if said.mean.current is not None and nothing(said).current is not None:
        new = replace(new, current=replace(new.current, offset=said.mean.current))
    return new


def doubts_of_gain(new: Coefficients, said: Averages, true: Values, rated_mw: int) -> Iterator[str]:
    """Yield why new gains may be wrong; none, if all is well."""
    for quantity in QUANTITIES:
        gain_ppm = getattr(new, quantity.name).gain_ppm
        if abs(gain_ppm) > DOUBTFUL_GAIN_PPM:
            yield (
                f"{quantity.name} would be corrected by {gain_text(gain_ppm)}, more than 20 %: "
                "is the shunt or the ratio of its transformer configured as it is built?"
            )
        mean, spread = said.mean.of(quantity), said.spread.of(quantity)
        if true.of(quantity) is None or mean is None or spread is None:
            continue
        if spread * ONE_PPM > abs(mean) * UNSTEADY_PPM:
            shown = amount(quantity, spread)
            yield f"{quantity.name} moved by {shown} meanwhile: compare while it is steady"
    if true.power is not None and abs(true.power) * ONE_PPM < rated_mw * LEAST_LOAD_PPM:
        yield (
            f"{amount(POWER, true.power)} is less than 5 % of rated_w: a small error there is a "
            "large one at full load"
        )


def doubts_of_zero(new: Coefficients, said: Averages, rated_mw: int) -> Iterator[str]:
    """Yield why new offsets may be wrong; none, if all is well."""
    if abs(new.power.offset) * ONE_PPM > rated_mw * DOUBTFUL_OFFSET_PPM:
        shown = amount(POWER, new.power.offset)
        yield f"{shown} is more than 2 % of rated_w: does really nothing flow?"
    spread = said.spread.power or 0
    if spread * ONE_PPM > rated_mw * UNSTEADY_ZERO_PPM:
        shown = amount(POWER, spread)
        yield f"power moved by {shown} meanwhile: does really nothing flow?"


def amount(quantity: Quantity, value: int | None) -> str:
    """Return a value for people.

    >>> amount(POWER, -1_000_250), amount(VOLTAGE, None)
    ('-1000.250 W', '')
    """
    return "" if value is None else f"{value / 1000:.3f} {quantity.unit}"


def _fit(quantity: Quantity, old: Correction, said: Averages, reference: int) -> Correction:
    mean = said.mean.of(quantity)
    if mean is None:
        raise CalibrationRefused(f"it said no {quantity.name} in every sample; leave it out")
    above_zero = mean - old.offset
    if reference == 0 or above_zero == 0:
        raise CalibrationRefused(
            f"{quantity.name}: a gain needs something that flows; for the zero use --zero"
        )
    if (reference < 0) != (above_zero < 0):
        raise CalibrationRefused(
            f"{quantity.name}: it says {amount(quantity, mean)} where "
            f"{amount(quantity, reference)} is given, the other direction. Positive is import. "
            f"If that is how it flows, give {quantity.option} with the other sign; if not, the "
            "meter is built in backwards: swap it, or set reversed"
        )
    gain_ppm = divided(abs(reference) * ONE_PPM, abs(above_zero)) - ONE_PPM
    return replace(old, gain_ppm=gain_ppm)


def _check_gains(new: Coefficients) -> None:
    for quantity in QUANTITIES:
        gain_ppm = getattr(new, quantity.name).gain_ppm
        if not GAIN_PPM_LEAST <= gain_ppm <= GAIN_PPM_MOST:
            raise CalibrationRefused(
                f"{quantity.name} would be corrected by {gain_text(gain_ppm)}: that is no "
                "calibration; mend the shunt or the transformer's ratio in the configuration"
            )
