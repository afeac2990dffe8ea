"""The Morningstar TriStar MPPT's memory, as its Modbus documents list it.

Functions 3 and 4 read the same RAM; settings lie in EEPROM from 0xE000 on and are written one at
a time (function 6), which raises the fault "custom settings edit" until the controller is reset.
Electrical values are fractions of the full scales that stand in its first four words. A reference
written to 0x0058 or 0x0059 makes it a slave for 60 s; then it says so with fault bit 11, and
charges as before. It has no clock: a day begins when the panels wake.

Source: Morningstar TriStar MPPT Modbus document, V10.2; register values of ioBroker.tristar-mppt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from hardware.mock.chargers.day_log import Dawns, DayLog
from hardware.mock.chargers.seen_plant import SeenPlant, see_plant
from hardware.mock.faults import Distortion
from hardware.mock.meters.word_image import image, letters, part, whole
from hardware.mock.points import SolarPlant
from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, Refusal, RefusingDevice

V_PU, I_PU = 180, 80
_FULL_SCALE = 32_768
_WATT_SCALE = 131_072
_RAM_WORDS = 0x5C
_SLAVE_CURRENT, _SLAVE_VOLTAGE, _FIXED_ARRAY, _FIXED_PART = 0x58, 0x59, 0x5A, 0x5B
_SLAVE_S = 60.0
_NO_SENSOR = 0x80

_EDITED, _SLAVE_TIMEOUT = 1 << 6, 1 << 11
_WAS_RESET = 1 << 19
_STATE = {"disconnect": 2, "night": 3, "fault": 4, "mppt": 5, "absorption": 6, "slave": 9}
_FLOAT, _EQUALIZE = 7, 8
_LED_GREEN, _LED_RED = 6, 11

_EQUALIZE_COIL, _DISCONNECT_COIL = 0x0000, 0x0002
_COIL_RANGE = range(0x0000, 0x001A)
_CLEAR_AH, _CLEAR_AH_TOTAL, _CLEAR_KWH, _CLEAR_KWH_TOTAL = 0x10, 0x11, 0x12, 0x18
_SERVICED, _CLEAR_FAULTS, _CLEAR_ALARMS = 0x13, 0x14, 0x15
_SAVE, _CLEAR_EXTREMES, _RESET = 0x16, 0x19, 0xFF
_TOTALS = {_CLEAR_AH: "Ah", _CLEAR_AH_TOTAL: "Ah total", _CLEAR_KWH: "kWh"}
_TOTALS |= {_CLEAR_KWH_TOTAL: "kWh total"}

_ABSORPTION, _VOLTAGE_LIMIT, _ID, _CURRENT_LIMIT = 0xE000, 0xE010, 0xE019, 0xE01D
_FIXED_ARRAY_FIRST = 0xE020
_SETTABLE = frozenset(
    {*range(0xE000, 0xE00C), *range(0xE00D, 0xE013), *range(0xE015, 0xE01B)}
    | {_CURRENT_LIMIT, _FIXED_ARRAY_FIRST, _FIXED_ARRAY_FIRST + 1}
)
_SAVED_KWH = 0xE086
_SERIAL, _MODEL, _HARDWARE = 0xE0C0, 0xE0CC, 0xE0CD


def _volts(millivolts: int) -> int:
    return _full(round(millivolts * _FULL_SCALE / (1_000 * V_PU)))


def _amps(milliamps: int) -> int:
    return _full(round(milliamps * _FULL_SCALE / (1_000 * I_PU)))


def _watts(milliwatts: int) -> int:
    return _full(round(milliwatts * _WATT_SCALE / (1_000 * V_PU * I_PU)))


def _full(steps: int) -> int:
    """Return a signed word that stops at full scale."""
    return max(-0x8000, min(steps, 0x7FFF)) & 0xFFFF


def _settings() -> dict[int, int]:
    """Return the EEPROM as delivered; voltages are those of a 12 V battery."""
    words = dict.fromkeys(range(0xE000, 0xE022), 0)
    for address, millivolts in (
        (_ABSORPTION, 14_400),
        (0xE001, 13_700),
        (0xE004, 12_500),
        (0xE005, 11_500),
        (0xE00E, 15_000),
        (0xE00F, 14_000),
        (0xE015, 13_000),
        (0xE016, 12_600),
        (0xE017, 12_000),
        (0xE018, 11_500),
    ):
        words[address] = _volts(millivolts)
    return words | {0xE002: 9_000, 0xE003: 1_800, 0xE006: 7_200, 0xE01A: 1, 0xE011: 80}


class TristarController(RefusingDevice):
    """One charge controller on one plant."""

    def __init__(
        self,
        plant: SolarPlant,
        *,
        serial: str = "12345678",
        amps: int = 60,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this plant.

        Args:
            plant: panels and battery; it has no load output.
            serial: eight characters.
            amps: the model: 45 or 60. [A]
            seed: of the noise fault.
            clock_s: any clock that never goes back. [s]
        """
        super().__init__()
        self.plant = plant
        self.battery_c: int | None = 25
        self._serial, self._rated_ma = serial, amps * 1_000
        self._distortion = Distortion(self.faults, seed)
        self._clock_s = clock_s
        self._begun_s = self._looked_s = clock_s()
        self._slave_s = 0.0
        self._settings = {**_settings(), _ID: 1}
        self._ram = dict.fromkeys(range(_SLAVE_CURRENT, _FIXED_PART + 1), 0)
        self._coils = {_EQUALIZE_COIL: False, _DISCONNECT_COIL: False}
        self._fault_bits = self._alarm_bits = 0
        self._saved_kwh = (0, 0)
        self._cleared_uwh = dict.fromkeys(_TOTALS.values(), 0)
        self._dawns, self._today, self._ever = Dawns(), DayLog(), DayLog()
        self._faults_today = self._alarms_today = 0
        self._stage_s: dict[int, float] = {}

    @property
    def limit_mw(self) -> int | None:
        """What it lets through to the battery now; None is all it is rated for."""
        self._look()
        battery_mv, factor = self.plant.battery_mv, self._seen(None).twelves
        if self._state_of(battery_mv, factor) in (_STATE["disconnect"], _STATE["fault"]):
            return 0
        limits_ma = [self._current_ma(self._settings[_CURRENT_LIMIT])]
        ceilings_mv = [self._voltage_mv(self._settings[_VOLTAGE_LIMIT]) * factor]
        if self._is_slave:
            limits_ma.append(self._current_ma(self._ram[_SLAVE_CURRENT]))
            ceilings_mv.append(self._voltage_mv(self._ram[_SLAVE_VOLTAGE]))
        if any(0 < ceiling_mv < battery_mv for ceiling_mv in ceilings_mv):
            return 0
        limit_ma = min((each for each in limits_ma if each), default=0)
        return limit_ma * battery_mv // 1_000 if limit_ma else None

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return RAM or EEPROM, with either function."""
        self._look()
        return part(self._image(), address, count)

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Return coils; those that only start something read as off."""
        if function == 2 or not set(range(address, address + count)) <= {*_COIL_RANGE, _RESET}:
            raise Refusal(ILLEGAL_ADDRESS)
        self._look()
        return [self._coils.get(place, False) for place in range(address, address + count)]

    def write_bit(self, address: int, on: bool) -> None:
        """Take a coil; most of them do something once."""
        self._look()
        if address in self._coils:
            self._coils[address] = on
        elif address in (*_TOTALS, _SERVICED, _CLEAR_FAULTS, _CLEAR_ALARMS):
            self._clear(address, on)
        elif address in (_SAVE, _CLEAR_EXTREMES, _RESET):
            self._run(address, on)
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def write_word(self, address: int, word: int) -> None:
        """Take a reference into RAM, or a setting into EEPROM."""
        self._look()
        if address in self._ram:
            self._ram[address] = word
            if address in (_SLAVE_CURRENT, _SLAVE_VOLTAGE):
                self._slave_s = self._clock_s()
        elif address in _SETTABLE:
            self._settings[address] = word
            self._raise(_EDITED)
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def identification(self) -> Mapping[int, bytes]:
        """Return maker, model and version."""
        if "wrong_model" in self.faults:
            return {0: b"EPsolar Tech co., Ltd", 1: b"Tracer2215BN", 2: b"V02.05+V07.12"}
        return {0: b"Morningstar Corp.", 1: f"TS-MPPT-{self._amps}".encode(), 2: b"29"}

    @property
    def _amps(self) -> int:
        return self._rated_ma // 1_000

    def _clear(self, address: int, on: bool) -> None:
        if not on:
            return
        if address in _TOTALS:
            self._cleared_uwh[_TOTALS[address]] = self._seen(None).generated_uwh
        elif address == _CLEAR_FAULTS:
            self._fault_bits &= _EDITED  # only a reset ends this one
        elif address == _CLEAR_ALARMS:
            self._alarm_bits = 0

    def _run(self, address: int, on: bool) -> None:
        if not on:
            return
        if address == _SAVE:
            self._saved_kwh = (self._kwh("kWh"), self._kwh("kWh total"))
        elif address == _CLEAR_EXTREMES:
            self._ever.clear()
        else:
            self._reset()

    def _reset(self) -> None:
        """Begin as after power came: references and coils are gone, settings count from now."""
        self._coils = dict.fromkeys(self._coils, False)
        self._ram = dict.fromkeys(self._ram, 0)
        for place in (0, 1):
            self._ram[_FIXED_ARRAY + place] = self._settings[_FIXED_ARRAY_FIRST + place]
        self._fault_bits, self._alarm_bits = 0, _WAS_RESET
        self._alarms_today |= _WAS_RESET
        self.device_id = self._settings[_ID]

    def _raise(self, bit: int) -> None:
        self._fault_bits |= bit
        self._faults_today |= bit

    # What time does

    @property
    def _is_slave(self) -> bool:
        return any(0 < self._ram[each] < 0x8000 for each in (_SLAVE_CURRENT, _SLAVE_VOLTAGE))

    def _look(self) -> None:
        """Let what happened since the last request happen now."""
        now_s = self._clock_s()
        if self._is_slave and now_s - self._slave_s >= _SLAVE_S:
            self._ram |= {_SLAVE_CURRENT: 0, _SLAVE_VOLTAGE: 0}
            self._raise(_SLAVE_TIMEOUT)
        dawns = self._dawns.count
        if self._dawns.look(self._seen(None).is_dark) != dawns:
            self._stage_s.clear()
            self._faults_today, self._alarms_today = self._fault_bits, self._alarm_bits
        self._today.turn(self._dawns.count)
        state = self._state_of(self.plant.battery_mv, self._seen(None).twelves)
        self._stage_s[state] = self._stage_s.get(state, 0.0) + now_s - self._looked_s
        self._looked_s = now_s

    def _state_of(self, battery_mv: int, factor: int) -> int:
        if self._fault_bits & _EDITED:
            return _STATE["fault"]
        if self._coils[_DISCONNECT_COIL]:
            return _STATE["disconnect"]
        if self._seen(None).is_dark:
            return _STATE["night"]
        if self._is_slave:
            return _STATE["slave"]
        if self._coils[_EQUALIZE_COIL]:
            return _EQUALIZE
        is_full = battery_mv >= self._voltage_mv(self._settings[_ABSORPTION]) * factor
        return _STATE["absorption" if is_full else "mppt"]

    # What it shows

    def _seen(self, limit_mw: int | None) -> SeenPlant:
        return see_plant(self.plant, self._distortion, limit_mw=limit_mw)

    def _image(self) -> dict[int, int]:
        seen = self._seen(self.limit_mw)
        ram = dict.fromkeys(range(_RAM_WORDS), 0)
        ram |= self._scaling() | self._now(seen) | self._counters(seen) | self._logged(seen)
        is_60_a = self._amps == 60
        return {
            **ram,
            **self._ram,
            **self._settings,
            **dict(enumerate(self._saved_kwh, _SAVED_KWH)),
            **image({_SERIAL: letters(self._serial, 4), _MODEL: (is_60_a,), _HARDWARE: (0x0101,)}),
        }

    def _scaling(self) -> dict[int, int]:
        return {0: V_PU, 1: 0, 2: I_PU, 3: 0, 4: 0x29}

    def _now(self, seen: SeenPlant) -> dict[int, int]:
        battery, charging = _volts(seen.battery_mv), _amps(seen.charging_ma)
        temperature = _NO_SENSOR if self.battery_c is None else self.battery_c & 0xFF
        state = self._state_of(seen.battery_mv, seen.twelves)
        lamp = _LED_RED if state == _STATE["fault"] else _LED_GREEN
        return {
            **dict.fromkeys((0x18, 0x19, 0x1A, 0x26), battery),
            **{0x1B: _volts(seen.pv_mv), 0x1C: charging, 0x1D: _amps(seen.pv_ma), 0x27: charging},
            # its own supplies: 12 V, 3 V, meter bus 12 V, 1.8 V, and the reference
            **{0x1E: 21_127, 0x1F: 14_895, 0x20: 21_127, 0x21: 19_661, 0x22: 27_307},
            **{0x23: 35, 0x24: temperature, 0x25: 25 if self.battery_c is None else temperature},
            **{
                0x28: self._ever.least("battery", battery),
                0x29: self._ever.most("battery", battery),
            },
            **{0x2C: self._fault_bits, 0x30: 0, 0x31: lamp, 0x32: state},
            0x33: self._target(state, seen.twelves),
            **{0x3A: _watts(seen.pv_mw), 0x3B: _watts(seen.pv_mw)},
            **{0x3C: _watts(seen.pv_mw), 0x3D: _volts(seen.pv_mv)},
            0x3E: _volts(seen.pv_mv * 5 // 4),
        }

    def _target(self, state: int, factor: int) -> int:
        """Return the voltage that it regulates to, 0 while it does not charge."""
        if state in (_STATE["disconnect"], _STATE["night"], _STATE["fault"]):
            return 0
        if state == _STATE["slave"] and self._ram[_SLAVE_VOLTAGE]:
            return self._ram[_SLAVE_VOLTAGE]
        return self._settings[_ABSORPTION] * factor

    def _counters(self, seen: SeenPlant) -> dict[int, int]:
        hours = int(self._clock_s() - self._begun_s) // 3_600
        tenths = {
            name: (seen.generated_uwh - self._cleared_uwh[name]) // (1_200_000 * seen.twelves)
            for name in ("Ah", "Ah total")
        }
        return image(
            {
                0x2A: whole(hours, 2),
                0x2E: whole(self._alarm_bits, 2),
                0x34: whole(tenths["Ah"], 2),
                0x36: whole(tenths["Ah total"], 2),
                0x38: (self._kwh("kWh"), self._kwh("kWh total")),
            }
        )

    def _kwh(self, name: str) -> int:
        counted_uwh = self._seen(None).generated_uwh - self._cleared_uwh[name]
        return counted_uwh // 10**9 & 0xFFFF

    def _logged(self, seen: SeenPlant) -> dict[int, int]:
        """Return what the logger holds of today."""
        today, battery = self._today, _volts(seen.battery_mv)
        counted_uwh = today.since("charge", seen.generated_uwh)
        temperature = 25 if self.battery_c is None else self.battery_c
        states = (_STATE["absorption"], _EQUALIZE, _FLOAT)
        flags = (
            bool(self._alarms_today & _WAS_RESET)
            | self._coils[_EQUALIZE_COIL] << 1
            | bool(self._alarms_today) << 3
            | bool(self._faults_today) << 4
        )
        return {
            **{0x40: today.least("battery", battery), 0x41: today.most("battery", battery)},
            0x42: today.most("array", _volts(seen.pv_mv)),
            0x43: counted_uwh // (1_200_000 * seen.twelves) & 0xFFFF,
            **{0x44: counted_uwh // 10**6 & 0xFFFF, 0x45: flags},
            0x46: today.most("power", _watts(seen.pv_mw)),
            0x47: today.least("temperature", temperature) & 0xFF,
            **{0x48: today.most("temperature", temperature) & 0xFF, 0x49: self._faults_today},
            **image({0x4B: whole(self._alarms_today, 2)}),
            **{0x4D + place: int(self._stage_s.get(each, 0)) for place, each in enumerate(states)},
        }

    def _current_ma(self, word: int) -> int:
        """Return a current set-point, 0 for none and for a negative one. [mA]"""
        asked_ma = word * 1_000 * I_PU // _FULL_SCALE if word < 0x8000 else 0
        return min(asked_ma, self._rated_ma)

    def _voltage_mv(self, word: int) -> int:
        """Return a voltage set-point, 0 for none and for a negative one. [mV]"""
        return word * 1_000 * V_PU // _FULL_SCALE if word < 0x8000 else 0
