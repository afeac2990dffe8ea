"""A limit on a SunSpec inverter: model 123, in percent of the rating that model 120 tells.

Before each write the block's header is compared, so that nothing is ever written to a place where
the list has moved; after each write it is read back. The limit is rounded down: at most so much.

Source: SunSpec models 120 and 123.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from hardware.errors import DeviceRefused, LimitRefused, UnexpectedReply
from hardware.ports import ModbusPort
from hardware.sunspec.chain import Block
from hardware.sunspec.models import LAYOUTS
from hardware.sunspec.points import scale_factor
from hardware.wear import WriteBudget

_LIMIT = LAYOUTS[123].by_name["WMaxLimPct"]
_LIMIT_AT, _WINDOW_AT, _REVERT_AT, _RAMP_AT, _SWITCH_AT = range(_LIMIT.offset, _LIMIT.offset + 5)
_FACTOR_AT = LAYOUTS[123].by_name[_LIMIT.factor].offset
_NOT_IMPLEMENTED = 0xFFFF
_ENABLED, _DISABLED = 1, 0
_FULL_PERCENT = 100


@dataclass(frozen=True, slots=True)
class PowerLimit:
    """The limit of one inverter.

    Attributes:
        bus: the bus it sits on.
        device: its Modbus id.
        block: its model 123.
        rated_mw: what 100 percent are. [mW]
        budget: of writes to memory that wears; None: the limit is kept in memory that does not.
        clock_s: the budget's clock. [s]
    """

    bus: ModbusPort
    device: int
    block: Block
    rated_mw: int
    budget: WriteBudget | None = None
    clock_s: Callable[[], float] = time.monotonic

    def read(self) -> int | None:
        """Return the limit that stands; None if there is none. [mW]"""
        words = self._words()
        if words[_SWITCH_AT] != _ENABLED:
            return None
        return int(words[_LIMIT_AT] * self._step_mw(words))

    def begin(self, power_mw: int, revert_s: int) -> int:
        """Let at most so much through, for so long unless repeated; 0 s: until it is ended.

        What already stands is written again only to renew its revert time, and only where that
        wears nothing.

        Returns:
            What stands then. [mW]

        Raises:
            LimitRefused: the inverter cannot do it, or did not keep what was written.
            HardwareError: as the bus.
        """
        words = self._words()
        step_mw = self._step_mw(words)
        most = min(int(self.rated_mw / step_mw), _NOT_IMPLEMENTED - 1)
        limit = min(int(power_mw / step_mw), most)
        if revert_s and words[_REVERT_AT] == _NOT_IMPLEMENTED:
            raise LimitRefused(
                f"{self._where}: it knows no revert time; with revert_ms = 0 a limit stays "
                "when nobody is left to end it"
            )
        renews = bool(revert_s) and self.budget is None
        times = {_WINDOW_AT: 0, _REVERT_AT: revert_s, _RAMP_AT: 0}
        wanted = {
            _LIMIT_AT: limit,
            **{each: s for each, s in times.items() if words[each] != _NOT_IMPLEMENTED},
            _SWITCH_AT: _ENABLED,
        }
        if renews or any(words[each] != word for each, word in wanted.items()):
            self._write(words, wanted)
            words = self._words()
        self._compare(words, limit, revert_s)
        return int(words[_LIMIT_AT] * step_mw)

    def end(self) -> None:
        """Let everything through; raises as `begin`."""
        if self._words()[_SWITCH_AT] == _DISABLED:
            return
        self._put(_SWITCH_AT, _DISABLED)
        if self._words()[_SWITCH_AT] != _DISABLED:
            raise LimitRefused(f"{self._where}: it did not end its limit")

    def _write(self, words: tuple[int, ...], wanted: dict[int, int]) -> None:
        """Write all at once, or one after the other where it takes no block."""
        block = tuple(wanted.get(each, words[each]) for each in range(_LIMIT_AT, _SWITCH_AT + 1))
        self._spend(reserve=1)
        try:
            self.bus.write_words(self.device, self.block.address + _LIMIT_AT, block)
        except DeviceRefused:
            for each, word in wanted.items():
                if words[each] != word or each == _SWITCH_AT:
                    self._put(each, word, reserve=1)

    def _spend(self, reserve: int) -> None:
        if self.budget is not None:
            self.budget.spend(int(self.clock_s() * 1_000), reserve=reserve)

    def _put(self, offset: int, word: int, reserve: int = 0) -> None:
        self._spend(reserve)
        try:
            self.bus.write_words(self.device, self.block.address + offset, (word,))
        except DeviceRefused as refusal:
            raise LimitRefused(f"{self._where}: {refusal}") from refusal

    def _compare(self, words: tuple[int, ...], limit: int, revert_s: int) -> None:
        """Refuse what was not kept; a limit that nothing would ever end does not stay."""
        got, reverts = words[_LIMIT_AT], words[_REVERT_AT]
        if words[_SWITCH_AT] != _ENABLED or got > limit:
            raise LimitRefused(
                f"{self._where}: wrote limit {limit}, switch {_ENABLED}; "
                f"it kept limit {got}, switch {words[_SWITCH_AT]}"
            )
        if revert_s and not 0 < reverts <= revert_s:
            self.end()
            raise LimitRefused(
                f"{self._where}: wrote a revert time of {revert_s} s, it kept {reverts} s; "
                "the limit was ended again, since nobody might be left to do it"
            )

    def _words(self) -> tuple[int, ...]:
        """Return the block up to its scale factor; offsets count from its ID."""
        words = self.bus.read_words(self.device, 3, self.block.address, _FACTOR_AT + 1)
        if words[:2] != (self.block.model, self.block.length):
            raise UnexpectedReply(
                f"{self._where}: model {words[0]} with {words[1]} registers stands there now"
            )
        return words

    def _step_mw(self, words: tuple[int, ...]) -> Fraction:
        """Return what one step of the limit is. [mW]"""
        factor = scale_factor(words[_FACTOR_AT], _LIMIT)
        if factor is None:
            raise LimitRefused(f"{self._where}: {_LIMIT.factor} is not implemented")
        return Fraction(self.rated_mw, _FULL_PERCENT) * Fraction(10) ** factor

    @property
    def _where(self) -> str:
        return f"sunspec at address {self.device}, model {self.block.title}"
