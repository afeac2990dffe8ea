"""What a SunSpec battery is told to take or to give: model 124, in percent of its WChaMax.

Both rates are bound at once, one above and one below, so that a power is kept and not only a most:
to give 40 % the battery discharges with at most 40 and charges with at most -40. Before each write
the block's header is compared; after it, everything is read back. Rounded towards nothing.

Source: SunSpec model 124; the makers' manuals that say what a negative rate does (Fronius GEN24).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hardware.errors import DeviceRefused, LimitRefused, UnexpectedReply
from hardware.ports import ModbusPort
from hardware.sunspec.chain import Block
from hardware.sunspec.models import LAYOUTS, STORAGE
from hardware.sunspec.points import scale_factor

_POINTS: Final = LAYOUTS[STORAGE].by_name
_MOST_AT, _MODE_AT = _POINTS["WChaMax"].offset, _POINTS["StorCtl_Mod"].offset
_OUT_AT, _IN_AT, _WINDOW_AT, _REVERT_AT, _RAMP_AT = range(
    _POINTS["OutWRte"].offset, _POINTS["OutWRte"].offset + 5
)
_MOST_FACTOR_AT, _RATE_FACTOR_AT = _POINTS["WChaMax_SF"].offset, _POINTS["InOutWRte_SF"].offset
_BOTH, _NEITHER = 3, 0
_NOT_IMPLEMENTED = 0xFFFF


@dataclass(frozen=True, slots=True)
class StoragePower:
    """The power of one battery; `block` is its model 124."""

    bus: ModbusPort
    device: int
    block: Block

    def read(self) -> int | None:
        """Return the power that stands, positive = charging; None: it is left to itself. [mW]"""
        words = self._words()
        if words[_MODE_AT] != _BOTH:
            return None
        return int(_signed(words[_IN_AT]) * self._step_mw(words))

    def begin(self, power_mw: int, revert_s: int) -> None:
        """Let it take so much, or give where it is below 0, for so long unless told again.

        Raises:
            LimitRefused: it knows no revert time, is smaller, or did not keep what was written.
            HardwareError: as the bus.
        """
        words = self._words()
        step_mw = self._step_mw(words)
        if words[_REVERT_AT] == _NOT_IMPLEMENTED:
            raise LimitRefused(
                f"{self._where}: it knows no revert time, and would go on when nobody is left"
            )
        rate = int(power_mw / step_mw)
        if abs(rate) * step_mw > self._most_mw(words):
            raise LimitRefused(
                f"{self._where}: {power_mw} mW, and its WChaMax is {self._most_mw(words)} mW"
            )
        times = [0 if words[each] != _NOT_IMPLEMENTED else words[each] for each in _TIMES]
        times[_TIMES.index(_REVERT_AT)] = revert_s
        self._put(_OUT_AT, (-rate & 0xFFFF, rate & 0xFFFF, *times))
        self._put(_MODE_AT, (_BOTH,))
        kept = self._words()
        found = (kept[_MODE_AT], _signed(kept[_OUT_AT]), _signed(kept[_IN_AT]), kept[_REVERT_AT])
        if found != (_BOTH, -rate, rate, revert_s):
            self.end()
            raise LimitRefused(
                f"{self._where}: wrote mode {_BOTH}, rates {-rate} and {rate}, revert time "
                f"{revert_s} s; it kept {found[0]}, {found[1]} and {found[2]}, {found[3]} s"
            )

    def end(self) -> None:
        """Leave it to itself; raises as `begin`."""
        if self._words()[_MODE_AT] == _NEITHER:
            return
        self._put(_MODE_AT, (_NEITHER,))
        if self._words()[_MODE_AT] != _NEITHER:
            raise LimitRefused(f"{self._where}: it is not left to itself again")

    def _put(self, offset: int, words: tuple[int, ...]) -> None:
        try:
            self.bus.write_words(self.device, self.block.address + offset, words)
        except DeviceRefused as refusal:
            raise LimitRefused(f"{self._where}: {refusal}") from refusal

    def _words(self) -> tuple[int, ...]:
        """Return the block up to its last scale factor; offsets count from its ID."""
        words = self.bus.read_words(self.device, 3, self.block.address, _RATE_FACTOR_AT + 1)
        if words[:2] != (self.block.model, self.block.length):
            raise UnexpectedReply(
                f"{self._where}: model {words[0]} with {words[1]} registers stands there now"
            )
        return words

    def _most_mw(self, words: tuple[int, ...]) -> int:
        """Return what 100 percent are. [mW]"""
        factor = scale_factor(words[_MOST_FACTOR_AT], _POINTS["WChaMax"])
        most = words[_MOST_AT]
        if factor is None or most in (0, _NOT_IMPLEMENTED):
            raise LimitRefused(f"{self._where}: WChaMax is not implemented")
        return int(most * 1_000 * Fraction(10) ** factor)

    def _step_mw(self, words: tuple[int, ...]) -> Fraction:
        """Return what one step of a rate is. [mW]"""
        factor = scale_factor(words[_RATE_FACTOR_AT], _POINTS["OutWRte"])
        if factor is None:
            raise LimitRefused(f"{self._where}: InOutWRte_SF is not implemented")
        return Fraction(self._most_mw(words), 100) * Fraction(10) ** factor

    @property
    def _where(self) -> str:
        return f"sunspec at address {self.device}, model {self.block.title}"


_TIMES: Final = (_WINDOW_AT, _REVERT_AT, _RAMP_AT)


def _signed(word: int) -> int:
    return word - 0x1_0000 if word & 0x8000 else word
