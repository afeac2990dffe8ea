"""The EPEver Tracer's register image, as its protocol documents list it.

Input registers answer function 4 only, settings function 3, each with exception 2 in the wrong
space. Values of two words have the low word first. The twelve voltages are written together or
refused with exception 4, the three clock words likewise; coils are written with function 5 only.
Counters of the day begin anew at midnight of the controller's own clock.

Source: EPEVER B-series Modbus specification V2.3; LS-B protocol V1.1; a Tracer2215BN recording.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hardware.mock.chargers.day_log import DayLog
from hardware.mock.chargers.epever_load import MANUAL_COIL, MODE, LoadOutput
from hardware.mock.chargers.seen_plant import SeenPlant, see_plant
from hardware.mock.faults import Distortion
from hardware.mock.meters.word_image import image, part, whole
from hardware.mock.points import SolarPlant
from hardware.mock.wires.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)

_OTHER_OBJECTS = {0: b"Morningstar Corp.", 1: b"TS-MPPT-60", 2: b"29"}
_VOLTAGES = (1600, 1500, 1500, 1460, 1440, 1380, 1320, 1260, 1220, 1200, 1110, 1060)
_VOLTAGES_AT, _CLOCK_AT = 0x9003, 0x9013
_OVER_VOLTAGE, _CHARGE_LIMIT, _BOOST, _UNDER_VOLTAGE = 0x9003, 0x9004, 0x9007, 0x900C
_SETTINGS: Mapping[int, int] = {
    0x9000: 1,
    0x9001: 200,
    0x9002: 300,
    **{_VOLTAGES_AT + place: word for place, word in enumerate(_VOLTAGES)},
    0x9016: 30,
    0x9017: 6500,
    0x9018: -4000 & 0xFFFF,
    0x9019: 8500,
    0x901A: 7500,
    0x901B: 8500,
    0x901C: 7500,
    0x901E: 500,
    0x901F: 10,
    0x9020: 600,
    0x9021: 10,
    MODE: 0,
    0x903E: 0x0100,
    0x903F: 0x0100,
    **dict.fromkeys(range(0x9042, 0x904E), 0),
    0x9065: 0x0A00,
    0x9067: 0,
    0x906A: 0,
    0x906B: 120,
    0x906C: 120,
    0x906D: 30,
    0x906E: 100,
    0x9070: 0,
}
_CHARGING_COIL, _RESTORE_COIL, _CLEAR_COIL = 0x0000, 0x0013, 0x0014
_TOO_HOT, _NIGHT = 0x2000, 0x200C
_TEMPERATURE = 2500
_QUIET_PV_MV = 14_000
_LOAD_RATED_MA = 20_000
_JUMP = timedelta(hours=3)
_OFF, _FLOAT, _BOOSTS = 0, 1, 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDDAY_MS = 1_751_457_600_000
_UWH_PER_STEP = 10**7


@dataclass(frozen=True, slots=True)
class Variant:
    """What tells two models of the family apart."""

    name: bytes
    version: bytes
    coils: tuple[int, ...]
    pv_rated_mv: int
    rated_ma: int


TRACER_BN = Variant(b"Tracer2215BN", b"V02.05+V07.12", (0x0002, 0x0005, 0x0006), 150_000, 20_000)
"""As recorded: it has no coil that switches charging."""

TRACER_AN = Variant(
    b"Tracer4210AN",
    b"V01.13+V02.24",
    (0x0000, 0x0001, 0x0002, 0x0003, 0x0005, 0x0006, 0x0013, 0x0014),
    100_000,
    40_000,
)
"""Every coil of the vendor's list."""


