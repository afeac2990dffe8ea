"""The Peacefair PZEM meters' register images: PZEM-016 on mains, PZEM-017 on direct current.

Neither knows a direction: power, current and energy are positive whichever way they flow. The
first is powered by the mains it measures, the second by its 5 V input or by more than 7 V at its
terminals; without that they say nothing. Both answer their own id and 0xF8, and obey id 0.

Source: Peacefair data sheets PZEM-014/016 and PZEM-003/017.
Known limits: the calibration (function 0x41) is counted and changes nothing.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hardware.mock.faults import Distortion
from hardware.mock.points import AcFeeder
from hardware.mock.wires.modbus_pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)

_BROADCAST, _ANY_ID = 0x00, 0xF8
_CALIBRATE, _RESET_ENERGY = 0x41, 0x42
_CALIBRATION_PASSWORD = b"\x37\x21"
_NODE_IDS = range(0x01, 0xF8)
_UWH_PER_WH, _COUNTER_WH = 10**6, 10_000_000
_ALARM = 0xFFFF
_SHUNTS: Mapping[int, int] = MappingProxyType({0: 100, 1: 50, 2: 200, 3: 300})


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the sensors say, without direction."""

    voltage_mv: int
    power_mw: int
    frequency_mhz: int
    energy_wh: int

    @property
    def current_ma(self) -> int:
        return self.power_mw * 1_000 // self.voltage_mv if self.voltage_mv else 0


class _PzemMeter(RefusingDevice, ABC):
    """What both kinds have in common."""

    id_address: int
    factory_settings: Mapping[int, int]

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
            feeder: what it measures; the sum of both its counters is what the meter counts.
            serial: nowhere to be read in these meters.
            seed: of the noise fault.
            clock_s: not needed; it has no timers.
        """
        super().__init__()
        self.feeder = feeder
        self.calibrations = 0
        self._distortion = Distortion(self.faults, seed)
        self._settings = dict(self.factory_settings)
        self._counted_uwh = 0
        self._counted_until_uwh = 0

    def hears(self, asked_id: int) -> bool:
        """Whether it is asked by its own id, as any meter, or with all others."""
        return asked_id in (self.device_id, _ANY_ID, _BROADCAST)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return measurements (function 4) or settings (3)."""
        if function == 3:
            settings = {**self._settings, self.id_address: self.device_id}
            return _cut_out(settings, address, count)
        is_other = "wrong_model" in self.faults
        image = (self._other_image if is_other else self._image)(self._measured())
        return _cut_out(dict(enumerate(image)), address, count)

    def write_word(self, address: int, word: int) -> None:
        """Take one setting."""
        if address == self.id_address:
            if word not in _NODE_IDS:
                raise Refusal(ILLEGAL_VALUE)
            self.device_id = word
        elif address in self._settings:
            self._set(address, word)
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def vendor(self, function: int, body: bytes) -> bytes:
        """Set the energy counter to zero, or count a calibration."""
        if function == _RESET_ENERGY and not body:
            self._count()
            self._counted_uwh = 0
        elif function == _CALIBRATE and body == _CALIBRATION_PASSWORD:
            self.calibrations += 1
        else:
            raise Refusal(ILLEGAL_FUNCTION)
        return body

    @abstractmethod
    def _image(self, measured: _Measured) -> Sequence[int]:
        """Return every measurement register from address 0."""

    @abstractmethod
    def _other_image(self, measured: _Measured) -> Sequence[int]:
        """Return the registers of the other kind of meter."""

    def _set(self, address: int, word: int) -> None:
        self._settings[address] = word

    @property
    def _gain(self) -> tuple[int, int]:
        """What it makes of the current, as a fraction."""
        return 1, 1

    def _count(self) -> None:
        """Take what was used since the last time into the counter."""
        seen, feeder = self._distortion.seen, self.feeder
        total = feeder.energy_import_uwh + feeder.energy_export_uwh
        now_uwh = seen("energy_total_uwh", total)
        gain, whole = self._gain
        self._counted_uwh += (now_uwh - self._counted_until_uwh) * gain // whole
        self._counted_until_uwh = now_uwh

    def _measured(self) -> _Measured:
        seen, feeder = self._distortion.seen, self.feeder
        gain, whole = self._gain
        self._count()
        return _Measured(
            voltage_mv=seen("voltage_mv", feeder.voltage_mv),
            power_mw=abs(seen("power_mw", feeder.power_mw)) * gain // whole,
            frequency_mhz=seen("frequency_mhz", feeder.frequency_mhz),
            energy_wh=self._counted_uwh // _UWH_PER_WH % _COUNTER_WH,
        )


