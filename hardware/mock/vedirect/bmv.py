"""A Victron BMV-702 battery monitor on VE.Direct: a shunt in a battery's line.

It counts itself: voltage times current over its own clock, in two counters. Each second it tells
two blocks, what it measures and its history.

Source: Victron VE.Direct protocol papers; recordings of a BMV-702 and a BMV-712.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from hardware.mock.points import SolarPlant
from hardware.mock.vedirect.device import Cell, Fields, VeDirectDevice, cell

_UWH = 10**7
_MEASURED = frozenset({"V", "I", "P", "CE", "SOC", "TTG"})
_MEASURED_AT = (0x0FFE, 0x0FFF, 0xED8D, 0xED8E, 0xED8F)
_SIGNED = (0xED8D, 0xED8E, 0xED8F)
_HOUR_S = 3_600


class VictronBmv(VeDirectDevice):
    """One battery monitor on the battery of one plant."""

    product_id = 0x0203
    model = "BMV-702"
    pushed = (0x034E, 0x0FFE, 0x0FFF, 0xED8D, 0xED8E, 0xED8F)

    def __init__(
        self,
        plant: SolarPlant,
        *,
        serial: str = "HQ1328MBJ7P",
        firmware: int = 308,
        capacity_ah: int = 200,
        seed: int = 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure the battery of this plant.

        Args:
            plant: whose battery.
            serial: its serial number.
            firmware: its version.
            capacity_ah: what the battery holds. [Ah]
            seed: of the faults that are random.
            clock_s: any clock that never goes back. [s]
        """
        super().__init__(serial, firmware, seed, clock_s)
        self.plant = plant
        self.relay_is_on = False
        self._capacity_mah = capacity_ah * 1_000
        self._relay_mode = 2
        self._counted_s = clock_s()
        self._charged_uws = self._discharged_uws = self._drawn_mas = 0.0
        self._deepest_mah = 0
        self._least_mv = self._most_mv = plant.battery_mv
        self._full_s: float | None = None

    @property
    def limit_mw(self) -> int | None:
        """What it lets through of the panels: everything, it only looks on."""
        return None

    def measured(self) -> frozenset[str]:
        """Return the labels whose values are measured."""
        return _MEASURED

    def blocks(self) -> Sequence[Fields]:
        """Return what it measures, and its history."""
        self._count()
        minutes = self._minutes_to_go()
        now: Fields = [
            ("PID", f"0x{self.product_id:04X}"),
            ("V", str(self._battery_mv)),
            ("I", str(self._battery_ma)),
            ("P", str(round(self._battery_mv * self._battery_ma / 1_000_000))),
            ("CE", str(-self._consumed_mah)),
            ("SOC", str(self.plant.charge_percent * 10)),
            ("TTG", str(-1 if minutes is None else minutes)),
            ("Alarm", "OFF"),
            ("Relay", "ON" if self.relay_is_on else "OFF"),
            ("AR", "0"),
            ("BMV", self.model.removeprefix("BMV-")),
            ("FW", f"{self._firmware:04d}"),
        ]
        return [now, self._past()]

    def _past(self) -> Fields:
        full_s = "---" if self._full_s is None else str(int(self._clock_s() - self._full_s))
        return [
            ("H1", str(-self._deepest_mah)),
            ("H2", str(-self._consumed_mah)),
            ("H3", "0"),
            ("H4", "0"),
            ("H5", "0"),
            ("H6", str(-int(self._drawn_mas / _HOUR_S))),
            ("H7", str(self._least_mv)),
            ("H8", str(self._most_mv)),
            ("H9", full_s),
            ("H10", "0"),
            ("H11", "0"),
            ("H12", "0"),
            ("H15", "0"),
            ("H16", "0"),
            ("H17", str(int(self._discharged_uws / _HOUR_S) // _UWH)),
            ("H18", str(int(self._charged_uws / _HOUR_S) // _UWH)),
        ]

    def cells(self) -> Mapping[int, Cell]:
        """Return the registers that its documents and public drivers agree on."""
        self._count()
        power_w = round(self._battery_mv * self._battery_ma / 1_000_000)
        cells = {
            0x034E: cell(int(self.relay_is_on), 1, writable=True),
            0x034F: cell(self._relay_mode, 1, writable=True),
            0x0FFE: cell(self._minutes_to_go(), 2),
            0x0FFF: cell(self.plant.charge_percent * 100, 2),
            0x1000: cell(self._capacity_mah // 1_000, 2, writable=True),
            0xED8D: cell(self._battery_mv // 10, 2, signed=True),
            0xED8E: cell(power_w, 2, signed=True),
            0xED8F: cell(self._battery_ma // 100, 2, signed=True),
        }
        if "not_available" in self.faults:
            for place in _MEASURED_AT:
                cells[place] = cell(None, 2, signed=place in _SIGNED)
        return cells

    def store(self, register: int, value: bytes) -> bool:
        """Take the relay's state or mode, or the capacity."""
        number = int.from_bytes(value, "little")
        match register:
            case 0x034E if number in (0, 1) and self._relay_mode == 2:
                self.relay_is_on = bool(number)
            case 0x034F if number in (0, 1, 2):
                self._relay_mode = number
            case 0x1000 if 1 <= number <= 9_999:
                self._capacity_mah = number * 1_000
            case _:
                return False
        return True

    @property
    def _battery_mv(self) -> int:
        return self._distortion.seen("voltage_mv", self.plant.battery_mv)

    @property
    def _battery_ma(self) -> int:
        return self._distortion.seen("current_ma", self.plant.battery_ma)

    @property
    def _consumed_mah(self) -> int:
        return self._capacity_mah * (100 - self.plant.charge_percent) // 100

    def _minutes_to_go(self) -> int | None:
        """Return how long the battery lasts at this current; None while it is charged. [min]"""
        if self._battery_ma >= 0:
            return None
        left_mah = self._capacity_mah - self._consumed_mah
        return min(left_mah * 60 // -self._battery_ma, 14_400)

    def _count(self) -> None:
        """Count what flowed since it last looked."""
        now_s = self._clock_s()
        passed_s, self._counted_s = now_s - self._counted_s, now_s
        energy_uws = self.plant.battery_mv * self.plant.battery_ma * passed_s
        self._charged_uws += max(energy_uws, 0.0)
        self._discharged_uws += max(-energy_uws, 0.0)
        self._drawn_mas += max(-self.plant.battery_ma, 0) * passed_s
        self._deepest_mah = max(self._deepest_mah, self._consumed_mah)
        self._least_mv = min(self._least_mv, self.plant.battery_mv)
        self._most_mv = max(self._most_mv, self.plant.battery_mv)
        if self.plant.charge_percent >= 100:
            self._full_s = now_s
