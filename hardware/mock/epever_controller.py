"""The EPEver Tracer's register image, as its protocol documents list it.

Input registers answer function 4 only, settings function 3, each with exception 2 in the wrong
space. Values of two words have the low word first. The twelve voltages are written together or
refused with exception 4, the three clock words likewise. Counters of the day begin anew at the
first request after midnight of the controller's own clock.

Source: EPEVER B-series Modbus specification V2.3; LS-B protocol V1.1; a Tracer2215BN recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hardware.mock.faults import Distortion
from hardware.mock.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)
from hardware.mock.points import SolarPlant

_OBJECTS = {0: b"EPsolar Tech co., Ltd", 1: b"Tracer2215BN", 2: b"V02.05+V07.12"}
_OTHER_OBJECTS = {0: b"Morningstar Corp.", 1: b"TS-MPPT-60", 2: b"v21"}
_VOLTAGES = (1600, 1500, 1500, 1460, 1440, 1380, 1320, 1260, 1220, 1200, 1110, 1060)
_VOLTAGES_AT, _CLOCK_AT = 0x9003, 0x9013
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
    0x903D: 0,
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
_COILS = (0x0000, 0x0001, 0x0002, 0x0003, 0x0005, 0x0006, 0x0013, 0x0014)
_MANUAL_LOAD = 0x0002
_TEMPERATURE = 2500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UWH_PER_STEP = 10**7
_DAY, _MONTH, _YEAR = "%Y-%m-%d", "%Y-%m", "%Y"


def _midday_ms() -> int:
    return 1_751_457_600_000


class EpeverController(RefusingDevice):
    """One charge controller on one plant."""

    def __init__(
        self, plant: SolarPlant, *, now_ms: Callable[[], int] = _midday_ms, seed: int = 0
    ) -> None:
        """Measure this plant.

        Args:
            plant: panels, battery and load.
            now_ms: the controller's clock before anybody sets it. [ms UTC]
            seed: of the noise fault.
        """
        super().__init__()
        self.plant = plant
        self.delay_s = 0.6
        self._distortion = Distortion(self.faults, seed)
        self._now_ms = now_ms
        self._clock_offset = timedelta()
        self._settings = dict(_SETTINGS)
        self._coils = dict.fromkeys(_COILS, False)
        self._coils[_MANUAL_LOAD] = True
        self._periods: dict[str, tuple[str, int, int]] = {}
        self._extremes: dict[int, int] = {}

    @property
    def load_is_on(self) -> bool:
        """Whether its load output is switched on."""
        return self._coils[_MANUAL_LOAD]

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding or input registers."""
        words = self._inputs() if function == 4 else self._settings | self._clock_words()
        wanted = range(address, address + count)
        if any(place not in words for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        return [words[place] & 0xFFFF for place in wanted]

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Return coils, or the two discrete inputs: too hot, night."""
        bits = self._coils
        if function == 2:
            bits = {0x2000: False, 0x200C: self.plant.pv_voltage_mv < 5_000}
        wanted = range(address, address + count)
        if any(place not in bits for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        return [bits[place] for place in wanted]

    def write_bit(self, address: int, on: bool) -> None:
        """Take a coil."""
        if address not in self._coils:
            raise Refusal(ILLEGAL_ADDRESS)
        self._coils[address] = on

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Take coils."""
        for place, on in enumerate(bits, address):
            self.write_bit(place, on)

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
        return _OTHER_OBJECTS if "wrong_model" in self.faults else _OBJECTS

    def _set_voltages(self, address: int, words: Sequence[int]) -> None:
        if address != _VOLTAGES_AT or len(words) != len(_VOLTAGES):
            raise Refusal(DEVICE_FAILURE)
        cut, limit, _, equalize, boost, floating, boost_again, again, _, _, off, discharge = words
        falling = (limit, equalize, boost, floating)
        is_ordered = cut > limit and list(falling) == sorted(falling, reverse=True)
        if not is_ordered or not floating > boost_again > again > off >= discharge:
            raise Refusal(DEVICE_FAILURE)
        self._settings.update(enumerate(words, _VOLTAGES_AT))

    def _clock(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self._now_ms()) + self._clock_offset

    def _clock_words(self) -> dict[int, int]:
        now = self._clock()
        return {
            _CLOCK_AT: now.minute << 8 | now.second,
            _CLOCK_AT + 1: now.day << 8 | now.hour,
            _CLOCK_AT + 2: now.year - 2000 << 8 | now.month,
        }

    def _set_clock(self, address: int, words: Sequence[int]) -> None:
        if address != _CLOCK_AT or len(words) != 3:
            raise Refusal(DEVICE_FAILURE)
        try:
            wanted = datetime(
                2000 + (words[2] >> 8),
                words[2] & 0xFF,
                words[1] >> 8,
                words[1] & 0xFF,
                words[0] >> 8,
                words[0] & 0xFF,
                tzinfo=UTC,
            )
        except ValueError as error:
            raise Refusal(ILLEGAL_VALUE) from error
        self._clock_offset += wanted - self._clock()

    def _inputs(self) -> dict[int, int]:
        """Return every input register by its address."""
        seen, plant = self._distortion.seen, self.plant
        pv_mv = seen("voltage_mv", plant.pv_voltage_mv)
        pv_mw = seen("power_mw", plant.pv_power_mw)
        battery_mv, load_mw = plant.battery_mv, plant.load_power_mw if self.load_is_on else 0
        battery = battery_mv // 10
        return {
            **_pairs({0x3002: 52_000, 0x3006: 26_000}),
            **{0x3000: 15_000, 0x3001: 2_000, 0x3004: 2_400, 0x3005: 2_000},
            **{0x3008: 2, 0x300E: 2_000},
            **{0x3100: pv_mv // 10, 0x3101: _centi_amps(pv_mw, pv_mv)},
            **{0x3104: battery, 0x3105: _centi_amps(pv_mw, battery_mv)},
            **{0x310C: battery if self.load_is_on else 0, 0x310D: _centi_amps(load_mw, battery_mv)},
            **_pairs({0x3102: pv_mw // 10, 0x3106: pv_mw // 10, 0x310E: load_mw // 10}),
            **dict.fromkeys((0x3110, 0x3111, 0x3112, 0x311B, 0x331D, 0x331E), _TEMPERATURE),
            **{0x311A: plant.charge_percent, 0x311D: 1_200, 0x331A: battery},
            **_pairs({0x331B: plant.battery_ma // 10 & 0xFFFF_FFFF}),
            **self._status(pv_mw),
            **self._statistics(pv_mv // 10, battery),
        }

    def _status(self, pv_mw: int) -> dict[int, int]:
        charging = 0b10 << 2 | 1 if pv_mw else 1 << 14
        return {0x3200: 0, 0x3201: charging, 0x3202: int(self.load_is_on)}

    def _statistics(self, pv: int, battery: int) -> dict[int, int]:
        generated = self._distortion.seen("energy_export_uwh", self.plant.generated_uwh)
        totals = {0x3304: ("used", self.plant.consumed_uwh), 0x330C: ("made", generated)}
        words = self._extremes_today(pv, battery)
        for first, (name, total_uwh) in totals.items():
            for place, form in enumerate((_DAY, _MONTH, _YEAR)):
                steps = self._since(name + form, form, total_uwh) // _UWH_PER_STEP
                words |= _pairs({first + 2 * place: steps})
            words |= _pairs({first + 6: total_uwh // _UWH_PER_STEP})
        return words | _pairs({0x3314: 0})

    def _since(self, name: str, form: str, total_uwh: int) -> int:
        """Return what was counted since this day, month or year began. [uWh]"""
        period = self._clock().strftime(form)
        begun, base_uwh, last_uwh = self._periods.get(name, (period, total_uwh, total_uwh))
        if begun != period:
            base_uwh = last_uwh
        self._periods[name] = (period, base_uwh, total_uwh)
        return total_uwh - base_uwh

    def _extremes_today(self, pv: int, battery: int) -> dict[int, int]:
        today = self._clock().toordinal()
        if self._extremes.get(-1) != today:
            self._extremes = {-1: today, 0x3300: pv, 0x3301: pv, 0x3302: battery, 0x3303: battery}
        for place, value in ((0x3300, pv), (0x3302, battery)):
            self._extremes[place] = max(self._extremes[place], value)
            self._extremes[place + 1] = min(self._extremes[place + 1], value)
        return {place: value for place, value in self._extremes.items() if place > 0}


def _pairs(values: Mapping[int, int]) -> dict[int, int]:
    """Return numbers of two words, low word first."""
    return {
        place: word
        for address, value in values.items()
        for place, word in ((address, value & 0xFFFF), (address + 1, value >> 16 & 0xFFFF))
    }


def _centi_amps(power_mw: int, voltage_mv: int) -> int:
    return power_mw * 100 // voltage_mv if voltage_mv else 0
