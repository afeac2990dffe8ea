"""One quantity that a VE.Direct device tells, under a label or in a register, and its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from hardware.errors import ImplausibleSample

Value = Fraction | str | bool | None
Shown = int | float | str | bool | None

HUNDREDTH, TENTH, MILLI = Fraction(1, 100), Fraction(1, 10), Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a number on the wire means.

    Attributes:
        name: what it is.
        unit: V A W VA Wh kWh Ah degC % min s, or none.
        scale: the number on the wire times this is in `unit`.
        names: words for some numbers.
        offset: added after scaling, in `unit`.
    """

    name: str
    unit: str = ""
    scale: Fraction = Fraction(1)
    names: Mapping[int, str] = field(default_factory=dict)
    offset: Fraction = Fraction(0)

    @property
    def key(self) -> str:
        """The name with its unit: "battery_voltage_v", "charge_percent"."""
        unit = "percent" if self.unit == "%" else self.unit.lower()
        return f"{self.name}_{unit}" if unit else self.name

    def natural(self, value: Value) -> Shown:
        """Return a value as a person writes it: 12.53, 8, "bulk"."""
        if not isinstance(value, Fraction):
            return value
        if value.denominator != 1:
            return float(value)
        return self.names.get(int(value), int(value))


def whole(value: Fraction | None, per_unit: int) -> int | None:
    """Return a value in a smaller unit, rounded to a whole number; `per_unit` go into one."""
    return None if value is None else round(value * per_unit)


def within(name: str, value: int | None, low: int, high: int) -> int | None:
    """Return the value if it can be true.

    Raises:
        ImplausibleSample: it is below or above what such a device can measure.
    """
    if value is not None and not low <= value <= high:
        raise ImplausibleSample(f"{name} = {value}: want {low} to {high}")
    return value


STATES: Mapping[int, str] = MappingProxyType(
    {
        0: "off",
        1: "low power",
        2: "fault",
        3: "bulk",
        4: "absorption",
        5: "float",
        6: "storage",
        7: "equalize",
        9: "inverting",
        11: "power supply",
        245: "starting",
        246: "repeated absorption",
        247: "auto equalize",
        248: "battery safe",
        252: "external control",
    }
)
"""What a charger or inverter does: label CS, register 0x0201."""

TRACKERS: Mapping[int, str] = MappingProxyType({0: "off", 1: "limited", 2: "tracking"})
"""What a tracker does: label MPPT, register 0xEDB3."""

ERRORS: Mapping[int, str] = MappingProxyType(
    {
        0: "none",
        2: "battery voltage high",
        17: "charger too hot",
        18: "over-current",
        19: "reversed current",
        20: "bulk time",
        21: "current sensor",
        26: "terminals hot",
        28: "converter",
        33: "PV voltage high",
        34: "PV current high",
        38: "input shutdown",
        39: "input shutdown",
        65: "communication",
        66: "synchronisation",
        67: "BMS lost",
        68: "network",
        116: "calibration lost",
        117: "firmware",
        119: "settings",
    }
)
"""What is wrong with a charger: label ERR, register 0xEDDA."""
