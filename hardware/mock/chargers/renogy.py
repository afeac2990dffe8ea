"""The Renogy Rover's registers (SRNE family), as public protocol tables and captures list them.

One space of holding registers for functions 3, 6 and 16. A single device on its bus answers 0xFF
besides its own id, so two of them on one bus talk at once when asked so. Lifetime counters have
the high word first. A Rover Elite refuses what an older Rover has from 0xE022 on. It has no
clock: a day begins when the panels wake.

Source: renogymodbus, renogy-ble (with captured frames), emonhub.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from hardware.mock.chargers.day_log import Dawns, DayLog
from hardware.mock.chargers.seen_plant import SeenPlant, see_plant
from hardware.mock.faults import Distortion
from hardware.mock.meters.word_image import image, letters, part, whole
from hardware.mock.points import SolarPlant
from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Refusal, RefusingDevice

_ANY_ID = 0xFF
_TRIES_UNTIL_TAKEN = 3
_FACTORY_RESET, _CLEAR_HISTORY = 0x78, 0x79
_ID, _LOAD = 0x001A, 0x010A
_SYSTEM, _BATTERY_TYPE = 0xE003, 0xE004
_CHARGE_LIMIT, _BOOST = 0xE006, 0xE008
_LOAD_MODE, _MANUAL, _ALL_NIGHT = 0xE01D, 0x0F, 0
_RESERVED = 0xE001
_ELITE_ENDS, _ROVER_ENDS = 0xE022, 0xE02E
_OFF, _MPPT, _BOOSTS = 0, 2, 4
_LITHIUM = 4
_UWH_PER_AH_AT_12_V = 12 * 10**6
_DAY_S, _HOUR_S = 86_400, 3_600

_DELIVERED: Mapping[int, int] = {
    0xE002: 200,
    _SYSTEM: 0x0C0C,
    _BATTERY_TYPE: _LITHIUM,
    0xE005: 160,
    _CHARGE_LIMIT: 155,
    0xE007: 146,
    _BOOST: 144,
    0xE009: 138,
    0xE00A: 132,
    0xE00B: 126,
    0xE00C: 120,
    0xE00D: 111,
    0xE00E: 106,
    0xE00F: 0x6432,
    0xE010: 5,
    0xE011: 120,
    0xE012: 120,
    0xE013: 30,
    0xE014: 3,
    _LOAD_MODE: _MANUAL,
}
"""Settings that matter, as delivered; voltages are of a 12 V battery, in tenths."""


class RenogyController(RefusingDevice):
    """One charge controller on one plant."""

    def __init__(
        self,
        plant: SolarPlant,
        *,
        serial: int = 0x0009_1A2B,
        is_elite: bool = False,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this plant.

        Args:
            plant: panels, battery and load.
            serial: its serial number, two words.
            is_elite: whether it is a Rover Elite, with fewer settings.
            seed: of the noise fault.
            clock_s: any clock that never goes back. [s]
        """
        super().__init__("load_sticks")
        self.plant = plant
        self.haste_s = 0.010
        self.controller_c = self.battery_c = 25
        self._serial, self._is_elite = serial, is_elite
        self._distortion = Distortion(self.faults, seed)
        self._clock_s = clock_s
        self._begun_s = clock_s()
        self._dusk_s: float | None = None
        self._settings = self._delivered()
        self._load_is_on, self._lost = True, 0
        self._dawns, self._today = Dawns(), DayLog()
        self._cleared = (0, 0)
        self._full_charges, self._was_full = 0, False

    def hears(self, asked_id: int) -> bool:
        """Whether the request is for it: by its own id, or by the one that any of them answers."""
        return asked_id in (self.device_id, _ANY_ID)

    @property
    def load_is_on(self) -> bool:
        """Whether its load output is on: by hand, all night, or some hours after dusk."""
        mode = self._settings[_LOAD_MODE]
        if mode == _MANUAL:
            return self._load_is_on
        if self._dusk_s is None:
            return False
        return mode == _ALL_NIGHT or self._clock_s() - self._dusk_s < mode * _HOUR_S

    @property
    def limit_mw(self) -> int | None:
        """What it lets through now: above its charging voltages only what its load draws."""
        ceiling = min(self._settings[_CHARGE_LIMIT], self._settings[_BOOST])
        battery_mv, factor = self.plant.battery_mv, self._seen(None).twelves
        if battery_mv <= ceiling * 100 * factor:
            return None
        return self.plant.load_power_mw if self.load_is_on else 0

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding registers."""
        if function == 4:
            return super().read_words(function, address, count)
        self._look()
        return part(self._image(), address, count)

    def write_word(self, address: int, word: int) -> None:
        """Take one register."""
        self._look()
        self._take(address, word)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take consecutive registers."""
        self._look()
        for place, word in enumerate(words, address):
            self._take(place, word)

    def vendor(self, function: int, body: bytes) -> bytes:
        """Return to factory settings, or clear the history; both echo the request."""
        self._look()
        if function == _FACTORY_RESET:
            self._settings = self._delivered()
        elif function == _CLEAR_HISTORY:
            self._cleared = (self.plant.generated_uwh, self.plant.consumed_uwh)
            self._today.clear()
        else:
            return super().vendor(function, body)
        return body

    def _delivered(self) -> dict[int, int]:
        ends = _ELITE_ENDS if self._is_elite else _ROVER_ENDS
        return dict.fromkeys(range(_RESERVED, ends), 0) | dict(_DELIVERED)

    def _take(self, address: int, word: int) -> None:
        if address == _LOAD:
            self._switch(word)
        elif address == _ID and 1 <= word <= 247:
            self.device_id = word
        elif address == _ID:
            raise Refusal(ILLEGAL_VALUE)
        elif address in self._settings and address != _RESERVED:
            self._settings[address] = word
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def _switch(self, word: int) -> None:
        """Take the load's state; what is not taken is acknowledged all the same."""
        if word not in (0, 1):
            raise Refusal(ILLEGAL_VALUE)
        if "load_sticks" in self.faults:
            self._lost = (self._lost + 1) % _TRIES_UNTIL_TAKEN
            if self._lost:
                return
        self._load_is_on = bool(word)

    def _look(self) -> None:
        """Let what happened since the last request happen now."""
        seen = self._seen(None)
        if not seen.is_dark:
            self._dusk_s = None
        elif self._dusk_s is None:
            self._dusk_s = self._clock_s()
        self._today.turn(self._dawns.look(seen.is_dark))
        is_full = seen.battery_mv >= self._settings[_BOOST] * 100 * seen.twelves
        self._full_charges += is_full and not self._was_full
        self._was_full = is_full

    def _seen(self, limit_mw: int | None) -> SeenPlant:
        return see_plant(
            self.plant, self._distortion, limit_mw=limit_mw, load_is_on=self.load_is_on
        )

    def _image(self) -> dict[int, int]:
        seen = self._seen(self.limit_mw)
        return {
            **self._identity(),
            **self._now(seen),
            **self._daily(seen),
            **self._lifetime(seen),
            **self._settings,
        }

    def _identity(self) -> dict[int, int]:
        name = "RCC40RVRE-G1" if self._is_elite else "RNG-CTRL-RVR40"
        if "wrong_model" in self.faults:
            name = "EM24DINAV93XISX"
        return image(
            {
                0x000A: (24 << 8 | 40, 20 << 8),
                0x000C: letters(f"  {name}".ljust(16), 8),
                0x0014: whole(0x0001_0204, 2),
                0x0016: whole(0x0001_0100, 2),
                0x0018: whole(self._serial, 2),
                _ID: (self.device_id,),
            }
        )

    def _now(self, seen: SeenPlant) -> dict[int, int]:
        load_is_on = self.load_is_on
        return image(
            {
                0x0100: (seen.charge_percent, seen.battery_mv // 100, seen.charging_ma // 10),
                0x0103: (
                    _sign_magnitude(self.controller_c) << 8 | _sign_magnitude(self.battery_c),
                ),
                0x0104: (seen.battery_mv // 100 if load_is_on else 0, seen.load_ma // 10),
                0x0106: (seen.load_mw // 1_000,),
                0x0107: (seen.pv_mv // 100, seen.pv_ma // 10, seen.pv_mw // 1_000),
                _LOAD: (int(load_is_on),),
                0x0120: ((0x80 | 100 if load_is_on else 0) << 8 | self._stage(seen), 0, 0),
            }
        )

    def _stage(self, seen: SeenPlant) -> int:
        if seen.pv_mw == 0:
            return _OFF
        return _BOOSTS if self._was_full else _MPPT

    def _daily(self, seen: SeenPlant) -> dict[int, int]:
        today, volts = self._today, seen.battery_mv // 100
        charged_uwh = today.since("charge", seen.generated_uwh)
        drawn_uwh = today.since("load", seen.consumed_uwh)
        amp_hour = _UWH_PER_AH_AT_12_V * seen.twelves
        return image(
            {
                0x010B: (today.least("battery", volts), today.most("battery", volts)),
                0x010D: (today.most("charging", seen.charging_ma // 10),),
                0x010E: (today.most("load", seen.load_ma // 10),),
                0x010F: (today.most("power", seen.pv_mw // 1_000),),
                0x0110: (today.most("load power", seen.load_mw // 1_000),),
                0x0111: (charged_uwh // amp_hour & 0xFFFF, drawn_uwh // amp_hour & 0xFFFF),
                0x0113: (charged_uwh // 10**6 & 0xFFFF, drawn_uwh // 10**6 & 0xFFFF),
            }
        )

    def _lifetime(self, seen: SeenPlant) -> dict[int, int]:
        made_uwh, used_uwh = seen.generated_uwh - self._cleared[0], seen.consumed_uwh
        used_uwh -= self._cleared[1]
        amp_hour = _UWH_PER_AH_AT_12_V * seen.twelves
        days = 1 + int(self._clock_s() - self._begun_s) // _DAY_S
        return image(
            {
                0x0115: (days, 0, self._full_charges),
                0x0118: whole(made_uwh // amp_hour, 2),
                0x011A: whole(used_uwh // amp_hour, 2),
                0x011C: whole(made_uwh // 10**6, 2),
                0x011E: whole(used_uwh // 10**6, 2),
            }
        )


def _sign_magnitude(celsius: int) -> int:
    """Return a temperature with bit 7 as its sign."""
    return (0x80 if celsius < 0 else 0) | min(abs(celsius), 0x7F)
