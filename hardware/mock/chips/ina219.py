"""The INA219 chip: six registers, and the arithmetic behind them. Written from the data sheet.

Source: TI SBOS448, sections 8.4 to 8.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hardware.mock.chips.register_chip import RegisterChip, nearest, signed
from hardware.mock.faults import Distortion
from hardware.mock.points import DcLine

_CONFIGURATION, _SHUNT, _BUS, _POWER, _CURRENT, _CALIBRATION = range(6)
_POWER_ON = {0: 0x399F, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
_READY, _OVERFLOW = 0b10, 0b01
_CONVERSION_NS = {0x0: 84_000, 0x1: 148_000, 0x2: 276_000, 0x3: 532_000, 0x8: 532_000}
_SHUNT_FULL_SCALE = (4_000, 8_000, 16_000, 32_000)
_BUS_FULL_SCALE = (4_000, 8_000)


class Ina219Chip(RegisterChip):
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
        super().__init__(clock_ns, "overflow")
        self.line = line
        self._distortion = Distortion(self.faults, seed)
        self._shunt_mohm = shunt_mohm

    def _power_on(self) -> Mapping[int, int]:
        return _POWER_ON

    def _store(self, register: int, word: int) -> None:
        if register == _CONFIGURATION:
            self._configure(word)
        elif register == _CALIBRATION:
            self._words[_CALIBRATION] = word & 0xFFFE  # bit 0 is not there

    def _load(self, register: int) -> int:
        word = super()._load(register)
        if register == _BUS and self._is_ready:
            word |= _READY
        if register == _POWER:
            self._is_ready = False
        return word

    def _period_ns(self, mode: int) -> int:
        config = self._words[_CONFIGURATION]
        shunt = _adc_ns(config >> 3 & 0xF) if mode & 1 else 0
        bus = _adc_ns(config >> 7 & 0xF) if mode & 2 else 0
        return shunt + bus

    def _latch(self, mode: int) -> None:
        seen = self._distortion.seen
        config = self._words[_CONFIGURATION]
        if mode & 1:
            full = _SHUNT_FULL_SCALE[config >> 11 & 3]
            drop_nv = seen("current_ua", self.line.current_ua) * self._shunt_mohm
            counts = max(-full, min(full, nearest(drop_nv, 10_000)))
            self._words[_SHUNT] = counts & 0xFFFF
        if mode & 2:
            full = _BUS_FULL_SCALE[config >> 13 & 1]
            counts = max(0, min(full, nearest(seen("voltage_mv", self.line.bus_mv), 4)))
            self._words[_BUS] = counts << 3
        self._multiply()

    def _multiply(self) -> None:
        """Compute current and power from the latched voltages, truncating as the chip does."""
        shunt = signed(self._words[_SHUNT])
        magnitude = abs(shunt) * self._words[_CALIBRATION] // 4096
        power = magnitude * (self._words[_BUS] >> 3) // 5000
        overflow = magnitude > 32_767 or power > 65_535 or "overflow" in self.faults
        self._words[_BUS] = self._words[_BUS] & ~_OVERFLOW | (_OVERFLOW if overflow else 0)
        if not overflow:
            self._words[_CURRENT] = (magnitude if shunt >= 0 else -magnitude) & 0xFFFF
            self._words[_POWER] = power


def _adc_ns(code: int) -> int:
    if code & 0x8 and code != 0x8:
        return 532_000 << (code & 0x7)
    return _CONVERSION_NS[code if code == 0x8 else code & 0x3]
