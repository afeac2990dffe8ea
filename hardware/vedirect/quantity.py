"""One quantity that a VE.Direct device tells, under a label or in a register, and its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from hardware.ports import Counting

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


def bounded(value: int | None, low: int, high: int, doubts: list[str]) -> int | None:
    """Return a value of a sample if it can be true; else None, and a word of doubt is added."""
    if value is None:
        doubts.append("unavailable")
    elif not low <= value <= high:
        doubts.append("range")
        return None
    return value


VOLTS: Final = (0, 100_000)
"""What a battery's voltage can be. [mV]"""

PV_VOLTS: Final = (0, 500_000)
"""What a panel's voltage can be: the largest charger takes 450 V. [mV]"""

AMPERES: Final = (-2_000_000, 2_000_000)
"""What a battery's current can be: the largest shunt takes 2000 A. [mA]"""

WATTS: Final = (-100_000_000, 100_000_000)
"""What such a device can measure. [mW]"""

ENERGY_UWH: Final = (0, 2**32 * 10**7)
"""What an energy can be: 32 bits of 0.01 kWh. [uWh]"""

COUNTING: Final = Counting(step_uwh=10**7)
"""How such devices count energy: in 0.01 kWh, further than they will ever come."""

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
