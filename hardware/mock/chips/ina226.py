"""The INA226 chip: measurement, calibration, alert and identification registers.

Written from the data sheet. An alert function compares each result with the limit register; of
several that are enabled the highest bit counts.
Source: TI SBOS547, sections 7.5 and 7.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hardware.mock.chips.register_chip import RegisterChip, averaged_ns, nearest, signed
from hardware.mock.faults import Distortion
from hardware.mock.points import DcLine

_CONFIGURATION, _SHUNT, _BUS, _POWER, _CURRENT, _CALIBRATION, _MASK, _LIMIT = range(8)
_MANUFACTURER, _DIE, _OTHER_DIE = 0xFE, 0xFF, 0x3220
_POWER_ON = {
    **dict.fromkeys(range(1, 8), 0),
    _CONFIGURATION: 0x4127,
    _MANUFACTURER: 0x5449,
    _DIE: 0x2260,
}
_FIXED_BITS = 0x4000
_MASK_WRITABLE = 0xFC03
_ON_READY, _LATCHED = 1 << 10, 1 << 0
_FIRED, _READY, _OVERFLOW = 1 << 4, 1 << 3, 1 << 2
_SHUNT_OVER, _SHUNT_UNDER, _BUS_OVER, _BUS_UNDER, _POWER_OVER = (1 << n for n in range(15, 10, -1))


class Ina226Chip(RegisterChip):
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
        super().__init__(clock_ns, "wrong_model", "overflow")
        self.line = line
        self._distortion = Distortion(self.faults, seed)
        self._shunt_mohm = shunt_mohm

    @property
    def is_alerted(self) -> bool:
        """Whether the alert pin is active; its polarity is the board's business."""
        on_ready = bool(self._words[_MASK] & _ON_READY) and self._is_ready
        return self._has_fired or on_ready

    def power_cycle(self) -> None:
        """Fall back to power-on values, as a brown-out does."""
        self._has_fired = False
        self._has_overflowed = False
        super().power_cycle()

    def _power_on(self) -> Mapping[int, int]:
        return _POWER_ON

    def _store(self, register: int, word: int) -> None:
        if register == _CONFIGURATION:
            self._configure(word & 0x8FFF | _FIXED_BITS)
        elif register == _CALIBRATION:
            self._words[_CALIBRATION] = word & 0x7FFF
        elif register == _MASK:
            self._words[_MASK] = word & _MASK_WRITABLE
        elif register == _LIMIT:
            self._words[_LIMIT] = word

    def _load(self, register: int) -> int:
        if register == _DIE and "wrong_model" in self.faults:
            return _OTHER_DIE
        word = super()._load(register)
        if register != _MASK:
            return word
        word |= _FIRED if self._has_fired else 0
        word |= _READY if self._is_ready else 0
        word |= _OVERFLOW if self._has_overflowed else 0
        self._is_ready = False
        if word & _LATCHED:
            self._has_fired = False
        return word

    def _period_ns(self, mode: int) -> int:
        return averaged_ns(self._words[_CONFIGURATION], mode)

    def _latch(self, mode: int) -> None:
        seen = self._distortion.seen
        if mode & 1:
            drop_nv = seen("current_ua", self.line.current_ua) * self._shunt_mohm
            counts = max(-0x8000, min(0x7FFF, nearest(drop_nv, 2_500)))
            self._words[_SHUNT] = counts & 0xFFFF
        if mode & 2:
            bus_uv = seen("voltage_mv", self.line.bus_mv) * 1_000
            self._words[_BUS] = max(0, min(0x7FFF, nearest(bus_uv, 1_250)))
        self._multiply()
        self._compare()

    def _multiply(self) -> None:
        """Compute current and power from the latched voltages, truncating as the chip does."""
        shunt = signed(self._words[_SHUNT])
        magnitude = abs(shunt) * self._words[_CALIBRATION] // 2048
        power = magnitude * self._words[_BUS] // 20_000
        is_out = magnitude > 32_767 or power > 65_535
        self._has_overflowed = is_out or "overflow" in self.faults
        if not self._has_overflowed:
            self._words[_CURRENT] = (magnitude if shunt >= 0 else -magnitude) & 0xFFFF
            self._words[_POWER] = power

    def _compare(self) -> None:
        """Set the alert flag; without the latch it also falls."""
        words = self._words
        shunt, limit = signed(words[_SHUNT]), words[_LIMIT]
        fires = {
            _SHUNT_OVER: shunt > signed(limit),
            _SHUNT_UNDER: shunt < signed(limit),
            _BUS_OVER: words[_BUS] > limit,
            _BUS_UNDER: words[_BUS] < limit,
            _POWER_OVER: words[_POWER] > limit,
        }
        is_beyond = next((beyond for bit, beyond in fires.items() if words[_MASK] & bit), False)
        self._has_fired = is_beyond or (self._has_fired and bool(words[_MASK] & _LATCHED))
