"""What the Eastron SDM meters measure, by the address of each input register.

Every model takes its values from one list; which of them it has is the model's business. Demands
follow the momentary value, as with a demand period of 0. Currents and powers have no reactive
part and no harmonics, since the points have none.

Source: Eastron SDM120-Modbus protocol V2.4; SDM630-Modbus protocol V1.7;
SDM72DM-V2 manual V1.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hardware.mock.meters.seen_mains import SeenMains, SeenPhase

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


def does_not_apply(wiring: float) -> frozenset[int]:
    """Return the registers that read zero in this wiring mode."""
    if wiring == ONE_PHASE_TWO_WIRES:
        rows = (*_PHASE_ROWS, *_PHASE_COUNTERS)
        others = (first + 2 * phase for first in rows for phase in (1, 2))
        return frozenset((*others, *_NEUTRAL, *_LINE_TO_LINE))
    if wiring == THREE_PHASES_THREE_WIRES:
        return frozenset((*_WITHOUT_NEUTRAL, *_NEUTRAL))
    return frozenset()


def measured(mains: SeenMains) -> dict[int, float]:
    """Return every quantity by its address, in the meters' units."""
    values = _of_system(mains)
    for place, phase in enumerate(mains.phases):
        values |= {first + 2 * place: value for first, value in _of_phase(phase)}
    return values | _between(mains.phases) if len(mains.phases) == 3 else values


def _of_phase(phase: SeenPhase) -> Sequence[tuple[int, float]]:
    """Return what a phase has of its own, by the first phase's addresses."""
    watts, amps = phase.power_mw / 1000, phase.current_ma / 1000
    imported, exported = phase.import_uwh / _UWH_PER_KWH, phase.export_uwh / _UWH_PER_KWH
    return (
        (0x000, phase.voltage_mv / 1000),
        (0x006, amps),
        (0x00C, watts),
        (0x012, abs(watts)),
        (0x01E, phase.power_factor_milli / 1000),
        (0x024, _angle(watts)),
        (0x102, amps),
        (0x15A, imported),
        (0x160, exported),
        (0x166, imported + exported),
    )


def _of_system(mains: SeenMains) -> dict[int, float]:
    """Return sums and averages, frequency, counters and demands."""
    phases = mains.phases
    watts = mains.power_mw / 1000
    volt_amps = sum(abs(phase.power_mw) for phase in phases) / 1000
    amps = sum(phase.current_ma for phase in phases) / 1000
    imported, exported = mains.import_uwh / _UWH_PER_KWH, mains.export_uwh / _UWH_PER_KWH
    total = imported + exported
    return {
        0x02A: sum(phase.voltage_mv for phase in phases) / len(phases) / 1000,
        0x02E: amps / len(phases),
        0x030: amps,
        0x034: watts,
        0x038: volt_amps,
        0x03E: mains.power_factor_milli / 1000,
        0x042: _angle(watts),
        0x046: mains.frequency_mhz / 1000,
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
        0x18C: imported - exported,
        0x500: max(watts, 0.0),
        0x502: max(-watts, 0.0),
    }


def _between(phases: Sequence[SeenPhase]) -> dict[int, float]:
    """Return line-to-line voltages and the neutral's current, phases 120 degrees apart."""
    first, second, third = (phase.voltage_mv / 1000 for phase in phases)
    lines = [_apart(*pair) for pair in ((first, second), (second, third), (third, first))]
    a, b, c = (math.copysign(phase.current_ma / 1000, phase.power_mw) for phase in phases)
    neutral = math.sqrt(max(0.0, a * a + b * b + c * c - a * b - b * c - c * a))
    values = {0xC8 + 2 * place: volts for place, volts in enumerate(lines)}
    return values | {0xCE: sum(lines) / 3, 0xE0: neutral, 0x68: neutral}


def _apart(one: float, other: float) -> float:
    return math.sqrt(one * one + other * other + one * other)


def _angle(watts: float) -> float:
    return 180.0 if watts < 0 else 0.0
