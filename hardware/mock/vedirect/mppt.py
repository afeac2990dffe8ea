"""A Victron SmartSolar MPPT 100/30 on VE.Direct, as its protocol papers and recordings show it.

The charge current limit 0x2015 and what else comes from a network is forgotten after 60 s. The
maximum current 0xEDF0 and the voltages lie in an EEPROM, whose writes are counted.

Source: Victron BlueSolar HEX protocol; recordings of an MPPT 75|15 and a 100/30.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hardware.mock.chargers.seen_plant import SeenPlant, see_plant
from hardware.mock.points import SolarPlant
from hardware.mock.vedirect.days import DAYS, History
from hardware.mock.vedirect.device import Cell, Fields, VeDirectDevice, cell

RATED_TENTHS: Final = 300
"""Rated charge current. [0.1 A]"""

_FORGET_S = 60.0
_OFF, _BULK, _FLOAT = 0, 3, 5
_MODE_ON, _MODE_OFF = 1, 4
_NO_POWER, _BY_MODE = 0x01, 0x04
_REMOTE = 0b10
_EXTERNAL, _BMS = 0x04, 0x08
_LOAD_ON = (1, 5)
_UWH = 10**7
_DAYS_AT = 0x1050
_NETWORK = {0x2001: 2, 0x2002: 2, 0x2003: 2, 0x200E: 1, 0x2015: 2}
"""Volatile registers that a network sets, and their size."""

_KEPT: Mapping[int, tuple[int, int]] = {
    0xED98: (0, 1),
    0xEDF0: (RATED_TENTHS, 2),
    0xEDF1: (2, 1),
    0xEDF6: (1_380, 2),
    0xEDF7: (1_440, 2),
}
"""Registers in the EEPROM: their value from the factory, and their size."""

_MEASURED = frozenset({"V", "I", "VPV", "PPV", "IL"})
_MEASURED_AT = frozenset({0x2027, 0xED8D, 0xED8F, 0xEDA9, 0xEDAD})
_MEASURED_AT |= {0xEDBB, 0xEDBC, 0xEDBD, 0xEDD5, 0xEDD7, 0xEDDB}


class VictronMppt(VeDirectDevice):
    """One charge controller on one plant."""

    product_id = 0xA056
    model = "SmartSolar Charger MPPT 100/30"
    pushed = (
        0x0120,
        0x0200,
        0x0201,
        0x200E,
        0x2015,
        0xEDA8,
        0xEDB3,
        0xEDBB,
        0xEDBC,
        0xEDD5,
        0xEDD7,
    )

    def __init__(
        self,
        plant: SolarPlant,
        *,
        serial: str = "HQ2132QY2KR",
        firmware: int = 159,
        needs_network_mode: bool = False,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure this plant.

        Args:
            plant: panels, battery and load.
            serial: its serial number.
            firmware: its version; below 153 text stops while HEX is spoken.
            needs_network_mode: whether 0x2015 acts only in a network mode, as on some products.
            seed: of the faults that are random.
            clock_s: any clock that never goes back. [s]
        """
        super().__init__(serial, firmware, seed, clock_s)
        self.plant = plant
        self.eeprom_writes = 0
        self._needs_network_mode = needs_network_mode
        self._mode, self._remote, self._load = _MODE_ON, 0, 1
        self._network: dict[int, tuple[bytes, float]] = {}
        self._kept = {place: cell(*each).value for place, each in _KEPT.items()}
        self._history = History()

    @property
    def load_is_on(self) -> bool:
        """Whether its load output is on."""
        return self._load & 0x0F in _LOAD_ON

    @property
    def limit_mw(self) -> int | None:
        """What it lets through now; None without a limit. [mW]"""
        if self._mode != _MODE_ON:
            return 0
        tenths = [self._kept_number(0xEDF0)] if self._kept_number(0xEDF0) < RATED_TENTHS else []
        limit, mode = self._network_value(0x2015), self._network_value(0x200E)
        is_heeded = not self._needs_network_mode or bool(mode and mode[0] & (_EXTERNAL | _BMS))
        if limit is not None and is_heeded:
            tenths.append(int.from_bytes(limit, "little"))
        return min(tenths) * self.plant.battery_mv // 10 if tenths else None

    def restart(self) -> None:
        """Forget what came from a network; mode, load and EEPROM stay."""
        super().restart()
        self._network.clear()

    # Text

    def measured(self) -> frozenset[str]:
        """Return the labels whose values are measured."""
        return _MEASURED

    def blocks(self) -> Sequence[Fields]:
        """Return one block of 19 fields."""
        seen = self._see()
        today = self._history.look(seen, self._stage(seen), self._clock_s())
        days = self._history.days
        yesterday = days[1] if len(days) > 1 else None
        return [
            [
                ("PID", f"0x{self.product_id:04X}"),
                ("FW", str(self._firmware)),
                ("SER#", self._serial),
                ("V", _tens(seen.battery_mv)),
                ("I", _tens(seen.charging_ma - seen.load_ma)),
                ("VPV", _tens(seen.pv_mv)),
                ("PPV", str(seen.pv_mw // 1_000)),
                ("CS", str(self._stage(seen))),
                ("MPPT", str(self._tracker(seen))),
                ("OR", f"0x{self._off_reason(seen):08X}"),
                ("ERR", "0"),
                ("LOAD", "ON" if self.load_is_on else "OFF"),
                ("IL", _tens(seen.load_ma)),
                ("H19", str(seen.generated_uwh // _UWH)),
                ("H20", str(today.yield_uwh // _UWH)),
                ("H21", str(today.power_mw_max // 1_000)),
                ("H22", str(yesterday.yield_uwh // _UWH if yesterday else 0)),
                ("H23", str(yesterday.power_mw_max // 1_000 if yesterday else 0)),
                ("HSDS", str(today.sequence)),
            ]
        ]

    # HEX

    def cells(self) -> Mapping[int, Cell]:
        """Return every register that its documents list."""
        seen = self._see()
        self._history.look(seen, self._stage(seen), self._clock_s())
        cells = {**self._states(seen), **self._settings(), **self._counters(seen)}
        cells |= self._quantities(seen)
        if "not_available" in self.faults:
            for place in _MEASURED_AT & cells.keys():
                cells[place] = cell(None, len(cells[place].value), signed=place in (0xED8D, 0xED8F))
        return cells

    def store(self, register: int, value: bytes) -> bool:
        """Take a setting that it can have."""
        number = int.from_bytes(value, "little")
        match register:
            case 0x0200:
                if number not in (0, _MODE_ON, _MODE_OFF):
                    return False
                self._mode = number
            case 0x0202:
                self._remote = number
            case 0xEDAB:
                if number & 0x0F > 5:
                    return False
                self._load = number
            case _ if register in _NETWORK:
                self._network[register] = (value, self._clock_s())
            case 0xEDF0 if number > RATED_TENTHS:
                return False
            case _:
                self._kept[register] = value
                self.eeprom_writes += 1
        return True

    def _see(self) -> SeenPlant:
        return see_plant(
            self.plant, self._distortion, limit_mw=self.limit_mw, load_is_on=self.load_is_on
        )

    def _states(self, seen: SeenPlant) -> dict[int, Cell]:
        reason = self._off_reason(seen)
        return {
            0x0140: cell(0x082F_EF76, 4),
            0x0200: cell(self._mode, 1, writable=True),
            0x0201: cell(self._stage(seen), 1),
            0x0202: cell(self._remote, 4, writable=True),
            0x0205: cell(reason, 1),
            0x0207: cell(reason, 4),
            0x200D: cell(0, 2),
            0xED23: cell(int(_FORGET_S), 2),
            0xEDA8: cell(int(self.load_is_on), 1),
            0xEDAB: cell(self._load, 1, writable=True),
            0xEDB3: cell(self._tracker(seen), 1),
            0xEDB4: cell(0xA2A5, 4),
            0xEDB8: cell(10_000, 2),
            0xEDDA: cell(0, 1),
            0xEDDF: cell(RATED_TENTHS, 2),
        }

    def _settings(self) -> dict[int, Cell]:
        cells = {place: Cell(value, True) for place, value in self._kept.items()}
        for place, size in _NETWORK.items():
            value = self._network_value(place)
            nothing = cell(None, size, signed=place == 0x2003).value
            cells[place] = Cell(nothing if value is None else value, True)
        return cells

    def _quantities(self, seen: SeenPlant) -> dict[int, Cell]:
        net_ma = seen.charging_ma - seen.load_ma
        return {
            0x200A: cell(None, 4, signed=True),
            0x2027: cell(None, 4),
            0xED8D: cell(seen.battery_mv // 10, 2, signed=True),
            0xED8F: cell(net_ma // 100, 2, signed=True),
            0xEDA9: cell(seen.battery_mv // 10 if self.load_is_on else 0, 2),
            0xEDAD: cell(seen.load_ma // 100, 2),
            0xEDBB: cell(seen.pv_mv // 10, 2),
            0xEDBC: cell(seen.pv_mw // 10, 4),
            0xEDBD: cell(seen.pv_ma // 100, 2),
            0xEDD5: cell(seen.battery_mv // 10, 2),
            0xEDD7: cell(seen.charging_ma // 100, 2),
            0xEDDB: cell(3_150, 2, signed=True),
            0xEDEC: cell(None, 2),
        }

    def _counters(self, seen: SeenPlant) -> dict[int, Cell]:
        days = self._history.days
        yesterday = days[1] if len(days) > 1 else None
        records = {_DAYS_AT + ago: Cell(self._history.record(ago)) for ago in range(DAYS)}
        return {
            0x104F: Cell(self._history.total(seen.generated_uwh)),
            **records,
            0xEDD0: cell(yesterday.power_mw_max // 1_000 if yesterday else 0, 2),
            0xEDD1: cell(yesterday.yield_uwh // _UWH if yesterday else 0, 2),
            0xEDD2: cell(days[0].power_mw_max // 1_000, 2),
            0xEDD3: cell(days[0].yield_uwh // _UWH, 2),
            0xEDDC: cell(seen.generated_uwh // _UWH, 4),
            0xEDDD: cell(seen.generated_uwh // _UWH, 4),
        }

    # States

    def _stage(self, seen: SeenPlant) -> int:
        if self._mode != _MODE_ON or seen.is_dark:
            return _OFF
        return _FLOAT if seen.charge_percent >= 100 else _BULK

    def _tracker(self, seen: SeenPlant) -> int:
        if self._stage(seen) == _OFF:
            return 0
        limit_mw = self.limit_mw
        return 1 if limit_mw is not None and self.plant.pv_power_mw > limit_mw else 2

    def _off_reason(self, seen: SeenPlant) -> int:
        by_mode = _BY_MODE if self._mode != _MODE_ON else 0
        return by_mode | (_NO_POWER if seen.is_dark else 0)

    def _network_value(self, register: int) -> bytes | None:
        """Return what a network set, unless it is forgotten or was taken back."""
        value, at_s = self._network.get(register, (b"", 0.0))
        nothing = cell(None, _NETWORK[register], signed=register == 0x2003).value
        is_there = value and value != nothing and self._clock_s() - at_s < _FORGET_S
        return value if is_there else None

    def _kept_number(self, register: int) -> int:
        return int.from_bytes(self._kept[register], "little")


def _tens(milli: int) -> str:
    """Return milli-units in steps of ten, as an MPPT tells voltages and currents."""
    return str(milli // 10 * 10)
