"""What a simulated mains meter sees of its feeders, its sensor faults included.

Reactive power is 0, so that apparent power is the magnitude of active power.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware.mock.faults import Distortion
from hardware.mock.points import AcFeeder, ThreePhaseFeeder


@dataclass(frozen=True, slots=True)
class SeenPhase:
    """One phase at one moment; positive power = import."""

    voltage_mv: int
    power_mw: int
    frequency_mhz: int
    import_uwh: int
    export_uwh: int

    @property
    def turned(self) -> SeenPhase:
        """The same through a current transformer that is the wrong way round."""
        return SeenPhase(
            self.voltage_mv, -self.power_mw, self.frequency_mhz, self.export_uwh, self.import_uwh
        )

    @property
    def current_ma(self) -> int:
        """Current without direction. [mA]"""
        return abs(self.power_mw) * 1_000 // self.voltage_mv if self.voltage_mv > 0 else 0

    @property
    def power_factor_milli(self) -> int:
        """Power factor, negative where power flows back. [1/1000]"""
        return -1_000 if self.power_mw < 0 else 1_000


@dataclass(frozen=True, slots=True)
class SeenMains:
    """All phases of a meter and its total counters."""

    phases: tuple[SeenPhase, ...]
    import_uwh: int
    export_uwh: int

    @property
    def power_mw(self) -> int:
        """Power of all phases together. [mW]"""
        return sum(phase.power_mw for phase in self.phases)

    @property
    def frequency_mhz(self) -> int:
        """Frequency, which is one phase's as good as another's. [mHz]"""
        return self.phases[0].frequency_mhz

    @property
    def power_factor_milli(self) -> int:
        """Power factor of the sum, negative where power flows back. [1/1000]"""
        return -1_000 if self.power_mw < 0 else 1_000


def see_phase(feeder: AcFeeder, distortion: Distortion, mark: str = "") -> SeenPhase:
    """Return one phase; `mark` keeps its faults apart from another phase's."""
    seen = distortion.seen
    phase = SeenPhase(
        voltage_mv=seen(f"{mark}voltage_mv", feeder.voltage_mv),
        power_mw=seen(f"{mark}power_mw", feeder.power_mw),
        frequency_mhz=seen(f"{mark}frequency_mhz", feeder.frequency_mhz),
        import_uwh=seen(f"{mark}energy_import_uwh", feeder.energy_import_uwh),
        export_uwh=seen(f"{mark}energy_export_uwh", feeder.energy_export_uwh),
    )
    return phase.turned if distortion.is_turned else phase


def see_one(feeder: AcFeeder, distortion: Distortion) -> SeenMains:
    """Return what a single-phase meter sees."""
    phase = see_phase(feeder, distortion)
    return SeenMains((phase,), phase.import_uwh, phase.export_uwh)


def see_three(feeder: ThreePhaseFeeder, distortion: Distortion) -> SeenMains:
    """Return what a three-phase meter sees; its totals count the sum of the phases."""
    phases = tuple(
        see_phase(phase, distortion, f"l{number}_") for number, phase in enumerate(feeder.phases, 1)
    )
    import_uwh = distortion.seen("energy_import_uwh", feeder.energy_import_uwh)
    export_uwh = distortion.seen("energy_export_uwh", feeder.energy_export_uwh)
    if distortion.is_turned:
        import_uwh, export_uwh = export_uwh, import_uwh
    return SeenMains(phases, import_uwh, export_uwh)
