"""Chint DTSU666 and DDSU666, and Huawei's DTSU666-H with a map of its own: the register images.

Functions 3 and 4 give the same, function 16 writes settings. Values are singles, high word first.
A DTSU666 behind transformers measures their secondary side: what it shows is to be multiplied by
its ratios, but for the energies at 0x1000, which are multiplied already. Gaps inside an area read
zero, anything outside is refused with exception 2.

Source: Chint DTSU666/DSSU666 user manual, table 11; public lists of the registers it leaves out;
for the -H what drivers and emulators beside Huawei inverters agree on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from hardware.mock.faults import Distortion
from hardware.mock.meters.seen_mains import SeenMains, see_one, see_three
from hardware.mock.meters.word_image import image, part, single
from hardware.mock.points import AcFeeder, ThreePhaseFeeder
from hardware.mock.wires.modbus_pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)

_UWH_PER_KWH = 10**9
_SQRT3 = 3**0.5
_NOT_A_NUMBER = float("nan")
_CLEAR_AT = 0x0002
_CURRENT_RATIO_AT, _VOLTAGE_RATIO_AT = 0x0006, 0x0007
_H_PROBE_AT, _H_PROBE, _H_AREA = 0x07D1, 0x3F80, (0x0836, 0x0886)

Floats = dict[int, float]


class ChintMeter(RefusingDevice, ABC):
    """What these meters share: singles in areas, settings below them, a command that clears."""

    areas: tuple[tuple[int, int], ...] = ()
    id_at: int

    def __init__(self, settings: Mapping[int, tuple[int, range]], *, words: int, seed: int) -> None:
        super().__init__("not_available", "turned")
        self._allowed = {address: allowed for address, (_, allowed) in settings.items()}
        self._settings = dict.fromkeys(range(words), 0)
        self._settings |= {address: value for address, (value, _) in settings.items()}
        self._distortion = Distortion(self.faults, seed)
        self._cleared_at = (0, 0)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return registers; both functions see the same."""
        if "wrong_model" in self.faults:
            return part(_words_of_h(self._seen()), address, count)
        zeros = {place: 0 for low, high in self.areas for place in range(low, high)}
        settings = self._settings | {self.id_at: self.device_id}
        return part(zeros | settings | self._singles(self._measured()), address, count)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take settings, all or none."""
        wanted = dict(enumerate(words, address))
        if any(place not in self._allowed for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        if any(word not in self._allowed[place] for place, word in wanted.items()):
            raise Refusal(ILLEGAL_VALUE)
        if wanted.pop(_CLEAR_AT, 0):
            mains = self._seen()
            self._cleared_at = (mains.import_uwh, mains.export_uwh)
        self.device_id = wanted.pop(self.id_at, self.device_id)
        self._settings |= wanted

    def _singles(self, values: Floats) -> dict[int, int]:
        if "not_available" in self.faults:
            values = dict.fromkeys(values, _NOT_A_NUMBER)
        return image({address: single(value) for address, value in values.items()})

    def _counted(self, mains: SeenMains) -> tuple[float, float]:
        """Return import and export since they were cleared. [kWh]"""
        imported, exported = self._cleared_at
        return (
            (mains.import_uwh - imported) / _UWH_PER_KWH,
            (mains.export_uwh - exported) / _UWH_PER_KWH,
        )

    @abstractmethod
    def _seen(self) -> SeenMains:
        """Return what there is to measure."""

    @abstractmethod
    def _measured(self) -> Floats:
        """Return every quantity by its address, in the meter's units."""


