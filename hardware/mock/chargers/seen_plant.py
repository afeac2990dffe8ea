"""What a simulated charge controller sees of its plant: sensor faults, its own limit, its load."""

from __future__ import annotations

from dataclasses import dataclass

from hardware.mock.faults import Distortion
from hardware.mock.points import SolarPlant

DARK_PV_MV = 5_000
"""Panels below this give nothing: it is night. [mV]"""


CURRENT_MOST_MA, VOLTAGE_MOST_MV = 600_000, 600_000
"""What no such controller can measure beyond. [mA, mV]"""


@dataclass(frozen=True, slots=True)
class SeenPlant:
    """Panels, battery and load at one moment."""

    pv_mv: int
    pv_mw: int
    generated_uwh: int
    battery_mv: int
    battery_ma: int
    charge_percent: int
    load_mw: int
    consumed_uwh: int

    @property
    def is_dark(self) -> bool:
        """Whether it is night."""
        return self.pv_mv < DARK_PV_MV

    @property
    def pv_ma(self) -> int:
        """Current of the panels. [mA]"""
        return current_ma(self.pv_mw, self.pv_mv)

    @property
    def charging_ma(self) -> int:
        """Current from the panels at the battery's voltage. [mA]"""
        return current_ma(self.pv_mw, self.battery_mv)

    @property
    def load_ma(self) -> int:
        """Current of the load output. [mA]"""
        return current_ma(self.load_mw, self.battery_mv)

    @property
    def twelves(self) -> int:
        """How many 12 V the battery has: 1, 2 or 4, as such controllers find out by themselves."""
        return 1 if self.battery_mv < 18_000 else 2 if self.battery_mv < 36_000 else 4


def see_plant(
    plant: SolarPlant, distortion: Distortion, *, limit_mw: int | None, load_is_on: bool = True
) -> SeenPlant:
    """Return what a controller reports; `limit_mw` is what it lets through, None for all."""
    seen = distortion.seen
    pv_mw = plant.pv_power_mw if limit_mw is None else min(plant.pv_power_mw, limit_mw)
    return SeenPlant(
        pv_mv=min(seen("voltage_mv", plant.pv_voltage_mv), VOLTAGE_MOST_MV),
        pv_mw=seen("power_mw", pv_mw),
        generated_uwh=seen("energy_export_uwh", plant.generated_uwh),
        battery_mv=plant.battery_mv,
        battery_ma=plant.battery_ma,
        charge_percent=plant.charge_percent,
        load_mw=plant.load_power_mw if load_is_on else 0,
        consumed_uwh=plant.consumed_uwh,
    )


def current_ma(power_mw: int, voltage_mv: int) -> int:
    """Return the current of a power at a voltage, as far as a shunt can show it. [mA]

    Without voltage there is none.
    """
    return min(power_mw * 1_000 // voltage_mv, CURRENT_MOST_MA) if voltage_mv > 0 else 0