class Pzem016Meter(_PzemMeter):
    """A PZEM-016 with its 100 A transformer."""

    alarm_address, id_address = 0x0001, 0x0002
    factory_settings: Mapping[int, int] = MappingProxyType({0x0001: 23_000})
    _voltages_mv = range(80_000, 260_001)

    @property
    def is_silent(self) -> bool:
        """Whether the fault is on, or the mains too low to run on."""
        return super().is_silent or self.feeder.voltage_mv < self._voltages_mv.start

    def _image(self, measured: _Measured) -> Sequence[int]:
        return _ac_image(measured, self._settings[self.alarm_address])

    def _other_image(self, measured: _Measured) -> Sequence[int]:
        return _dc_image(measured, 30_000, 700)


class Pzem017Meter(_PzemMeter):
    """A PZEM-017; `fitted_shunt_a` is the shunt it is wired to, its setting what it believes."""

    high_address, low_address, id_address, shunt_address = 0x0000, 0x0001, 0x0002, 0x0003
    factory_settings: Mapping[int, int] = MappingProxyType({0x0000: 30_000, 0x0001: 700, 0x0003: 0})
    _least_mv = 7_000

    def __init__(
        self,
        feeder: AcFeeder,
        *,
        serial: int = 0,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this line; its frequency is nothing to this meter. The rest as above."""
        super().__init__(feeder, serial=serial, seed=seed, clock_s=clock_s)
        self.fitted_shunt_a = _SHUNTS[0]
        self.has_auxiliary_supply = False

    @property
    def is_silent(self) -> bool:
        """Whether the fault is on, or neither the line nor 5 V powers it."""
        is_dark = self.feeder.voltage_mv < self._least_mv and not self.has_auxiliary_supply
        return super().is_silent or is_dark

    def _set(self, address: int, word: int) -> None:
        if address == self.shunt_address and word not in _SHUNTS:
            raise Refusal(ILLEGAL_VALUE)
        self._count()
        super()._set(address, word)

    @property
    def _gain(self) -> tuple[int, int]:
        return _SHUNTS[self._settings[self.shunt_address]], self.fitted_shunt_a

    def _image(self, measured: _Measured) -> Sequence[int]:
        high, low = (self._settings[at] for at in (self.high_address, self.low_address))
        return _dc_image(measured, high, low)

    def _other_image(self, measured: _Measured) -> Sequence[int]:
        return _ac_image(measured, 23_000)


def _ac_image(measured: _Measured, alarm_w: int) -> Sequence[int]:
    """Return the ten registers of a PZEM-016; what is below its starting values reads zero."""
    power_dw = _nearest(measured.power_mw, 100) if measured.power_mw >= 400 else 0
    current_ma = measured.current_ma if measured.current_ma >= 20 else 0
    return (
        _nearest(min(measured.voltage_mv, 260_000), 100),
        *_low_first(current_ma),
        *_low_first(power_dw),
        *_low_first(measured.energy_wh),
        _nearest(min(max(measured.frequency_mhz, 45_000), 65_000), 100),
        100 if power_dw else 0,
        _ALARM if measured.power_mw > 1_000 * alarm_w else 0,
    )


def _dc_image(measured: _Measured, high_cv: int, low_cv: int) -> Sequence[int]:
    """Return the eight registers of a PZEM-017; thresholds in 0.01 V."""
    volts = _nearest(measured.voltage_mv, 10)
    return (
        min(volts, 0xFFFF),
        min(_nearest(measured.current_ma, 10), 0xFFFF),
        *_low_first(_nearest(measured.power_mw, 100)),
        *_low_first(measured.energy_wh),
        _ALARM if volts > high_cv else 0,
        _ALARM if volts < low_cv else 0,
    )


def _cut_out(image: Mapping[int, int], address: int, count: int) -> Sequence[int]:
    wanted = range(address, address + count)
    if any(place not in image for place in wanted):
        raise Refusal(ILLEGAL_ADDRESS)
    return [image[place] for place in wanted]


def _low_first(value: int) -> tuple[int, int]:
    return value & 0xFFFF, value >> 16 & 0xFFFF


def _nearest(value: int, step: int) -> int:
    return (value + step // 2) // step
