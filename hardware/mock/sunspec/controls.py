"""SunSpec model 123 of a simulated inverter: connection, limit and power factor, with timers.

A command takes effect at a random moment of its window, ramps where it has a ramp, and is
forgotten when its revert time is over; a time of zero means at once, or never. Nothing happens
between requests: what stands follows from the clock when it is asked.

Source: SunSpec model 123, immediate controls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hardware.mock.sunspec.blocks import NOT_SIGNED, NOT_UNSIGNED, Body
from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Refusal

FULL_STEPS = 10_000
_LEAST_FACTOR_STEPS = 8_000
_FIRST, _END = 2, 26


@dataclass(frozen=True, slots=True)
class _Function:
    """One thing that can be commanded, by the offsets of its registers from the ID.

    Attributes:
        value: what is commanded.
        window: in how many seconds at most it begins; the moment is left to chance.
        revert: after how many seconds it is forgotten; 0: never.
        ramp: in how many seconds it gets there; None: it has no ramp.
        switch: whether the command stands.
        stands_at: the word of the switch at which it does.
        idle: the value without a command.
    """

    value: int
    window: int
    revert: int
    ramp: int | None
    switch: int
    stands_at: int
    idle: int

    @property
    def registers(self) -> tuple[int, ...]:
        return tuple(
            each
            for each in (self.value, self.window, self.revert, self.ramp, self.switch)
            if each is not None
        )


_CONNECTION = _Function(4, window=2, revert=3, ramp=None, switch=4, stands_at=0, idle=1)
_LIMIT = _Function(5, window=6, revert=7, ramp=8, switch=9, stands_at=1, idle=FULL_STEPS)
_FACTOR = _Function(10, window=11, revert=12, ramp=13, switch=14, stands_at=1, idle=FULL_STEPS)
_FUNCTIONS = (_CONNECTION, _LIMIT, _FACTOR)
_WRITABLE = tuple(offset for function in _FUNCTIONS for offset in function.registers)
_AT_START = {
    **dict.fromkeys(_WRITABLE, 0),
    **{function.value: function.idle for function in _FUNCTIONS},
    **dict.fromkeys((15, 16, 17), NOT_SIGNED),
    **dict.fromkeys((18, 19, 20, 21), NOT_UNSIGNED),
    **{22: 0, 23: -2 & 0xFFFF, 24: -4 & 0xFFFF, 25: NOT_SIGNED},
}
"""Offset -> word. Reactive power cannot be commanded (15 to 22, 25); scale factors -2 and -4."""


@dataclass(frozen=True, slots=True)
class _Command:
    """A command that stands: whence it comes and where it goes, when, and until when. [s]"""

    before: int
    target: int
    begins_s: float
    ramp_s: int
    ends_s: float | None

    def level(self, now_s: float) -> int:
        """Return how far it has come."""
        since_s = now_s - self.begins_s
        if since_s < 0:
            return self.before
        if since_s >= self.ramp_s:
            return self.target
        return self.before + int((self.target - self.before) * since_s / self.ramp_s)


class ImmediateControls:
    """Model 123, as a block of the list and as what the inverter obeys.

    Attributes:
        takes_blocks: whether one request may write several registers; else exception 2.
        has_revert: whether it knows a revert time for its limit; else that reads FFFF.
    """

    model = 123

    def __init__(
        self,
        *,
        clock_s: Callable[[], float],
        seed: int = 0,
        takes_blocks: bool = True,
        has_revert: bool = True,
    ) -> None:
        """Stand connected and without a limit."""
        self.takes_blocks = takes_blocks
        self.has_revert = has_revert
        self._clock_s = clock_s
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable bench, not a secret
        self._words = dict(_AT_START)
        if not has_revert:
            self._words[_LIMIT.revert] = NOT_UNSIGNED
        self._commands: dict[_Function, _Command] = {}

    @property
    def is_connected(self) -> bool:
        """Whether it feeds the grid."""
        return bool(self._level(_CONNECTION))

    @property
    def limit_steps(self) -> int:
        """The part of its rating that it lets through now. [0.01 %]"""
        return self._level(_LIMIT)

    @property
    def power_factor_steps(self) -> int:
        """The power factor it keeps now. [0.0001]"""
        return self._level(_FACTOR)

    def fill(self, body: Body) -> None:
        """Append every register."""
        self._forget()
        body.plain(*(self._words[offset] for offset in range(_FIRST, _END)))

    def write(self, offset: int, words: Iterable[int]) -> None:
        """Take a command, or part of one, if each of its words can be taken."""
        self._forget()
        wanted = dict(enumerate(words, offset))
        if len(wanted) > 1 and not self.takes_blocks:
            raise Refusal(ILLEGAL_ADDRESS)
        for place, word in wanted.items():
            self._check(place, word)
        levels = {function: self._level(function) for function in _FUNCTIONS}
        self._words.update(wanted)
        for function, before in levels.items():
            if not wanted.keys().isdisjoint(function.registers):
                self._begin(function, before)

    def _check(self, place: int, word: int) -> None:
        if place not in _WRITABLE:
            raise Refusal(ILLEGAL_ADDRESS)
        if place == _LIMIT.revert and not self.has_revert and word != NOT_UNSIGNED:
            raise Refusal(ILLEGAL_ADDRESS)
        if any(place == function.switch and word > 1 for function in _FUNCTIONS):
            raise Refusal(ILLEGAL_VALUE)
        if place == _LIMIT.value and word > FULL_STEPS:
            raise Refusal(ILLEGAL_VALUE)
        if place == _FACTOR.value and not _LEAST_FACTOR_STEPS <= abs(_signed(word)) <= FULL_STEPS:
            raise Refusal(ILLEGAL_VALUE)

    def _begin(self, function: _Function, before: int) -> None:
        """Start a command and its timers, or end it if its switch says so."""
        if self._words[function.switch] != function.stands_at:
            self._commands.pop(function, None)
            return
        now_s, revert_s = self._clock_s(), self._seconds(function.revert)
        self._commands[function] = _Command(
            before=before,
            target=_signed(self._words[function.value]),
            begins_s=now_s + self._chance.random() * self._seconds(function.window),
            ramp_s=0 if function.ramp is None else self._seconds(function.ramp),
            ends_s=now_s + revert_s if revert_s else None,
        )

    def _seconds(self, place: int) -> int:
        word = self._words[place]
        return 0 if word == NOT_UNSIGNED else word

    def _level(self, function: _Function) -> int:
        """Return a commanded value as it stands now."""
        self._forget()
        command = self._commands.get(function)
        return function.idle if command is None else command.level(self._clock_s())

    def _forget(self) -> None:
        """End the commands whose revert time is over."""
        now_s = self._clock_s()
        for function, command in tuple(self._commands.items()):
            if command.ends_s is not None and now_s >= command.ends_s:
                del self._commands[function]
                self._words[function.switch] = 1 - function.stands_at


def _signed(word: int) -> int:
    return word - 0x1_0000 if word & 0x8000 else word
