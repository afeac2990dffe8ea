"""The Eastron SDM family's register images: SDM120, SDM230, SDM630, SDM72 and SDM72 V2.

Input registers are big-endian singles of two words. An odd start, an odd length, more than the
limit and what the model does not list are refused with exception 2; only the SDM630 answers a
single register, with a word that says its type. Settings are singles too, one a write; some wait
for the set-up mode, some for the password, and a new id is taken at the next restart.

Source: Eastron SDM120-Modbus protocol V2.4; SDM630-Modbus protocol V1.7; SDM72DM-V2
manual V1.1.
Known limits: the pulse outputs, and what they count, are settings without a pulse.
"""

from __future__ import annotations

import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from hardware.mock.faults import Distortion
from hardware.mock.meters.eastron_models import (
    LOCK,
    NODE_ID,
    PASSWORD,
    SDM72,
    SDM72_V2,
    SDM120,
    SDM230,
    SDM630,
    SYSTEM_TYPE,
    Guard,
    SdmModel,
)
from hardware.mock.meters.eastron_quantities import (
    PEAKS,
    THREE_PHASES_FOUR_WIRES,
    does_not_apply,
    measured,
)
from hardware.mock.meters.seen_mains import SeenMains, see_one, see_three
from hardware.mock.points import AcFeeder, ThreePhaseFeeder
from hardware.mock.wires.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
    Silence,
)

_FREQUENCY, _TOTAL, _RESETTABLE = 0x46, 0x156, (0x180, 0x184, 0x186)
_SERIAL, _CODE, _SOFTWARE, _MODE, _RESET = 0xFC00, 0xFC02, 0xFC03, 0xF920, 0xF010
_IDENTITY_FROM = _RESET
_UNLOCKED_S = 60.0

Feeder = TypeVar("Feeder")


