"""What the Eastron SDM meters measure, by the address of each input register.

Every model takes its values from one list; which of them it has is the model's business. Demands
follow the momentary value, as with a demand period of 0. Currents and powers have no reactive
part and no harmonics, since the points have none.

Source: Eastron SDM120-Modbus protocol V2.4; SDM630-Modbus protocol V1.7; SDM72D-M manual V1.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hardware.mock.points import AcFeeder, ThreePhaseFeeder

Seen = Callable[[str, int], int]
"""What a sensor makes of a true value: name of the quantity, value -> value."""

PEAKS: Mapping[int, int] = MappingProxyType(
    {
        0x0054: 0x0056,
        0x0058: 0x005A,
        0x005C: 0x005E,
        0x0064: 0x0066,
        0x0068: 0x006A,
        0x0102: 0x0108,
        0x0104: 0x010A,
        0x0106: 0x010C,
    }
)
"""Register of a demand -> register of its maximum since the last reset."""

ONE_PHASE_TWO_WIRES, THREE_PHASES_THREE_WIRES, THREE_PHASES_FOUR_WIRES = 1.0, 2.0, 3.0
"""Values of the wiring mode."""

_UWH_PER_KWH = 10**9
_NOMINAL_VOLTS = 230.0
_PHASE_ROWS = (0x00, 0x06, 0x0C, 0x12, 0x18, 0x1E, 0x24, 0xEA, 0xF0, 0x102, 0x108)
_PHASE_COUNTERS = (0x15A, 0x160, 0x166, 0x16C, 0x172, 0x178)
_NEUTRAL = (0x68, 0x6A, 0xE0)
_LINE_TO_LINE = (*range(0xC8, 0xD0, 2), *range(0x14E, 0x156, 2))
_WITHOUT_NEUTRAL = (*range(0x00, 0x06, 2), *range(0x0C, 0x2A, 2), 0x2A, *range(0xEA, 0xF0, 2))


@dataclass(frozen=True, slots=True)
class _Phase:
    """One phase in the meter's units. [V, W, kWh]"""

    volts: float
    watts: float
    imported: float
    exported: float

    @property
    def amps(self) -> float:
        return abs(self.watts) / self.volts if self.volts else 0.0


def does_not_apply(wiring: float) -> frozenset[int]:
    """Return the registers that read zero in this wiring mode."""
    if wiring == ONE_PHASE_TWO_WIRES:
        rows = (*_PHASE_ROWS, *_PHASE_COUNTERS)
        others = (first + 2 * phase for first in rows for phase in (1, 2))
        return frozenset((*others, *_NEUTRAL, *_LINE_TO_LINE))
    if wiring == THREE_PHASES_THREE_WIRES:
        return frozenset((*_WITHOUT_NEUTRAL, *_NEUTRAL))
    return frozenset()


def one_phase(feeder: AcFeeder, seen: Seen) -> dict[int, float]:
    """Return the quantities of a meter with one phase."""
    phase = _Phase(
        volts=seen("voltage_mv", feeder.voltage_mv) / 1000,
        watts=seen("power_mw", feeder.power_mw) / 1000,
        imported=seen("energy_import_uwh", feeder.energy_import_uwh) / _UWH_PER_KWH,
        exported=seen("energy_export_uwh", feeder.energy_export_uwh) / _UWH_PER_KWH,
    )
    hertz = seen("frequency_mhz", feeder.frequency_mhz) / 1000
    return _of_phases((phase,)) | _of_system((phase,), hertz, phase.imported, phase.exported)


def three_phase(feeder: ThreePhaseFeeder, seen: Seen) -> dict[int, float]:
    """Return the quantities of a meter with three phases."""
    phases = [
        _Phase(
            volts=seen(f"{name}_voltage_mv", each.voltage_mv) / 1000,
            watts=seen(f"{name}_power_mw", each.power_mw) / 1000,
            imported=seen(f"{name}_import_uwh", each.energy_import_uwh) / _UWH_PER_KWH,
            exported=seen(f"{name}_export_uwh", each.energy_export_uwh) / _UWH_PER_KWH,
        )
        for name, each in zip(("l1", "l2", "l3"), feeder.phases, strict=True)
    ]
    hertz = seen("frequency_mhz", feeder.phases[0].frequency_mhz) / 1000
    imported = seen("energy_import_uwh", feeder.energy_import_uwh) / _UWH_PER_KWH
    exported = seen("energy_export_uwh", feeder.energy_export_uwh) / _UWH_PER_KWH
    values = _of_phases(phases) | _of_system(phases, hertz, imported, exported)
    return values | _between_phases(phases)


def _of_phases(phases: Sequence[_Phase]) -> dict[int, float]:
    """Return what each phase has of its own."""
    values: dict[int, float] = {}
    for place, phase in enumerate(phases):
        amps = phase.amps
        row = (
            (0x000, phase.volts),
            (0x006, amps),
            (0x00C, phase.watts),
            (0x012, abs(phase.watts)),
            (0x01E, _factor(phase.watts)),
            (0x024, _angle(phase.watts)),
            (0x102, amps),
            (0x15A, phase.imported),
            (0x160, phase.exported),
            (0x166, phase.imported + phase.exported),
        )
        values |= {first + 2 * place: value for first, value in row}
    return values


def _of_system(
    phases: Sequence[_Phase], hertz: float, imported: float, exported: float
) -> dict[int, float]:
    """Return sums and averages, frequency, counters and demands."""
    watts = sum(phase.watts for phase in phases)
    volt_amps = sum(abs(phase.watts) for phase in phases)
    amps = sum(phase.amps for phase in phases)
    total = imported + exported
    return {
        0x02A: sum(phase.volts for phase in phases) / len(phases),
        0x02E: amps / len(phases),
        0x030: amps,
        0x034: watts,
        0x038: volt_amps,
        0x03E: _factor(watts),
        0x042: _angle(watts),
        0x046: hertz,
        0x048: imported,
        0x04A: exported,
        0x050: total,
        0x052: total * 1000 / _NOMINAL_VOLTS,
        0x054: watts,
        0x058: max(watts, 0.0),
        0x05C: max(-watts, 0.0),
        0x064: volt_amps,
        0x156: total,
        0x180: total,
        0x184: imported,
        0x186: exported,
        0x500: max(watts, 0.0),
        0x502: max(-watts, 0.0),
    }


def _between_phases(phases: Sequence[_Phase]) -> dict[int, float]:
    """Return line-to-line voltages and the neutral's current, phases 120 degrees apart."""
    first, second, third = (phase.volts for phase in phases)
    lines = [_apart(*pair) for pair in ((first, second), (second, third), (third, first))]
    a, b, c = (math.copysign(phase.amps, phase.watts) for phase in phases)
    neutral = math.sqrt(max(0.0, a * a + b * b + c * c - a * b - b * c - c * a))
    values = {0xC8 + 2 * place: volts for place, volts in enumerate(lines)}
    return values | {0xCE: sum(lines) / 3, 0xE0: neutral, 0x68: neutral}


def _apart(one: float, other: float) -> float:
    return math.sqrt(one * one + other * other + one * other)


def _factor(watts: float) -> float:
    return -1.0 if watts < 0 else 1.0


def _angle(watts: float) -> float:
    return 180.0 if watts < 0 else 0.0
