"""ABB B21 and B23: the register image, as the vendor's manuals list it.

Function 3 reads; functions 6 and 16 are known, but nothing here may be written. Values are whole
numbers, high word first. What a meter cannot measure, and every unused address inside an area,
reads as "not available": all ones, or 7FFF... where a signed value stands. Outside the areas the
answer is exception 2.

Source: ABB B23/B24 user manual 2CMC485003M0201; A43/A44 user manual 2CMC480001M0201, 9.4 and 9.11.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from hardware.mock.faults import Distortion
from hardware.mock.meters.seen_mains import SeenMains, SeenPhase, see_one, see_three
from hardware.mock.meters.word_image import image, letters, part, whole
from hardware.mock.points import AcFeeder, ThreePhaseFeeder
from hardware.mock.wires.modbus_pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    Refusal,
    RefusingDevice,
)

_AREAS = ((0x5000, 0x5024), (0x5460, 0x54CC), (0x5B00, 0x5B42), (0x8900, 0x8911), (0x8960, 0x8966))
_UNUSED = 0xFFFF

_TOTALS = (
    (0x5000, "u64", "import"),
    (0x5004, "u64", "export"),
    (0x5008, "s64", "net"),
    (0x500C, "u64", "reactive"),
    (0x5010, "u64", "reactive"),
    (0x5014, "s64", "reactive"),
    (0x5018, "u64", "import"),  # apparent energy, as active energy without reactive power
    (0x501C, "u64", "export"),
    (0x5020, "s64", "net"),
    (0x5B14, "s32", "power"),
    (0x5B1C, "s32", "reactive"),
    (0x5B24, "s32", "apparent"),
    (0x5B2D, "s16", "angle"),
    (0x5B3A, "s16", "power_factor"),
    (0x5B3E, "u16", "quadrant"),
)
"""Address, type and quantity of what the phases sum up to."""

_PHASES = (
    (0x5460, "u64", "import"),
    (0x546C, "u64", "export"),
    (0x5478, "s64", "net"),
    (0x5484, "u64", "reactive"),
    (0x5490, "u64", "reactive"),
    (0x549C, "s64", "reactive"),
    (0x54A8, "u64", "import"),
    (0x54B4, "u64", "export"),
    (0x54C0, "s64", "net"),
    (0x5B16, "s32", "power"),
    (0x5B1E, "s32", "reactive"),
    (0x5B26, "s32", "apparent"),
    (0x5B2E, "s16", "angle"),
    (0x5B3B, "s16", "power_factor"),
    (0x5B3F, "u16", "quadrant"),
)
"""Address, type and quantity of phase 1; phases 2 and 3 follow at once."""

_WIRES = (
    (0x5B00, "u32", "voltage"),
    (0x5B06, "u32", "line_voltage"),
    (0x5B0C, "u32", "current"),
    (0x5B31, "s16", "voltage_angle"),
    (0x5B37, "s16", "current_angle"),
)
"""The same, for what a single-phase meter has of its one phase, too."""

_VOLTAGE_ANGLES = (0, 1_200, -1_200)
_SQRT3_MILLI = 1_732
_UWH_PER_STEP = 10**7


class AbbMeter(RefusingDevice, ABC):
    """What both models share: identification, and how a quantity becomes words."""

    def __init__(self, type_code: str, *, serial: int, is_bidirectional: bool, seed: int) -> None:
        super().__init__("not_available", "turned")
        self._type_code = type_code
        self._serial = serial
        self._is_bidirectional = is_bidirectional
        self._distortion = Distortion(self.faults, seed)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding registers."""
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        unused = {place: _UNUSED for low, high in _AREAS for place in range(low, high)}
        words = unused | self._measured() | image(self._identity())
        return part(words, address, count)

    def write_word(self, address: int, word: int) -> None:
        """Refuse the address: these registers are read only."""
        raise Refusal(ILLEGAL_ADDRESS)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Refuse the address: these registers are read only."""
        raise Refusal(ILLEGAL_ADDRESS)

    def _identity(self) -> dict[int, Sequence[int]]:
        type_code = "B24 113-100" if "wrong_model" in self.faults else self._type_code
        return {
            0x8900: whole(self._serial, 2),
            0x8908: letters("1.2.0", 8),
            0x8910: (0x0100,),
            0x8960: letters(type_code, 6),
        }

    @abstractmethod
    def _measured(self) -> dict[int, int]:
        """Return everything that is measured, by address."""

    def _row(self, address: int, kind: str, value: int | None) -> dict[int, int]:
        missing = value is None or "not_available" in self.faults
        return image({address: _words(kind, None if missing else value)})

    def _rows_of_total(self, mains: SeenMains) -> dict[int, int]:
        values = self._values(
            mains.power_mw, mains.import_uwh, mains.export_uwh, mains.power_factor_milli
        )
        words = self._row(0x5B2C, "u16", mains.frequency_mhz // 10)
        for address, kind, name in _TOTALS:
            words |= self._row(address, kind, values[name])
        return words

    def _rows_of_phases(
        self, table: Iterable[tuple[int, str, str]], phases: Sequence[Mapping[str, int | None]]
    ) -> dict[int, int]:
        """Return the rows of three phases; what a phase lacks is not available."""
        words: dict[int, int] = {}
        for address, kind, name in table:
            for place in range(3):
                value = phases[place].get(name) if place < len(phases) else None
                words |= self._row(address + place * _size(kind), kind, value)
        return words

    def _values(
        self, power_mw: int, import_uwh: int, export_uwh: int, power_factor: int
    ) -> dict[str, int | None]:
        imported, exported = import_uwh // _UWH_PER_STEP, export_uwh // _UWH_PER_STEP
        both_ways = self._is_bidirectional
        return {
            "import": imported,
            "export": exported if both_ways else None,
            "net": imported - exported if both_ways else None,
            "reactive": 0,
            "power": power_mw // 10,
            "apparent": abs(power_mw) // 10,
            "angle": 1_800 if power_mw < 0 else 0,
            "power_factor": power_factor if both_ways else None,
            "quadrant": 2 if power_mw < 0 else 1,
        }


class AbbB21(AbbMeter):
    """One phase: its power and energy stand under the totals, phases 2 and 3 are missing."""

    def __init__(
        self,
        feeder: AcFeeder,
        *,
        serial: int = 12_345_678,
        is_bidirectional: bool = True,
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number.
            is_bidirectional: the small models count no export and know no power factor.
            seed: of the noise fault.
        """
        super().__init__("B21 112-100", serial=serial, is_bidirectional=is_bidirectional, seed=seed)
        self.feeder = feeder

    def _measured(self) -> dict[int, int]:
        mains = see_one(self.feeder, self._distortion)
        wires = {"voltage": mains.phases[0].voltage_mv // 100, "current": _centi_amps(mains, 0)}
        return (
            self._rows_of_total(mains)
            | self._rows_of_phases(_PHASES, ())
            | self._rows_of_phases(_WIRES, (wires,))
        )


class AbbB23(AbbMeter):
    """Three phases, four wires."""

    def __init__(
        self,
        feeder: ThreePhaseFeeder,
        *,
        serial: int = 23_456_789,
        is_bidirectional: bool = True,
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number.
            is_bidirectional: the small models count no export and know no power factor.
            seed: of the noise fault.
        """
        super().__init__("B23 112-100", serial=serial, is_bidirectional=is_bidirectional, seed=seed)
        self.feeder = feeder

    def _measured(self) -> dict[int, int]:
        mains = see_three(self.feeder, self._distortion)
        each = [
            self._values(
                phase.power_mw, phase.import_uwh, phase.export_uwh, phase.power_factor_milli
            )
            for phase in mains.phases
        ]
        wires = [self._wires(mains, place) for place in range(3)]
        neutral = self._row(0x5B12, "u32", 0)
        return (
            self._rows_of_total(mains)
            | self._rows_of_phases(_PHASES, each)
            | self._rows_of_phases(_WIRES, wires)
            | neutral
        )

    def _wires(self, mains: SeenMains, place: int) -> dict[str, int | None]:
        phase: SeenPhase = mains.phases[place]
        angle = _VOLTAGE_ANGLES[place]
        turned = (angle + 3_600) % 3_600 - 1_800 if phase.power_mw < 0 else angle
        return {
            "voltage": phase.voltage_mv // 100,
            "line_voltage": phase.voltage_mv * _SQRT3_MILLI // 100_000,
            "current": _centi_amps(mains, place),
            "voltage_angle": angle,
            "current_angle": turned,
        }


def _centi_amps(mains: SeenMains, place: int) -> int:
    return mains.phases[place].current_ma // 10


def _size(kind: str) -> int:
    return int(kind[1:]) // 16


def _words(kind: str, value: int | None) -> Sequence[int]:
    """Return a value as words; None is "not available" of its type."""
    if value is None:
        value = (1 << int(kind[1:])) - 1 if kind[0] == "u" else (1 << int(kind[1:]) - 1) - 1
    return whole(value, _size(kind))