class Dtsu666(ChintMeter):
    """Three phases, direct or behind transformers."""

    areas = ((0x101E, 0x1032), (0x2000, 0x2046), (0x401E, 0x4032))
    id_at = 0x002E

    def __init__(
        self,
        feeder: ThreePhaseFeeder,
        *,
        current_ratio: int = 1,
        voltage_ratio_tenths: int = 10,
        energy_sets: tuple[str, ...] = ("primary", "secondary"),
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures on the primary side; positive power = import.
            current_ratio: of the current transformers; 40 for 200 A to 5 A.
            voltage_ratio_tenths: of the voltage transformers, 10 for none.
            energy_sets: which energies move: "primary" at 0x1000, "secondary" at 0x4000.
            seed: of the noise fault.
        """
        super().__init__(
            {
                _CLEAR_AT: (0, range(2)),
                0x0003: (0, range(2)),
                _CURRENT_RATIO_AT: (current_ratio, range(1, 10_000)),
                _VOLTAGE_RATIO_AT: (voltage_ratio_tenths, range(1, 10_000)),
                0x002C: (3, range(1, 6)),
                0x002D: (3, range(5)),
                self.id_at: (1, range(1, 248)),
            },
            words=0x2F,
            seed=seed,
        )
        self._settings |= {0x0000: 204, 0x0001: 701}
        self.feeder = feeder
        self._energy_sets = energy_sets

    def _seen(self) -> SeenMains:
        return see_three(self.feeder, self._distortion)

    def _measured(self) -> Floats:
        mains = self._seen()
        by_voltage = self._settings[_VOLTAGE_RATIO_AT] / 10
        by_both = by_voltage * self._settings[_CURRENT_RATIO_AT]
        values: Floats = {
            0x2012: mains.power_mw / 100 / by_both,
            0x202A: float(mains.power_factor_milli),
            0x2044: mains.frequency_mhz / 10,
        }
        for place, phase in enumerate(mains.phases):
            at = 2 * place
            values[0x2000 + at] = phase.voltage_mv * _SQRT3 / 100 / by_voltage
            values[0x2006 + at] = phase.voltage_mv / 100 / by_voltage
            values[0x200C + at] = phase.current_ma / self._settings[_CURRENT_RATIO_AT]
            values[0x2014 + at] = phase.power_mw / 100 / by_both
            values[0x202C + at] = float(phase.power_factor_milli)
        for name, first, ratio in (("primary", 0x1000, 1.0), ("secondary", 0x4000, by_both)):
            if name in self._energy_sets:
                values |= self._energy(mains, first, ratio)
        return values

    def _energy(self, mains: SeenMains, first: int, ratio: float) -> Floats:
        imported, exported = self._counted(mains)
        values = {first + 0x1E: imported / ratio, first + 0x28: exported / ratio}
        for place, phase in enumerate(mains.phases):
            values[first + 0x20 + 2 * place] = phase.import_uwh / _UWH_PER_KWH / ratio
            values[first + 0x2A + 2 * place] = phase.export_uwh / _UWH_PER_KWH / ratio
        return values


class Ddsu666(ChintMeter):
    """One phase, in volts, amperes and kilowatts without a scale."""

    areas = ((0x2000, 0x2010), (0x4000, 0x400C))
    id_at = 0x0006

    def __init__(self, feeder: AcFeeder, *, seed: int = 0) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            seed: of the noise fault.
        """
        super().__init__(
            {
                _CLEAR_AT: (0, range(2)),
                self.id_at: (1, range(1, 248)),
                0x000C: (3, range(5)),
            },
            words=0x0D,
            seed=seed,
        )
        self._settings |= {0x0000: 102, 0x0001: 701}
        self.feeder = feeder

    def _seen(self) -> SeenMains:
        return see_one(self.feeder, self._distortion)

    def _measured(self) -> Floats:
        mains = self._seen()
        (phase,) = mains.phases
        imported, exported = self._counted(mains)
        return {
            0x2000: phase.voltage_mv / 1_000,
            0x2002: phase.current_ma / 1_000,
            0x2004: phase.power_mw / 10**6,
            0x2006: 0.0,
            0x200A: phase.power_factor_milli / 1_000,
            0x200E: phase.frequency_mhz / 1_000,
            0x4000: imported,
            0x400A: exported,
        }


class Dtsu666H(RefusingDevice):
    """The meter beside a Huawei inverter: known by one word, measured in one block of singles."""

    def __init__(self, feeder: ThreePhaseFeeder, *, seed: int = 0) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            seed: of the noise fault.
        """
        super().__init__("turned")
        self.feeder = feeder
        self._distortion = Distortion(self.faults, seed)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding registers."""
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        words = _words_of_h(see_three(self.feeder, self._distortion))
        if "wrong_model" in self.faults:
            words[_H_PROBE_AT] = 0
        return part(words, address, count)


def _words_of_h(mains: SeenMains) -> dict[int, int]:
    """Return the image of a DTSU666-H, in volts, amperes, watts and kilowatt-hours."""
    zeros = dict.fromkeys((*range(*_H_AREA), *range(0x08A6, 0x08B0)), 0)
    values: Floats = {
        0x084C: mains.frequency_mhz / 1_000,
        0x084E: mains.power_mw / 1_000,
        0x085E: abs(mains.power_mw) / 1_000,
        0x0866: mains.power_factor_milli / 1_000,
        0x0876: mains.import_uwh / _UWH_PER_KWH,
        0x087E: mains.export_uwh / _UWH_PER_KWH,
    }
    for place, phase in enumerate(mains.phases):
        at = 2 * place
        values[0x0836 + at] = phase.current_ma / 1_000
        values[0x083E + at] = phase.voltage_mv / 1_000
        values[0x0846 + at] = phase.voltage_mv * _SQRT3 / 1_000
        values[0x0850 + at] = phase.power_mw / 1_000
        values[0x0860 + at] = abs(phase.power_mw) / 1_000
        values[0x0868 + at] = phase.power_factor_milli / 1_000
    singles = image({address: single(value) for address, value in values.items()})
    return zeros | singles | {_H_PROBE_AT: _H_PROBE}
