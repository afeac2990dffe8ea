"""Carlo Gavazzi meters: what all share, and the single-phase EM111 and EM112.

Functions 3 and 4 give the same; function 6 writes one setting, function 8 sends its body back.
Values of two words have the low word first. The model code stands at 0x000B, in the middle of
another value: only a read of that one word gives it. An over-range value is 7FFFFFFF.

Source: Carlo Gavazzi EM100/ET100 series communication protocol; EM111 data sheet (50 words a read).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from hardware.mock.faults import Distortion
from hardware.mock.meters.seen_mains import see_one
from hardware.mock.meters.word_image import image, letters, part, whole
from hardware.mock.points import AcFeeder
from hardware.mock.wires.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)

EASY: Final = 0
"""Measurement A, "easy connection": direction is ignored, both ways are counted as import."""
BIDIRECTIONAL: Final = 1
"""Measurement B: import and export apart."""

_MODEL_AT = 0x000B
_OVER_RANGE = 0x7FFF_FFFF
_UWH_PER_STEP = 10**8
_OTHER_MODEL = 345
_DIAGNOSTICS = 8
_MEASUREMENT_AT, _ID_AT = 0x1103, 0x2000

Rows = dict[int, Sequence[int]]


class GavazziMeter(RefusingDevice, ABC):
    """What all these meters share: functions, the model code, settings, over-range."""

    def __init__(
        self,
        *,
        model: int,
        identity: Rows,
        settings: Mapping[int, tuple[int, Sequence[int]]],
        words_max: int,
        seed: int,
    ) -> None:
        super().__init__("not_available", "tenths", "turned")
        self._model = model
        self._identity = image(identity)
        self._allowed = {address: allowed for address, (_, allowed) in settings.items()}
        self._settings = {address: value for address, (value, _) in settings.items()}
        self._words_max = words_max
        self._distortion = Distortion(self.faults, seed)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return registers; both functions see the same."""
        if count > self._words_max:
            raise Refusal(ILLEGAL_VALUE)
        if (address, count) == (_MODEL_AT, 1):
            return [_OTHER_MODEL if "wrong_model" in self.faults else self._model]
        words = self._settings | self._identity | image(self._measured())
        return part(words, address, count)

    def write_word(self, address: int, word: int) -> None:
        """Take one setting."""
        if address not in self._allowed:
            raise Refusal(ILLEGAL_ADDRESS)
        if self._is_locked:
            raise Refusal(DEVICE_FAILURE)
        if word not in self._allowed[address]:
            raise Refusal(ILLEGAL_VALUE)
        self._settings[address] = word
        self._wrote(address, word)

    def vendor(self, function: int, body: bytes) -> bytes:
        """Answer the diagnostic function with what it was asked."""
        if function != _DIAGNOSTICS or body[:2] != b"\0\0":
            raise Refusal(ILLEGAL_FUNCTION)
        return body

    @property
    def _is_locked(self) -> bool:
        return False

    def _wrote(self, address: int, word: int) -> None:
        """Let a setting take effect."""

    @abstractmethod
    def _measured(self) -> Rows:
        """Return everything that is measured."""

    def _wide(self, value: int) -> Sequence[int]:
        code = _OVER_RANGE if "not_available" in self.faults else value
        return whole(code, 2, low_first=True)

    def _energy(self, uwh: int) -> Sequence[int]:
        """Return a counter; it begins anew below the code for over-range."""
        return self._wide(uwh // _UWH_PER_STEP % _OVER_RANGE)

    def _frequency(self, mhz: int) -> Sequence[int]:
        return whole(mhz // (10 if "tenths" in self.faults else 100))


class Em111(GavazziMeter):
    """One phase, up to 50 words in one read."""

    model_code = 103
    read_words_max = 50

    def __init__(
        self,
        feeder: AcFeeder,
        *,
        serial: str = "BN0450014001E",
        measurement: int = BIDIRECTIONAL,
        seed: int = 0,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number, at most 14 letters.
            measurement: `EASY` or `BIDIRECTIONAL`.
            seed: of the noise fault.
        """
        super().__init__(
            model=self.model_code,
            identity={0x0302: (1, 0), 0x5000: letters(serial, 7)},
            settings={
                _MEASUREMENT_AT: (measurement, (EASY, BIDIRECTIONAL)),
                _ID_AT: (1, range(1, 248)),
                0x2001: (1, range(1, 6)),
                0x2002: (1, (1, 2)),
                0x2003: (1, (1, 2)),
            },
            words_max=self.read_words_max,
            seed=seed,
        )
        self.feeder = feeder

    def _wrote(self, address: int, word: int) -> None:
        if address == _ID_AT:
            self.device_id = word

    def _measured(self) -> Rows:
        mains = see_one(self.feeder, self._distortion)
        (phase,) = mains.phases
        is_easy = self._settings[_MEASUREMENT_AT] == EASY
        power_mw = abs(phase.power_mw) if is_easy else phase.power_mw
        current_ma = -phase.current_ma if power_mw < 0 else phase.current_ma
        imported = mains.import_uwh + (mains.export_uwh if is_easy else 0)
        tenths = self._wide(power_mw // 100)
        return {
            **dict.fromkeys(range(0, 0x24, 2), self._wide(0)),
            0x00: self._wide(phase.voltage_mv // 100),
            0x02: self._wide(current_ma),
            0x04: tenths,
            0x06: self._wide(abs(power_mw) // 100),
            0x0A: tenths,
            0x0C: tenths,
            0x0E: whole(-1_000 if power_mw < 0 else 1_000),
            0x0F: self._frequency(mains.frequency_mhz),
            0x10: self._energy(imported),
            0x14: self._energy(imported),
            0x20: self._energy(0 if is_easy else mains.export_uwh),
            _ID_AT: whole(self.device_id),
        }


class Em112(Em111):
    """One phase with two modules of width, as many words as the protocol allows in one read."""

    model_code = 104
    read_words_max = 125
