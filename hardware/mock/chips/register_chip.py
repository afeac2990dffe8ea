"""A measuring chip on I2C: sixteen-bit registers behind a pointer, and conversions in between.

What every such chip does on the wire and in time lives here; what its registers mean is the
business of each chip. With a clock it converts as the chip does: results and the ready flag change
when a conversion ends. Without one each access finds a conversion just ended, which is what a
world that jumps in time needs.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from hardware.mock.faults import SENSOR_FAULTS, FaultSwitches
from hardware.mock.wires.i2c_bus import bus_error

CONFIGURATION = 0
"""The register that holds the operating mode in its lowest three bits, on every chip here."""

_RESET_BIT = 0x8000
_POWER_DOWN, _ADC_OFF = 0, 4


class RegisterChip(ABC):
    """One chip. Registers are read and written most significant byte first."""

    def __init__(self, clock_ns: Callable[[], int] | None, *faults: str) -> None:
        """Power it on.

        Args:
            clock_ns: nanoseconds that rise, or None for conversions that end at once.
            faults: switches besides those that every chip has.
        """
        self.faults = FaultSwitches(
            *SENSOR_FAULTS, "turned", "unplugged", "stuck", "brown_out", "never_ready", *faults
        )
        self._clock_ns = clock_ns
        self.power_cycle()

    def power_cycle(self) -> None:
        """Fall back to power-on values, as a brown-out does."""
        self._pointer = 0
        self._words = dict(self._power_on())
        self._begin()

    def write(self, sent: bytes) -> None:
        """Take a pointer, and a word if one follows."""
        self._check_wires()
        if not sent:
            return
        self._pointer = sent[0]
        if len(sent) >= 3:
            self._store(self._pointer, int.from_bytes(sent[1:3], "big"))

    def read(self, count: int) -> bytes:
        """Return the register at the pointer; the chip repeats it while the master goes on."""
        self._check_wires()
        self._convert()
        word = self._load(self._pointer)
        return (word.to_bytes(2, "big") * (count // 2 + 1))[:count]

    # What makes one chip another

    @abstractmethod
    def _power_on(self) -> Mapping[int, int]:
        """Return every register that is not zero at power-on, and any other."""

    @abstractmethod
    def _store(self, register: int, word: int) -> None:
        """Take a written word; what the register does not have is lost."""

    def _load(self, register: int) -> int:
        """Return what a register reads, with whatever reading it does."""
        return self._words.get(register, 0)

    @abstractmethod
    def _period_ns(self, mode: int) -> int:
        """Return the time of one conversion of all enabled inputs; 0: none is enabled. [ns]"""

    @abstractmethod
    def _latch(self, mode: int) -> None:
        """Put what is measured now into the registers."""

    # What all have

    def _configure(self, word: int) -> None:
        """Take a configuration word: reset, or begin to convert as it says."""
        if word & _RESET_BIT:
            self.power_cycle()
            return
        self._words[CONFIGURATION] = word
        if word & 7 not in (_POWER_DOWN, _ADC_OFF):
            self._begin()

    def _check_wires(self) -> None:
        if "stuck" in self.faults:
            raise bus_error(errno.ETIMEDOUT)
        if "unplugged" in self.faults:
            raise bus_error(errno.EREMOTEIO)
        if self.faults.take("brown_out"):
            self.power_cycle()

    def _begin(self) -> None:
        """Start converting anew: the ready flag falls."""
        self._is_ready = False
        self._is_converting = True
        self._begun_ns = self._clock_ns() if self._clock_ns else 0

    def _convert(self) -> None:
        """Latch a conversion if one has ended since the last."""
        mode = self._words[CONFIGURATION] & 7
        period_ns = self._period_ns(mode)
        is_off = mode in (_POWER_DOWN, _ADC_OFF) or not self._is_converting or not period_ns
        if is_off or "never_ready" in self.faults:
            return
        if self._clock_ns is not None:
            elapsed_ns = self._clock_ns() - self._begun_ns
            if elapsed_ns < period_ns:
                return
            self._begun_ns += elapsed_ns // period_ns * period_ns
        self._latch(mode)
        self._is_ready = True
        self._is_converting = mode > _ADC_OFF  # triggered modes convert once a write


def nearest(value: int, step: int) -> int:
    """Return the whole number of steps that is nearest to a value."""
    return (2 * value + step) // (2 * step)


def signed(word: int) -> int:
    """Return a register as two's complement."""
    return word - 0x1_0000 if word & 0x8000 else word


_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
_CONVERSION_US = (140, 204, 332, 588, 1_100, 2_116, 4_156, 8_244)


def averaged_ns(config: int, mode: int) -> int:
    """Return the time of one shunt and bus pair, as INA226 and INA3221 are set. [ns]

    Bits 11 to 9 are samples averaged, 8 to 6 the bus conversion time, 5 to 3 the shunt's.
    """
    shunt = _CONVERSION_US[config >> 3 & 7] if mode & 1 else 0
    bus = _CONVERSION_US[config >> 6 & 7] if mode & 2 else 0
    return (shunt + bus) * _AVERAGES[config >> 9 & 7] * 1_000
