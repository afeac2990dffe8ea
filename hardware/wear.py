"""Set-points in memory that wears out: written rarely, and never what already stands there.

An EEPROM cell bears some 100 000 writes, and no controller counts them for its owner: a limit
renewed once a minute would wear it out in ten weeks, 24 writes a day take eleven years. The
budget knows no clock and no bus; the time is given, so that it can be tested and replayed.

Source: endurance of 100 000 cycles as in the data sheets of common EEPROM (Microchip 24LC256).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from hardware.errors import LimitRefused
from hardware.ports import ModbusPort

DAY_MS: Final = 86_400_000


class WriteBudget:
    """How often one device's memory may still be written.

    A few writes may follow each other at once; then one comes free at a time, so that in any
    window of time there are never more than `writes_max`. It is not kept over a restart: a new
    one allows no more than those few, and a program that restarts all day wears no faster than
    it restarts.
    """

    def __init__(
        self, writes_max: int = 24, *, window_ms: int = DAY_MS, at_once_max: int = 4
    ) -> None:
        """Begin with `at_once_max` writes.

        Args:
            writes_max: the most in any window.
            window_ms: how long a window is. [ms]
            at_once_max: how many may follow each other without rest; below `writes_max`.
        """
        if not 1 <= at_once_max < writes_max:
            raise ValueError(f"at_once_max = {at_once_max}: want 1 to below {writes_max}")
        self.writes_max = writes_max
        self.window_ms = window_ms
        self._one_ms = -(-window_ms // (writes_max - at_once_max))  # rounded up
        self._full_ms = at_once_max * self._one_ms
        self._saved_ms = self._full_ms
        self._seen_ms: int | None = None

    def left(self, now_ms: int) -> int:
        """Return how many writes are free now; `now_ms` is any clock that never goes back."""
        return self._grown(now_ms) // self._one_ms

    def wait_ms(self, now_ms: int, writes: int = 1) -> int:
        """Return how long it takes until so many are free; 0: they are. [ms]"""
        return max(0, writes * self._one_ms - self._grown(now_ms))

    def spend(self, now_ms: int, *, reserve: int = 0) -> None:
        """Take one write, and leave at least `reserve` for later.

        Whoever starts something that must be ended by another write keeps one in reserve.

        Raises:
            LimitRefused: too many; the message says when there is one.
        """
        wait_ms = self.wait_ms(now_ms, 1 + reserve)
        if wait_ms:
            raise LimitRefused(
                f"its memory bears {self.writes_max} writes in {self.window_ms // 3_600_000} h; "
                f"the next one is free in {-(-wait_ms // 60_000)} min"
            )
        self._saved_ms = self._grown(now_ms) - self._one_ms
        self._seen_ms = now_ms

    def _grown(self, now_ms: int) -> int:
        """Return what is saved by now, in time it took to save. [ms]"""
        passed_ms = 0 if self._seen_ms is None else max(0, now_ms - self._seen_ms)
        return min(self._full_ms, self._saved_ms + passed_ms)


class WornMemory:
    """The settings of one Modbus device, behind its budget."""

    def __init__(
        self,
        bus: ModbusPort,
        device: int,
        budget: WriteBudget,
        *,
        one_by_one: bool = False,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Guard this device's holding registers; nothing is read yet.

        Args:
            bus: the bus it sits on.
            device: its id.
            budget: how often it may be written.
            one_by_one: whether it knows function 6 only; else function 16 is used.
            clock_s: the budget's clock. [s]
        """
        self._bus = bus
        self._device = device
        self._budget = budget
        self._one_by_one = one_by_one
        self._clock_s = clock_s

    def keep(self, address: int, words: tuple[int, ...], *, reserve: int = 0) -> bool:
        """Let these words stand at consecutive addresses; return whether they had to be written.

        What was written is read back.

        Raises:
            LimitRefused: the budget is spent, or the device did not keep what was written.
            HardwareError: as the bus does.
        """
        standing = self._standing(address, len(words))
        if standing == words:
            return False
        if self._one_by_one:
            for place, word in enumerate(words):
                if standing[place] != word:
                    self._spend(reserve)
                    self._bus.write_word(self._device, address + place, word)
        else:
            self._spend(reserve)
            self._bus.write_words(self._device, address, words)
        standing = self._standing(address, len(words))
        if standing != words:
            raise LimitRefused(
                f"device {self._device}, setting 0x{address:04X}: wrote {_shown(words)}, "
                f"but {_shown(standing)} stands there"
            )
        return True

    def _spend(self, reserve: int) -> None:
        self._budget.spend(int(self._clock_s() * 1_000), reserve=reserve)

    def _standing(self, address: int, count: int) -> tuple[int, ...]:
        return self._bus.read_words(self._device, 3, address, count)


def _shown(words: tuple[int, ...]) -> str:
    return " ".join(f"{word:04X}" for word in words)
