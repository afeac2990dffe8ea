"""When an EPEver controller feeds its load output: by hand, by light or by timers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

MODE, WORK_LENGTHS, TIMES, NIGHT_LENGTH = 0x903D, 0x903E, 0x9042, 0x9065
MANUAL_COIL, TEST_COIL, FORCE_COIL = 0x0002, 0x0005, 0x0006
_RECONNECT, _DISCONNECT = 0x900A, 0x900D
_MANUAL, _LIGHT, _LIGHT_AND_TIMER = 0, 1, 2


class LoadOutput:
    """The load output of one controller. Source: EPEVER B-series Modbus specification V2.3."""

    def __init__(self) -> None:
        """Begin by day, with a battery that is not flat."""
        self.is_flat = False
        self._dusk: datetime | None = None

    def look(self, settings: Mapping[int, int], now: datetime, battery: int, is_dark: bool) -> None:
        """Notice dusk, dawn and a flat battery.

        Args:
            settings: the controller's, by address.
            now: its clock.
            battery: battery voltage as its settings have it. [0.01 V of a 12 V battery]
            is_dark: whether it is night.
        """
        if not is_dark:
            self._dusk = None
        elif self._dusk is None:
            self._dusk = now
        if battery < settings[_DISCONNECT]:
            self.is_flat = True
        elif battery > settings[_RECONNECT]:
            self.is_flat = False

    def is_on(self, settings: Mapping[int, int], coils: Mapping[int, bool], now: datetime) -> bool:
        """Whether the load is fed now."""
        if self.is_flat:
            return False
        if coils.get(TEST_COIL) and coils.get(FORCE_COIL):
            return True
        mode = settings[MODE]
        if mode == _MANUAL:
            return coils[MANUAL_COIL]
        if mode == _LIGHT:
            return self._dusk is not None
        return (
            self._is_timed(settings, now) if mode == _LIGHT_AND_TIMER else _in_times(settings, now)
        )

    def _is_timed(self, settings: Mapping[int, int], now: datetime) -> bool:
        """Whether it is soon after dusk, or soon before the dawn that the night's length tells."""
        if self._dusk is None:
            return False
        evening, morning = (_length(settings[WORK_LENGTHS + place]) for place in (0, 1))
        dawn = self._dusk + _length(settings[NIGHT_LENGTH])
        return now < self._dusk + evening or dawn - morning <= now < dawn


def _in_times(settings: Mapping[int, int], now: datetime) -> bool:
    """Whether the clock lies between the first or the second pair of times."""
    clock = (now.hour, now.minute, now.second)
    for first in (TIMES, TIMES + 6):
        begins, ends = (
            tuple(settings[place + each] for each in (2, 1, 0)) for place in (first, first + 3)
        )
        if begins <= clock < ends or (ends < begins and not ends <= clock < begins):
            return True
    return False


def _length(word: int) -> timedelta:
    return timedelta(hours=word >> 8, minutes=word & 0xFF)
