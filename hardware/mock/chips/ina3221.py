"""The INA3221 chip: three shunts and bus voltages, with limits, sums and flags; no multiplier.

Written from the data sheet. Shunts are compared with the critical limits at each result, and with
the warning limits too: this chip has no faster results between averages.
Source: TI SBOS576, sections 8.3 to 8.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from hardware.mock.chips.register_chip import RegisterChip, averaged_ns, nearest, signed
from hardware.mock.faults import Distortion
from hardware.mock.points import DcLine

_CONFIGURATION, _FIRST_LIMIT, _SUM, _SUM_LIMIT, _MASK, _VALID_UP, _VALID_DOWN = (
    0x00,
    0x07,
    0x0D,
    0x0E,
    0x0F,
    0x10,
    0x11,
)
_MANUFACTURER, _DIE, _OTHER_DIE = 0xFE, 0xFF, 0x2260
_POWER_ON = {
    **dict.fromkeys(range(1, 7), 0),
    **dict.fromkeys(range(_FIRST_LIMIT, _SUM), 0x7FF8),
    _CONFIGURATION: 0x7127,
    _SUM: 0,
    _SUM_LIMIT: 0x7FFE,
    _MASK: 0,
    _VALID_UP: 0x2710,
    _VALID_DOWN: 0x2328,
    _MANUFACTURER: 0x5449,
    _DIE: 0x3220,
}
_WRITABLE = {
    **dict.fromkeys(range(_FIRST_LIMIT, _SUM), 0xFFF8),
    _SUM_LIMIT: 0xFFFE,
    _MASK: 0x7C00,
    _VALID_UP: 0xFFF8,
    _VALID_DOWN: 0xFFF8,
}
_ENABLED = (1 << 14, 1 << 13, 1 << 12)
"""Of channels 1 to 3, in the configuration; and in the mask, for being part of the sum."""
_WARNING_LATCH, _CRITICAL_LATCH = 1 << 11, 1 << 10
_CRITICAL, _WARNING = (1 << 9, 1 << 8, 1 << 7), (1 << 5, 1 << 4, 1 << 3)
_SUM_BEYOND, _POWER_VALID, _TIMING, _READY = 1 << 6, 1 << 2, 1 << 1, 1 << 0
_CRITICALS, _WARNINGS = sum(_CRITICAL) | _SUM_BEYOND, sum(_WARNING)
_COUNTS = 0x0FFF


class Ina3221Chip(RegisterChip):
    """One chip on three shunts. The wires it measures may change at any time."""

    def __init__(
        self,
        lines: Sequence[DcLine],
        *,
        shunts_mohm: Sequence[int] = (100, 100, 100),
        clock_ns: Callable[[], int] | None = None,
        seed: int = 0,
    ) -> None:
        """Power it on.

        Args:
            lines: of channels 1 to 3, in order.
            shunts_mohm: the resistors on the board.
            clock_ns: nanoseconds that rise, or None for conversions that end at once.
            seed: of the noise fault.
        """
        super().__init__(clock_ns, "wrong_model")
        self.lines = tuple(lines)
        if len(self.lines) != 3 or len(shunts_mohm) != 3:
            raise ValueError(f"{len(self.lines)} lines, {len(shunts_mohm)} shunts: want 3 of each")
        self._shunts_mohm = tuple(shunts_mohm)
        self._distortions = [Distortion(self.faults, seed + channel) for channel in range(3)]

    def power_cycle(self) -> None:
        """Fall back to power-on values, as a brown-out does."""
        self._flags = _TIMING
        super().power_cycle()

    def _power_on(self) -> Mapping[int, int]:
        return _POWER_ON

    def _store(self, register: int, word: int) -> None:
        if register == _CONFIGURATION:
            self._configure(word)
        elif register in _WRITABLE:
            self._words[register] = word & _WRITABLE[register]

    def _load(self, register: int) -> int:
        if register == _DIE and "wrong_model" in self.faults:
            return _OTHER_DIE
        word = super()._load(register)
        if register != _MASK:
            return word
        word |= self._flags | (_READY if self._is_ready else 0)
        self._is_ready = False
        self._flags &= ~(_CRITICALS | _WARNINGS)
        return word

    def _period_ns(self, mode: int) -> int:
        config = self._words[_CONFIGURATION]
        return averaged_ns(config, mode) * sum(1 for _ in self._enabled(config))

    @staticmethod
    def _enabled(word: int) -> Iterator[int]:
        return (channel for channel, bit in enumerate(_ENABLED) if word & bit)

    def _latch(self, mode: int) -> None:
        for channel in self._enabled(self._words[_CONFIGURATION]):
            line, seen = self.lines[channel], self._distortions[channel].seen
            if mode & 1:
                drop_nv = seen("current_ua", line.current_ua) * self._shunts_mohm[channel]
                counts = max(-0x1000, min(_COUNTS, nearest(drop_nv, 40_000)))
                self._words[1 + 2 * channel] = counts << 3 & 0xFFFF
            if mode & 2:
                counts = nearest(seen("voltage_mv", line.bus_mv), 8)
                self._words[2 + 2 * channel] = max(0, min(_COUNTS, counts)) << 3
        self._compare()

    def _compare(self) -> None:
        """Add up, and set the flags; flags that do not latch also fall."""
        words = self._words
        if not words[_MASK] & _CRITICAL_LATCH:
            self._flags &= ~_CRITICALS
        if not words[_MASK] & _WARNING_LATCH:
            self._flags &= ~_WARNINGS
        for channel in self._enabled(words[_CONFIGURATION]):
            shunt, limits = signed(words[1 + 2 * channel]), _FIRST_LIMIT + 2 * channel
            if shunt > signed(words[limits]):
                self._flags |= _CRITICAL[channel]
            if shunt > signed(words[limits + 1]):
                self._flags |= _WARNING[channel]
        summed = list(self._enabled(words[_MASK]))
        total = sum(signed(words[1 + 2 * channel]) >> 3 for channel in summed) << 1
        words[_SUM] = total & 0xFFFF
        if summed and total > signed(words[_SUM_LIMIT]):
            self._flags |= _SUM_BEYOND
        self._judge_supplies()

    def _judge_supplies(self) -> None:
        """Set the power-valid flag when all supplies are up; clear it when one is down."""
        supplies = [signed(self._words[register]) for register in (2, 4, 6)]
        if min(supplies) > signed(self._words[_VALID_UP]):
            self._flags |= _POWER_VALID
        elif min(supplies) < signed(self._words[_VALID_DOWN]):
            self._flags &= ~_POWER_VALID