class EpeverController(RefusingDevice):
    """One charge controller on one plant."""

    def __init__(
        self,
        plant: SolarPlant,
        *,
        variant: Variant = TRACER_BN,
        starts_at_ms: int = _MIDDAY_MS,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this plant.

        Args:
            plant: panels, battery and load.
            variant: which model.
            starts_at_ms: what its clock shows now, before anybody sets it. [ms UTC]
            seed: of the noise fault.
            clock_s: what makes its clock go on. [s]
        """
        super().__init__("night_silence", "clock_jump")
        self.plant = plant
        self.delay_s = 0.6
        self._variant = variant
        self._distortion = Distortion(self.faults, seed)
        self._clock_s = clock_s
        self._zero = _EPOCH + timedelta(milliseconds=starts_at_ms) - timedelta(seconds=clock_s())
        self._settings = dict(_SETTINGS)
        self._coils = dict.fromkeys(variant.coils, False)
        self._coils[MANUAL_COIL] = True
        if _CHARGING_COIL in self._coils:
            self._coils[_CHARGING_COIL] = True
        self._load = LoadOutput()
        self._day, self._month, self._year = DayLog(), DayLog(), DayLog()
        self._cleared_uwh = {"made": 0, "used": 0}

    @property
    def is_silent(self) -> bool:
        """Whether a fault is on, or it sleeps as some units do at night."""
        sleeps = "night_silence" in self.faults and self.plant.pv_voltage_mv < _QUIET_PV_MV
        return super().is_silent or (sleeps and not self.load_is_on)

    @property
    def load_is_on(self) -> bool:
        """Whether its load output is switched on."""
        self._look()
        return self._load.is_on(self._settings, self._coils, self._now())

    @property
    def limit_mw(self) -> int | None:
        """What it lets through now: nothing with charging off, only the load when full."""
        if not self._coils.get(_CHARGING_COIL, True):
            return 0
        if not self._is_full:
            return None
        return self.plant.load_power_mw if self.load_is_on else 0

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding or input registers."""
        self._look()
        words = self._inputs() if function == 4 else self._settings | self._clock_words()
        return part(words, address, count)

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Return coils, or the two discrete inputs: too hot, night."""
        bits = self._coils
        if function == 2:
            bits = {_TOO_HOT: False, _NIGHT: self._seen(None).is_dark}
        wanted = range(address, address + count)
        if any(place not in bits for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        return [bits[place] for place in wanted]

    def write_bit(self, address: int, on: bool) -> None:
        """Take a coil; two of them do something once."""
        if address not in self._coils:
            raise Refusal(ILLEGAL_ADDRESS)
        if address not in (_RESTORE_COIL, _CLEAR_COIL):
            self._coils[address] = on
        elif on and address == _RESTORE_COIL:
            self._settings = dict(_SETTINGS)
        elif on:
            self._inputs()  # counts up to now
            self._cleared_uwh = self._counted()
            for log in (self._day, self._month, self._year):
                log.clear()

    def write_word(self, address: int, word: int) -> None:
        """Take one setting."""
        self.write_words(address, [word])

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take settings; clock and voltages only as a whole."""
        wanted = range(address, address + len(words))
        if _CLOCK_AT in wanted:
            self._set_clock(address, words)
        elif any(place not in self._settings for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        elif any(_VOLTAGES_AT <= place < _VOLTAGES_AT + len(_VOLTAGES) for place in wanted):
            self._set_voltages(address, words)
        else:
            self._settings.update(zip(wanted, words, strict=True))

    def identification(self) -> Mapping[int, bytes]:
        """Return maker, model and versions."""
        if "wrong_model" in self.faults:
            return _OTHER_OBJECTS
        return {0: b"EPsolar Tech co., Ltd", 1: self._variant.name, 2: self._variant.version}

    def _set_voltages(self, address: int, words: Sequence[int]) -> None:
        if address != _VOLTAGES_AT or len(words) != len(_VOLTAGES):
            raise Refusal(DEVICE_FAILURE)
        cut, limit, _, equalize, boost, floating, boost_again, again, _, _, off, discharge = words
        falling = (limit, equalize, boost, floating)
        is_ordered = cut > limit and list(falling) == sorted(falling, reverse=True)
        if not is_ordered or not floating > boost_again > again > off >= discharge:
            raise Refusal(DEVICE_FAILURE)
        self._settings.update(enumerate(words, _VOLTAGES_AT))

    # The clock, and what it does

    def _now(self) -> datetime:
        if self.faults.take("clock_jump"):
            self._zero += _JUMP
        return self._zero + timedelta(seconds=self._clock_s())

    def _clock_words(self) -> dict[int, int]:
        now = self._now()
        return {
            _CLOCK_AT: now.minute << 8 | now.second,
            _CLOCK_AT + 1: now.day << 8 | now.hour,
            _CLOCK_AT + 2: now.year - 2000 << 8 | now.month,
        }

    def _set_clock(self, address: int, words: Sequence[int]) -> None:
        if address != _CLOCK_AT or len(words) != 3:
            raise Refusal(DEVICE_FAILURE)
        (minute, second), (day, hour), (year, month) = (divmod(word, 0x100) for word in words)
        try:
            wanted = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError as error:
            raise Refusal(ILLEGAL_VALUE) from error
        self._zero += wanted - self._now()

    def _look(self) -> None:
        """Let what happened since the last request happen now."""
        now, seen = self._now(), self._seen(None)
        self._day.turn((now.year, now.month, now.day))
        self._month.turn((now.year, now.month))
        self._year.turn(now.year)
        battery = seen.battery_mv // (10 * seen.twelves)
        self._load.look(self._settings, now, battery, seen.is_dark)

    # What it shows

    @property
    def _is_full(self) -> bool:
        ceiling = min(self._settings[_CHARGE_LIMIT], self._settings[_BOOST])
        return self.plant.battery_mv > ceiling * 10 * self._seen(None).twelves

    def _seen(self, limit_mw: int | None, *, load_is_on: bool = True) -> SeenPlant:
        return see_plant(self.plant, self._distortion, limit_mw=limit_mw, load_is_on=load_is_on)

    def _counted(self) -> dict[str, int]:
        seen = self._seen(None)
        return {"made": seen.generated_uwh, "used": seen.consumed_uwh}

    def _inputs(self) -> dict[int, int]:
        """Return every input register by its address."""
        seen = self._seen(self.limit_mw, load_is_on=self.load_is_on)
        return {
            **self._ratings(),
            **self._present(seen),
            **self._status(seen),
            **self._statistics(seen),
        }

    def _ratings(self) -> dict[int, int]:
        volts, amps = self._variant.pv_rated_mv // 10, self._variant.rated_ma // 10
        rated_watts = amps * 26  # charging a battery of 24 V
        return image(
            {
                **{0x3000: (volts,), 0x3001: (amps,), 0x3002: _two(rated_watts)},
                **{0x3004: (2_400,), 0x3005: (amps,), 0x3006: _two(rated_watts)},
                **{0x3008: (2,), 0x300E: (_LOAD_RATED_MA // 10,)},
            }
        )

    def _present(self, seen: SeenPlant) -> dict[int, int]:
        battery, power = seen.battery_mv // 10, seen.pv_mw // 10
        load = battery if self.load_is_on else 0
        return image(
            {
                **{0x3100: (seen.pv_mv // 10, seen.pv_ma // 10), 0x3102: _two(power)},
                **{0x3104: (battery, seen.charging_ma // 10), 0x3106: _two(power)},
                **{0x310C: (load, seen.load_ma // 10), 0x310E: _two(seen.load_mw // 10)},
                **{0x3110: (_TEMPERATURE,) * 3, 0x311A: (seen.charge_percent, _TEMPERATURE)},
                **{0x311D: (1_200 * seen.twelves,), 0x331A: (battery,)},
                **{0x331B: _two(seen.battery_ma // 10), 0x331D: (_TEMPERATURE,) * 2},
            }
        )

    def _status(self, seen: SeenPlant) -> dict[int, int]:
        battery = seen.battery_mv // (10 * seen.twelves)
        state = 2 if battery < self._settings[_UNDER_VOLTAGE] else 0
        state = 1 if battery > self._settings[_OVER_VOLTAGE] else state
        state = 3 if self._load.is_flat else state
        stage = _OFF if seen.pv_mw == 0 else _FLOAT if self._is_full else _BOOSTS
        no_power = 0 if seen.pv_mv >= _QUIET_PV_MV else 1
        level = min(3, 3 * seen.load_ma // _LOAD_RATED_MA)  # light, moderate, rated, overload
        return {
            0x3200: state,
            0x3201: no_power << 14 | stage << 2 | bool(stage),
            0x3202: level << 12 | int(self.load_is_on),
        }

    def _statistics(self, seen: SeenPlant) -> dict[int, int]:
        day, pv, battery = self._day, seen.pv_mv // 10, seen.battery_mv // 10
        counted = {"used": seen.consumed_uwh, "made": seen.generated_uwh}
        rows: dict[int, Sequence[int]] = {
            0x3300: (day.most("pv", pv), day.least("pv", pv)),
            0x3302: (day.most("battery", battery), day.least("battery", battery)),
        }
        for first, (name, total_uwh) in zip((0x3304, 0x330C), counted.items(), strict=True):
            logs = (day, self._month, self._year)
            uwh = [log.since(name, total_uwh) for log in logs]
            uwh.append(total_uwh - self._cleared_uwh[name])
            for place, each in enumerate(uwh):
                rows[first + 2 * place] = _two(each // _UWH_PER_STEP)
        saved_uwh = counted["made"] - self._cleared_uwh["made"]
        rows[0x3314] = _two(saved_uwh * 997 // 10**13)  # 0.997 kg of CO2 a kWh, in 10 kg
        return image(rows)


def _two(value: int) -> tuple[int, ...]:
    """Return a number as two words, low word first."""
    return whole(value, 2, low_first=True)