class EastronMeter(RefusingDevice, Generic[Feeder], ABC):
    """One meter of the family; the classes below say which."""

    model: ClassVar[SdmModel]

    def __init__(
        self,
        feeder: Feeder,
        *,
        serial: int = 0,
        words_max: int = 0,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this feeder.

        Args:
            feeder: what it measures; positive power = import.
            serial: its serial number.
            words_max: the most registers it answers at once; 0: what its document says.
            seed: of the noise fault.
            clock_s: the clock of the password's minute. [s]
        """
        super().__init__("tenths", "turned")
        self.feeder = feeder
        self.is_in_setup = False
        self.has_total = True
        self.haste_s = self.model.haste_s
        self._serial = serial
        self._words_max = words_max or self.model.words_max
        self._distortion = Distortion(self.faults, seed)
        self._clock_s = clock_s
        self._unlocked_until_s = 0.0
        self._settings = {at: setting.factory for at, setting in self.model.settings.items()}
        del self._settings[NODE_ID]  # until somebody changes it, it is the id on the line
        self._mode = 2
        self._peaks: dict[int, float] = {}
        self._reset_at: dict[int, float] = {}

    def restart(self) -> None:
        """Leave the set-up mode, lock up, and take a new id, as at power-on."""
        self.is_in_setup = False
        self._unlocked_until_s = self._clock_s()
        self.device_id = int(self._settings.get(NODE_ID, self.device_id))

    def reset_energy(self) -> None:
        """Set the resettable counters to zero, as a person at the meter does."""
        values = measured(self._mains())
        self._reset_at = {place: values[place] for place in _RESETTABLE}

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding or input registers."""
        if count > self._words_max:
            if self.model.is_mute_above:
                raise Silence
            raise Refusal(ILLEGAL_ADDRESS)
        if function == 3 and address >= _IDENTITY_FROM:
            return self._identity(address, count)
        if count == 1 and self.model.has_type_word:
            return [self._meter_code]
        if address % 2 or count % 2:
            raise Refusal(ILLEGAL_ADDRESS)
        if function == 3:
            return self._read_settings(address, count)
        if not any(low <= address and address + count <= high for low, high in self.model.ranges):
            raise Refusal(ILLEGAL_ADDRESS)
        return _pack(self._measured(), address, count)

    def write_word(self, address: int, word: int) -> None:
        """Take one word, as function 16 does."""
        self.write_words(address, [word])

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take one setting."""
        if address == _RESET and list(words) == [0]:
            self._peaks.clear()
        elif address == _MODE and self.model.has_mode and len(words) == 1 and words[0] in (1, 2, 3):
            self._mode = words[0]
        elif address in self.model.settings and len(words) == 2:
            (value,) = struct.unpack(">f", struct.pack(">HH", *words))
            self._set(address, value)
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    @abstractmethod
    def _mains(self) -> SeenMains:
        """Return what its sensors see."""

    @property
    def _is_unlocked(self) -> bool:
        return self._clock_s() < self._unlocked_until_s

    @property
    def _meter_code(self) -> int:
        if "wrong_model" in self.faults:
            return (SDM120 if self.model is SDM630 else SDM630).meter_code or 0
        return self.model.meter_code or 0

    def _set(self, address: int, value: float) -> None:
        setting = self.model.settings[address]
        if address in (LOCK, PASSWORD):
            self._give_password(address, value)
            return
        if setting.guard is Guard.SETUP and not self.is_in_setup:
            raise Refusal(DEVICE_FAILURE)
        if setting.guard is Guard.PASSWORD and not self._is_unlocked:
            raise Refusal(DEVICE_FAILURE)
        if value not in setting.allowed:
            raise Refusal(ILLEGAL_VALUE)
        self._settings[address] = value

    def _give_password(self, address: int, value: float) -> None:
        """Unlock the guarded settings for a minute, or take a new password while unlocked."""
        if address == PASSWORD and self._is_unlocked and 0 <= value <= 9999:
            self._settings[PASSWORD] = value
        elif value != self._settings[PASSWORD]:
            raise Refusal(ILLEGAL_VALUE)
        self._unlocked_until_s = self._clock_s() + _UNLOCKED_S

    def _read_settings(self, address: int, count: int) -> Sequence[int]:
        wanted = range(address, address + count, 2)
        if any(place not in self.model.settings for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        values = {NODE_ID: float(self.device_id), **self._settings, PASSWORD: 0.0}
        if LOCK in wanted:
            values[LOCK] = float(self._is_unlocked)
            if self._is_unlocked:
                self._unlocked_until_s = self._clock_s() + _UNLOCKED_S
        return _pack(values, address, count)

    def _identity(self, address: int, count: int) -> Sequence[int]:
        words = {_SERIAL: self._serial >> 16 & 0xFFFF, _SERIAL + 1: self._serial & 0xFFFF}
        if self.model.meter_code is not None:
            words |= {_CODE: self._meter_code, _SOFTWARE: self.model.software}
        if self.model.has_mode:
            words[_MODE] = self._mode
        wanted = range(address, address + count)
        if any(place not in words for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        return [words[place] for place in wanted]

    def _measured(self) -> dict[int, float]:
        """Return every quantity of this model by its address, in the meter's units."""
        values = measured(self._mains())
        if "tenths" in self.faults:
            values[_FREQUENCY] *= 10
        for demand, peak in PEAKS.items():
            now = values.get(demand, 0.0)
            values[peak] = self._peaks[peak] = max(self._peaks.get(peak, 0.0), now)
        for place in _RESETTABLE:
            values[place] -= self._reset_at.get(place, 0.0)
        values[_TOTAL] = self._total(values[0x48], values[0x4A])
        absent = does_not_apply(self._settings.get(SYSTEM_TYPE, THREE_PHASES_FOUR_WIRES))
        return {at: values.get(at, 0.0) for at in self.model.quantities - absent}

    def _total(self, imported: float, exported: float) -> float:
        if not self.has_total:
            return 0.0
        return imported + {1: 0.0, 2: exported, 3: -exported}[self._mode]


class _OnePhaseMeter(EastronMeter[AcFeeder]):
    def _mains(self) -> SeenMains:
        return see_one(self.feeder, self._distortion)


class _ThreePhaseMeter(EastronMeter[ThreePhaseFeeder]):
    def _mains(self) -> SeenMains:
        return see_three(self.feeder, self._distortion)


class Sdm120Meter(_OnePhaseMeter):
    """An SDM120: the meaning of its total is programmable."""

    model = SDM120


class Sdm230Meter(_OnePhaseMeter):
    """An SDM220 or SDM230: an SDM120 with a phase angle, and without a meter code."""

    model = SDM230


class Sdm630Meter(_ThreePhaseMeter):
    """An SDM630, with three phases of everything; some have no total (`has_total`)."""

    model = SDM630


class Sdm72Meter(_ThreePhaseMeter):
    """An SDM72D-M of the first edition: powers and energies, and silence to long requests."""

    model = SDM72


class Sdm72V2Meter(_ThreePhaseMeter):
    """An SDM72D-M of the second edition, with voltages and currents."""

    model = SDM72_V2


def _pack(values: Mapping[int, float], address: int, count: int) -> Sequence[int]:
    """Return singles as words, high word first; an address without a value reads zero."""
    floats = [values.get(place, 0.0) for place in range(address, address + count, 2)]
    return struct.unpack(f">{count}H", struct.pack(f">{count // 2}f", *floats))
