"""The history of a simulated MPPT: this day and thirty before, each a record of 34 bytes.

Its days begin at dawn, since it has no clock.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hardware.mock.chargers.day_log import Dawns
from hardware.mock.chargers.seen_plant import SeenPlant

DAYS = 31
_UWH = 10**7
_BULK, _ABSORPTION, _FLOAT = 3, 4, 5


@dataclass(slots=True)
class Day:
    """What was logged of one day."""

    sequence: int
    generated_uwh: int
    consumed_uwh: int
    yield_uwh: int = 0
    used_uwh: int = 0
    battery_mv_max: int = 0
    battery_mv_min: int = 0
    power_mw_max: int = 0
    current_ma_max: int = 0
    pv_mv_max: int = 0
    stage_s: dict[int, float] = field(default_factory=dict)

    def log(self, seen: SeenPlant, stage: int, passed_s: float) -> None:
        """Take in a moment, and how long its stage has lasted."""
        self.yield_uwh = seen.generated_uwh - self.generated_uwh
        self.used_uwh = seen.consumed_uwh - self.consumed_uwh
        self.battery_mv_max = max(self.battery_mv_max, seen.battery_mv)
        self.battery_mv_min = min(self.battery_mv_min or seen.battery_mv, seen.battery_mv)
        self.power_mw_max = max(self.power_mw_max, seen.pv_mw)
        self.current_ma_max = max(self.current_ma_max, seen.charging_ma)
        self.pv_mv_max = max(self.pv_mv_max, seen.pv_mv)
        self.stage_s[stage] = self.stage_s.get(stage, 0.0) + passed_s

    def record(self) -> bytes:
        """Return the day as register 0x1050 and the next ones tell it."""
        minutes = (int(self.stage_s.get(each, 0) // 60) for each in (_BULK, _ABSORPTION, _FLOAT))
        return struct.pack(
            "<BIIHHB4BHHHIHHH",
            0,
            self.yield_uwh // _UWH,
            self.used_uwh // _UWH,
            self.battery_mv_max // 10,
            self.battery_mv_min // 10,
            0,
            *(0, 0, 0, 0),
            *minutes,
            self.power_mw_max // 1_000,
            self.current_ma_max // 100,
            self.pv_mv_max // 10,
            self.sequence,
        )


class History:
    """Days, the newest first."""

    def __init__(self) -> None:
        self.days: list[Day] = []
        self._dawns = Dawns()
        self._looked_s = 0.0

    def look(self, seen: SeenPlant, stage: int, now_s: float) -> Day:
        """Log a moment and return its day; after a night a new one begins."""
        passed_s = now_s - self._looked_s if self.days else 0.0
        sequence = self._dawns.look(seen.is_dark) % 365
        if not self.days or self.days[0].sequence != sequence:
            self._begin(seen, sequence)
        self._looked_s = now_s
        self.days[0].log(seen, stage, passed_s)
        return self.days[0]

    def _begin(self, seen: SeenPlant, sequence: int) -> None:
        """Begin a day with the counters that the one before ended with."""
        ended = self.days[0] if self.days else None
        generated_uwh = ended.generated_uwh + ended.yield_uwh if ended else seen.generated_uwh
        consumed_uwh = ended.consumed_uwh + ended.used_uwh if ended else seen.consumed_uwh
        self.days.insert(0, Day(sequence, generated_uwh, consumed_uwh))
        del self.days[DAYS:]

    def record(self, days_ago: int) -> bytes:
        """Return the record of a day; one that was never logged is empty."""
        if days_ago < len(self.days):
            return self.days[days_ago].record()
        return bytes(34)

    def total(self, generated_uwh: int) -> bytes:
        """Return register 0x104F, in the layout of a recording: totals and extremes."""
        least = min((day.battery_mv_min for day in self.days), default=0)
        return struct.pack(
            "<BB4BIIHHBH13s",
            1,
            0,
            *(0, 0, 0, 0),
            generated_uwh // _UWH,
            generated_uwh // _UWH,
            max((day.pv_mv_max for day in self.days), default=0) // 10,
            max((day.battery_mv_max for day in self.days), default=0) // 10,
            max(len(self.days) - 1, 0),
            least // 10,
            b"\xff" * 13,
        )
