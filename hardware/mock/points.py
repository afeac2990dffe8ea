"""What simulated devices measure: small objects that the world sets.

A world may pass any object with these attributes, so that a value is computed when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class DcLine(Protocol):
    """One direct-current line, as an INA219 sees it."""

    @property
    def current_ua(self) -> int:
        """Current through the shunt, positive from VIN+ to VIN-. [uA]"""

    @property
    def bus_mv(self) -> int:
        """Voltage of VIN- against ground. [mV]"""


class AcFeeder(Protocol):
    """One mains feeder, as an energy meter sees it; positive power = import."""

    @property
    def voltage_mv(self) -> int:
        """Voltage to neutral. [mV]"""

    @property
    def power_mw(self) -> int:
        """Active power. [mW]"""

    @property
    def frequency_mhz(self) -> int:
        """Frequency. [mHz]"""

    @property
    def energy_import_uwh(self) -> int:
        """Imported energy since ever. [uWh]"""

    @property
    def energy_export_uwh(self) -> int:
        """Exported energy since ever. [uWh]"""


class ThreePhaseFeeder(Protocol):
    """A three-phase feeder; its totals count the sum of the phases, as such meters do."""

    @property
    def phases(self) -> tuple[AcFeeder, AcFeeder, AcFeeder]:
        """Phases 1 to 3."""

    @property
    def energy_import_uwh(self) -> int:
        """Imported energy of all phases together. [uWh]"""

    @property
    def energy_export_uwh(self) -> int:
        """Exported energy of all phases together. [uWh]"""


class SolarPlant(Protocol):
    """Panels, battery and load, as a charge controller sees them."""

    @property
    def pv_voltage_mv(self) -> int:
        """Panel voltage. [mV]"""

    @property
    def pv_power_mw(self) -> int:
        """Panel power, never negative. [mW]"""

    @property
    def generated_uwh(self) -> int:
        """Energy from the panels since ever. [uWh]"""

    @property
    def battery_mv(self) -> int:
        """Battery voltage. [mV]"""

    @property
    def battery_ma(self) -> int:
        """Net battery current, positive = charging. [mA]"""

    @property
    def charge_percent(self) -> int:
        """State of charge. [%]"""

    @property
    def load_power_mw(self) -> int:
        """Power of the controller's load output. [mW]"""

    @property
    def consumed_uwh(self) -> int:
        """Energy of the load output since ever. [uWh]"""


@dataclass(slots=True)
class Line:
    """A `DcLine` of plain values."""

    current_ua: int = 0
    bus_mv: int = 12_000


@dataclass(slots=True)
class Feeder:
    """An `AcFeeder` of plain values."""

    voltage_mv: int = 230_000
    power_mw: int = 0
    frequency_mhz: int = 50_000
    energy_import_uwh: int = 0
    energy_export_uwh: int = 0


@dataclass(slots=True)
class Plant:
    """A `SolarPlant` of plain values."""

    pv_voltage_mv: int = 36_000
    pv_power_mw: int = 0
    generated_uwh: int = 0
    battery_mv: int = 12_600
    battery_ma: int = 0
    charge_percent: int = 60
    load_power_mw: int = 0
    consumed_uwh: int = 0


@dataclass(slots=True)
class ThreePhase:
    """A `ThreePhaseFeeder` of plain values."""

    phases: tuple[AcFeeder, AcFeeder, AcFeeder]
    energy_import_uwh: int = 0
    energy_export_uwh: int = 0


@dataclass(frozen=True, slots=True)
class _Third:
    """One of three equal phases of a feeder; the first one takes what a division leaves."""

    feeder: AcFeeder
    is_first: bool

    @property
    def voltage_mv(self) -> int:
        return self.feeder.voltage_mv

    @property
    def frequency_mhz(self) -> int:
        return self.feeder.frequency_mhz

    @property
    def power_mw(self) -> int:
        return self._part(self.feeder.power_mw)

    @property
    def energy_import_uwh(self) -> int:
        return self._part(self.feeder.energy_import_uwh)

    @property
    def energy_export_uwh(self) -> int:
        return self._part(self.feeder.energy_export_uwh)

    def _part(self, whole: int) -> int:
        third = whole // 3
        return whole - 2 * third if self.is_first else third


@dataclass(frozen=True, slots=True)
class _Split:
    """A feeder spread evenly over three phases."""

    feeder: AcFeeder

    @property
    def phases(self) -> tuple[AcFeeder, AcFeeder, AcFeeder]:
        return _Third(self.feeder, True), _Third(self.feeder, False), _Third(self.feeder, False)

    @property
    def energy_import_uwh(self) -> int:
        return self.feeder.energy_import_uwh

    @property
    def energy_export_uwh(self) -> int:
        return self.feeder.energy_export_uwh


def split(feeder: AcFeeder) -> ThreePhaseFeeder:
    """Return a feeder as three equal phases."""
    return _Split(feeder)
