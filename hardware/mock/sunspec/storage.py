"""SunSpec model 124 of a simulated hybrid inverter: what its battery is told, with a timer.

With both bits of StorCtl_Mod the battery keeps to a power between its two rates; with one it is
bound on one side; without, it does what the world lets it do. When the revert time is over nothing
is told any more. Empty it gives nothing, full it takes nothing.

Source: SunSpec model 124, basic storage controls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from hardware.mock.sunspec.blocks import NOT_SIGNED, NOT_UNSIGNED, Body
from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Refusal

_MOST, _MODE, _OUT, _IN, _WINDOW, _REVERT, _RAMP, _SOURCE = 2, 5, 12, 13, 14, 15, 16, 17
_WRITABLE: Final = (_MODE, _OUT, _IN, _WINDOW, _REVERT, _RAMP, _SOURCE)
_FULL_STEPS: Final = 10_000
_CHARGES, _DISCHARGES = 1, 2


@dataclass(slots=True)
class StorageControls:
    """Model 124, as a block of the list and as what the battery obeys.

    Attributes:
        clock_s: a clock that never goes back. [s]
        most_mw: its WChaMax, the most it takes or gives. [mW]
        charge_percent: how full it is; the world moves it. [%]
        idle_mw: what it takes by itself, below 0 gives, when nobody tells it. [mW]
        has_revert: whether it knows a revert time; else that reads FFFF.
    """

    clock_s: Callable[[], float]
    most_mw: int = 3_000_000
    charge_percent: int = 50
    idle_mw: int = 0
    has_revert: bool = True
    model: int = 124
    _words: dict[int, int] = field(default_factory=dict)
    _ends_s: float | None = None

    def __post_init__(self) -> None:
        """Be told nothing."""
        self._words = dict.fromkeys(_WRITABLE, 0) | {_OUT: _FULL_STEPS, _IN: _FULL_STEPS}
        if not self.has_revert:
            self._words[_REVERT] = NOT_UNSIGNED

    @property
    def power_mw(self) -> int:
        """What it takes now, below 0 gives. [mW]"""
        self._forget()
        mode = self._words[_MODE]
        low = -self._rate_mw(_OUT) if mode & _DISCHARGES else -self.most_mw
        high = self._rate_mw(_IN) if mode & _CHARGES else self.most_mw
        wanted_mw = min(max(self.idle_mw, low), high)
        if wanted_mw < 0:
            return wanted_mw if self.charge_percent > 0 else 0
        return wanted_mw if self.charge_percent < 100 else 0

    @property
    def is_told(self) -> bool:
        """Whether somebody tells it what to do."""
        self._forget()
        return bool(self._words[_MODE])

    def fill(self, body: Body) -> None:
        """Append every register; rates in steps of 0.01 %."""
        self._forget()
        words = {
            _MOST: self.most_mw // 1_000,
            3: 100,
            4: 100,
            8: self.charge_percent,
            11: 1,
            **self._words,
        }
        body.plain(*(words.get(offset, NOT_UNSIGNED) & 0xFFFF for offset in range(_MOST, 18)))
        body.plain(0, 0, NOT_SIGNED, NOT_SIGNED, 0, NOT_SIGNED, NOT_SIGNED, -2 & 0xFFFF)

    def write(self, offset: int, words: Iterable[int]) -> None:
        """Take a command, or part of one, if each of its words can be taken."""
        self._forget()
        wanted = dict(enumerate(words, offset))
        for place, word in wanted.items():
            if place not in _WRITABLE or (place == _REVERT and not self.has_revert):
                raise Refusal(ILLEGAL_ADDRESS)
            if place == _MODE and word > (_CHARGES | _DISCHARGES):
                raise Refusal(ILLEGAL_VALUE)
            if place in (_OUT, _IN) and abs(_signed(word)) > _FULL_STEPS:
                raise Refusal(ILLEGAL_VALUE)
        self._words.update(wanted)
        revert_s = self._words[_REVERT]
        is_timed = self.has_revert and revert_s and self._words[_MODE]
        self._ends_s = self.clock_s() + revert_s if is_timed else None

    def _rate_mw(self, place: int) -> int:
        return self.most_mw * _signed(self._words[place]) // _FULL_STEPS

    def _forget(self) -> None:
        """End what is told when its revert time is over."""
        if self._ends_s is not None and self.clock_s() >= self._ends_s:
            self._ends_s = None
            self._words[_MODE] = 0


def _signed(word: int) -> int:
    return word - 0x1_0000 if word & 0x8000 else word
