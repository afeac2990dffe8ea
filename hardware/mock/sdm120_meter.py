"""The Eastron SDM120's register image, as its protocol document lists it.

Input registers are big-endian singles, two words each; the document's gaps inside a listed range
read as zero, anything outside is refused with exception 2, as is an odd start, an odd length and
more than the limit. Communication settings are taken in set-up mode only.

Source: Eastron SDM120-Modbus protocol V2.4.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from hardware.mock.faults import Distortion
from hardware.mock.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)
from hardware.mock.points import AcFeeder

_INPUT_RANGES = ((0x0000, 0x0060), (0x0102, 0x010A), (0x0156, 0x015A))
_SETTINGS = {0x0000: 1.0, 0x000C: 100.0, 0x0012: 0.0, 0x0014: 1.0, 0x001C: 0.0, 0x0056: 4.0}
_ALLOWED: Mapping[int, tuple[float, ...]] = {
    0x000C: (60.0, 100.0, 200.0),
    0x0012: (0.0, 1.0, 2.0, 3.0),
    0x001C: (0.0, 1.0, 2.0, 3.0, 5.0),
    0x0056: (1.0, 2.0, 4.0, 5.0, 6.0, 8.0),
}
_NEEDS_SETUP = (0x0012, 0x0014, 0x001C)
_MODE, _CLEAR_DEMAND = 0xF920, 0xF010
_SERIAL, _CODE, _SOFTWARE = 0xFC00, 0xFC02, 0xFC03
_METER_CODE, _OTHER_METER_CODE = 0x0020, 0x0070
_UWH_PER_KWH = 10**9


class Sdm120Meter(RefusingDevice):
    """One meter on one feeder."""

    def __init__(
        self, feeder: AcFeeder, *, serial: int = 0, words_max: int = 80, seed: int = 0
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number.
            words_max: the most registers it answers at once.
            seed: of the noise fault.
        """
        super().__init__()
        self.feeder = feeder
        self.is_in_setup = False
        self._distortion = Distortion(self.faults, seed)
        self._words_max = words_max
        self._serial = serial
        self._settings = dict(_SETTINGS)
        self._mode = 2
        self._peaks: dict[int, float] = {}

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding or input registers."""
        if count > self._words_max:
            raise Refusal(ILLEGAL_ADDRESS)
        if function == 3 and address >= _MODE:
            return self._identity(address, count)
        if address % 2 or count % 2:
            raise Refusal(ILLEGAL_ADDRESS)
        if function == 3:
            return self._floats(self._settings, address, count)
        if not any(low <= address and address + count <= high for low, high in _INPUT_RANGES):
            raise Refusal(ILLEGAL_ADDRESS)
        return _pack(self._measured(), address, count)

    def write_word(self, address: int, word: int) -> None:
        """Take one word, as function 16 does."""
        self.write_words(address, [word])

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take one setting."""
        if address == _CLEAR_DEMAND and list(words) == [0]:
            self._peaks.clear()
        elif address == _MODE and len(words) == 1 and words[0] in (1, 2, 3):
            self._mode = words[0]
        elif address in self._settings and len(words) == 2:
            self._set(address, words)
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def _set(self, address: int, words: Sequence[int]) -> None:
        (value,) = struct.unpack(">f", struct.pack(">HH", *words))
        if address in _NEEDS_SETUP and not self.is_in_setup:
            raise Refusal(DEVICE_FAILURE)
        is_id = address == 0x0014 and 1 <= value <= 247 and value == int(value)
        if not is_id and value not in _ALLOWED.get(address, ()):
            raise Refusal(ILLEGAL_VALUE)
        self._settings[address] = value

    def _identity(self, address: int, count: int) -> Sequence[int]:
        code = _OTHER_METER_CODE if "wrong_model" in self.faults else _METER_CODE
        words = {
            _MODE: self._mode,
            _SERIAL: self._serial >> 16 & 0xFFFF,
            _SERIAL + 1: self._serial & 0xFFFF,
            _CODE: code,
            _SOFTWARE: 0x0204,
        }
        wanted = range(address, address + count)
        if any(place not in words for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        return [words[place] for place in wanted]

    def _floats(self, values: Mapping[int, float], address: int, count: int) -> Sequence[int]:
        if any(place not in values for place in range(address, address + count, 2)):
            raise Refusal(ILLEGAL_ADDRESS)
        return _pack(values, address, count)

    def _measured(self) -> dict[int, float]:
        """Return every quantity by its address, in the meter's units."""
        seen, feeder = self._distortion.seen, self.feeder
        volts = seen("voltage_mv", feeder.voltage_mv) / 1000
        watts = seen("power_mw", feeder.power_mw) / 1000
        amps = abs(watts) / volts if volts else 0.0
        imported = seen("energy_import_uwh", feeder.energy_import_uwh) / _UWH_PER_KWH
        exported = seen("energy_export_uwh", feeder.energy_export_uwh) / _UWH_PER_KWH
        values = {
            0x0000: volts,
            0x0006: amps,
            0x000C: watts,
            0x0012: abs(watts),
            0x001E: -1.0 if watts < 0 else 1.0,
            0x0046: seen("frequency_mhz", feeder.frequency_mhz) / 1000,
            0x0048: imported,
            0x004A: exported,
            0x0054: watts,
            0x0058: max(watts, 0.0),
            0x005C: max(-watts, 0.0),
            0x0102: amps,
            0x0156: imported + {1: 0.0, 2: exported, 3: -exported}[self._mode],
        }
        for demand, peak in ((0x54, 0x56), (0x58, 0x5A), (0x5C, 0x5E), (0x102, 0x108)):
            self._peaks[peak] = max(self._peaks.get(peak, 0.0), values[demand])
        return values | self._peaks


def _pack(values: Mapping[int, float], address: int, count: int) -> Sequence[int]:
    """Return singles as words, high word first; an address without a value reads zero."""
    floats = [values.get(place, 0.0) for place in range(address, address + count, 2)]
    return struct.unpack(f">{count}H", struct.pack(f">{count // 2}f", *floats))
