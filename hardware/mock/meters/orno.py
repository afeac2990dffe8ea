"""Orno OR-WE-504 and OR-WE-514/515: the register images.

One phase, and nobody tells import from export: power, current and energy are positive whichever
way they flow. Function 3 reads, function 16 writes. The settings of a WE-504 can be written for
ten seconds after function 0x28 gave the right password.

Source: Orno register lists OR-WE-504 and OR-WE-514/OR-WE-515.
Known limits: what the WE-514 lists beside measurements (tariffs, clock, settings) reads as zero or
is refused; its factory line is 9600 baud 8E1, the register list of the WE-504 says 8N1.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from hardware.mock.faults import Distortion
from hardware.mock.meters.seen_mains import SeenPhase, see_phase
from hardware.mock.meters.word_image import image, part, whole
from hardware.mock.points import AcFeeder
from hardware.mock.wires.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)

_UNLOCK, _UNLOCK_HEAD, _UNLOCKED_S = 0x28, bytes.fromhex("FE01000204"), 10.0
_BAUD_AT, _ID_AT, _PASSWORD_AT = 0x0E, 0x0F, 0x10
_BAUD_CODES, _NODE_IDS = range(1, 5), range(1, 248)
_UWH_PER_WH = 10**6

Rows = dict[int, Sequence[int]]


class OrnoMeter(RefusingDevice, ABC):
    """What both share: one phase without direction."""

    def __init__(
        self,
        feeder: AcFeeder,
        *,
        serial: int = 0,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; both its counters together are what the meter counts.
            serial: nowhere to be read in these meters.
            seed: of the noise fault.
            clock_s: for what is open for some seconds only. [s]
        """
        super().__init__("turned")
        self.feeder = feeder
        self._distortion = Distortion(self.faults, seed)
        self._clock_s = clock_s

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding registers."""
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        rows = self._other if "wrong_model" in self.faults else self._measured
        return part(image(rows(see_phase(self.feeder, self._distortion))), address, count)

    @abstractmethod
    def _measured(self, phase: SeenPhase) -> Rows:
        """Return everything that can be read."""

    @abstractmethod
    def _other(self, phase: SeenPhase) -> Rows:
        """Return what the other kind of meter shows."""


class OrnoWe504(OrnoMeter):
    """The small meter: whole watts, tenths of volts and amperes."""

    def __init__(
        self,
        feeder: AcFeeder,
        *,
        serial: int = 0,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this feeder; see `OrnoMeter`."""
        super().__init__(feeder, serial=serial, seed=seed, clock_s=clock_s)
        self._baud_code = 4
        self._password = (0, 0)
        self._open_until_s = 0.0

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take one setting while it is unlocked."""
        if address not in (_BAUD_AT, _ID_AT, _PASSWORD_AT):
            raise Refusal(ILLEGAL_ADDRESS)
        if self._clock_s() >= self._open_until_s:
            raise Refusal(DEVICE_FAILURE)
        if address == _PASSWORD_AT and len(words) == 2:
            self._password = (words[0], words[1])
        elif address == _BAUD_AT and len(words) == 1 and words[0] in _BAUD_CODES:
            self._baud_code = words[0]
        elif address == _ID_AT and len(words) == 1 and words[0] in _NODE_IDS:
            self.device_id = words[0]
        else:
            raise Refusal(ILLEGAL_VALUE)

    def vendor(self, function: int, body: bytes) -> bytes:
        """Unlock the settings, if the password is right."""
        if function != _UNLOCK or not body.startswith(_UNLOCK_HEAD) or len(body) != 9:
            raise Refusal(ILLEGAL_FUNCTION)
        if body[5:] != b"".join(word.to_bytes(2, "big") for word in self._password):
            raise Refusal(ILLEGAL_VALUE)
        self._open_until_s = self._clock_s() + _UNLOCKED_S
        return b"\xfe\x01\x00\x01"

    def _measured(self, phase: SeenPhase) -> Rows:
        return {
            **_small(phase),
            0x0B: (0, 0, 0),
            _BAUD_AT: (self._baud_code,),
            _ID_AT: (self.device_id,),
            _PASSWORD_AT: self._password,
        }

    def _other(self, phase: SeenPhase) -> Rows:
        return _large(phase)


class OrnoWe514(OrnoMeter):
    """The meter with more digits: watts, hundredths of volts, thousandths of amperes."""

    def _measured(self, phase: SeenPhase) -> Rows:
        return _large(phase)

    def _other(self, phase: SeenPhase) -> Rows:
        return _small(phase)


def _small(phase: SeenPhase) -> Rows:
    """Return the measurements of a WE-504."""
    watts, watt_hours = _watts(phase), (phase.import_uwh + phase.export_uwh) // _UWH_PER_WH
    return {
        0x00: whole(phase.voltage_mv // 100),
        0x01: whole(phase.current_ma // 100),
        0x02: whole(phase.frequency_mhz // 100),
        0x03: whole(watts),
        0x04: whole(0),
        0x05: whole(watts),
        0x06: whole(1_000),
        0x07: whole(watt_hours, 2),
        0x09: whole(0, 2),
    }


def _large(phase: SeenPhase) -> Rows:
    """Return the measurements of a WE-514, and zeros for phases and tariffs that it lacks."""
    watts = whole(_watts(phase), 2)
    energy = whole((phase.import_uwh + phase.export_uwh) // (10 * _UWH_PER_WH), 2)
    return {
        0x0132: [0] * 0x27,
        0xA004: [0] * 0x24,
        0x0130: whole(phase.frequency_mhz // 10),
        0x0131: whole(phase.voltage_mv // 10),
        0x0139: whole(phase.current_ma, 2),
        0x0140: watts,
        0x0146: watts,
        0x0150: watts,
        0x0156: watts,
        0x0158: whole(1_000),
        0xA000: energy,
        0xA002: energy,
    }


def _watts(phase: SeenPhase) -> int:
    return abs(phase.power_mw) // 1_000
