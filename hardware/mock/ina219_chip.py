"""The INA219 chip: six registers, a pointer, and the arithmetic behind them.

Written from the data sheet alone. With a clock it converts as the chip does: results and the
ready flag change when a conversion ends. Without one each access finds a conversion just ended,
which is what a world that jumps in time needs.

Source: TI SBOS448, sections 8.4 to 8.6.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from hardware.mock.faults import SENSOR_FAULTS, Distortion, FaultSwitches
from hardware.mock.i2c_bus import bus_error
from hardware.mock.points import DcLine

_POWER_ON = 0x399F
_RESET_BIT = 0x8000
_WRITABLE = (0, 5)
_POINTERS = 6
_READY, _OVERFLOW = 0b10, 0b01
_POWER_DOWN, _ADC_OFF = 0, 4
_CONVERSION_NS = {0x0: 84_000, 0x1: 148_000, 0x2: 276_000, 0x3: 532_000, 0x8: 532_000}
_SHUNT_FULL_SCALE = (4_000, 8_000, 16_000, 32_000)
_BUS_FULL_SCALE = (4_000, 8_000)


class Ina219Chip:
    """One chip on a shunt. The wires it measures may change at any time."""

    def __init__(
        self,
        line: DcLine,
        *,
        shunt_mohm: int = 100,
        clock_ns: Callable[[], int] | None = None,
        seed: int = 0,
    ) -> None:
        """Power it on.

        Args:
            line: current through the shunt and voltage behind it.
            shunt_mohm: the resistor on the board.
            clock_ns: nanoseconds that rise, or None for conversions that end at once.
            seed: of the noise fault.
        """
        self.line = line
        self.faults = FaultSwitches(
            *SENSOR_FAULTS, "unplugged", "stuck", "brown_out", "never_ready"
        )
        self._distortion = Distortion(self.faults, seed)
        self._shunt_mohm = shunt_mohm
        self._clock_ns = clock_ns
        self._is_ready = False
        self._is_converting = True
        self.power_cycle()

    def power_cycle(self) -> None:
        """Fall back to power-on values, as a brown-out does."""
        self._pointer = 0
        self._words = [_POWER_ON, 0, 0, 0, 0, 0]
        self._begin()

    def write(self, sent: bytes) -> None:
        """Take a pointer, and a word if one follows."""
        self._check_wires()
        if not sent:
            return
        self._pointer = sent[0]
        if len(sent) >= 3:
            self._store(int.from_bytes(sent[1:3], "big"))

    def read(self, count: int) -> bytes:
        """Return the register at the pointer; the chip repeats it while the master goes on."""
        self._check_wires()
        self._convert()
        if self._pointer >= _POINTERS:
            return bytes(count)
        word = self._words[self._pointer]
        if self._pointer == 2:
            word |= _READY if self._is_ready else 0
        if self._pointer == 3:
            self._is_ready = False
        return (word.to_bytes(2, "big") * (count // 2 + 1))[:count]

    def _check_wires(self) -> None:
        if "stuck" in self.faults:
            raise bus_error(errno.ETIMEDOUT)
        if "unplugged" in self.faults:
            raise bus_error(errno.EREMOTEIO)
        if self.faults.take("brown_out"):
            self.power_cycle()

    def _store(self, word: int) -> None:
        if self._pointer not in _WRITABLE:
            return
        if self._pointer == 5:
            self._words[5] = word & 0xFFFE  # bit 0 is not there
            return
        if word & _RESET_BIT:
            self.power_cycle()
            return
        self._words[0] = word
        if word & 7 not in (_POWER_DOWN, _ADC_OFF):
            self._begin()

    def _begin(self) -> None:
        """Start converting anew: the ready flag falls."""
        self._is_ready = False
        self._is_converting = True
        self._begun_ns = self._clock_ns() if self._clock_ns else 0

    def _convert(self) -> None:
        """Latch a conversion if one has ended since the last."""
        mode = self._words[0] & 7
        is_off = mode in (_POWER_DOWN, _ADC_OFF) or not self._is_converting
        if is_off or "never_ready" in self.faults:
            return
        if self._clock_ns is not None:
            elapsed_ns = self._clock_ns() - self._begun_ns
            period_ns = self._period_ns(mode)
            if elapsed_ns < period_ns:
                return
            self._begun_ns += elapsed_ns // period_ns * period_ns
        self._latch(mode)
        self._is_ready = True
        self._is_converting = mode > _ADC_OFF  # triggered modes convert once a write

    def _period_ns(self, mode: int) -> int:
        config = self._words[0]
        shunt = self._adc_ns(config >> 3 & 0xF) if mode & 1 else 0
        bus = self._adc_ns(config >> 7 & 0xF) if mode & 2 else 0
        return shunt + bus

    @staticmethod
    def _adc_ns(code: int) -> int:
        if code & 0x8 and code != 0x8:
            return 532_000 << (code & 0x7)
        return _CONVERSION_NS[code if code == 0x8 else code & 0x3]

    def _latch(self, mode: int) -> None:
        seen = self._distortion.seen
        config, calibration = self._words[0], self._words[5]
        if mode & 1:
            full = _SHUNT_FULL_SCALE[config >> 11 & 3]
            drop_nv = seen("current_ua", self.line.current_ua) * self._shunt_mohm
            counts = max(-full, min(full, _nearest(drop_nv, 10_000)))
            self._words[1] = counts & 0xFFFF
        if mode & 2:
            full = _BUS_FULL_SCALE[config >> 13 & 1]
            counts = max(0, min(full, _nearest(seen("voltage_mv", self.line.bus_mv), 4)))
            self._words[2] = counts << 3
        self._multiply(calibration)

    def _multiply(self, calibration: int) -> None:
        """Compute current and power from the latched voltages, truncating as the chip does."""
        shunt = int.from_bytes(self._words[1].to_bytes(2, "big"), "big", signed=True)
        magnitude = abs(shunt) * calibration // 4096
        power = magnitude * (self._words[2] >> 3) // 5000
        overflow = magnitude > 32_767 or power > 65_535
        self._words[2] = self._words[2] & ~_OVERFLOW | (_OVERFLOW if overflow else 0)
        if not overflow:
            self._words[4] = (magnitude if shunt >= 0 else -magnitude) & 0xFFFF
            self._words[3] = power


def _nearest(value: int, step: int) -> int:
    return (2 * value + step) // (2 * step)
