"""Relay boards on Modbus, in three dialects: Waveshare, LC (LCTech and its like), R4D8.

They switch nothing by themselves: with contacts given, these follow the coils. Timers (flash,
pulse, delay) are looked at when somebody asks. A board comes up with all relays off.

Source: the Waveshare Modbus RTU Relay wiki; the vendors' command lists of LC and R4D8 boards.
Known limits: serial settings are stored and change nothing; latching between boards is not there.
"""

from __future__ import annotations

import time
from abc import ABC
from collections.abc import Callable, Sequence

from hardware.mock.wires.modbus_pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Refusal,
    RefusingDevice,
)
from hardware.mock.wires.pins import Contact

CHANNELS = 8
_ON, _OFF, _TOGGLE = 0xFF00, 0x0000, 0x5500
_ALL = 0xFF
_TENTHS = 10


class RelayBoard(RefusingDevice, ABC):
    """Eight coils, their timers, and the contacts that follow them."""

    def __init__(
        self,
        contacts: Sequence[Contact] | None = None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Come up with all relays off.

        Args:
            contacts: behind relays 1, 2, ... of the board; made for a high level that energises.
            clock_s: for the timers. [s]
        """
        super().__init__("disobedient", "brown_out")
        self.contacts = tuple(contacts or ())
        self.haste_s = 0.0
        self._clock_s = clock_s
        self._coils = [False] * CHANNELS
        self._timers: dict[int, tuple[float, bool]] = {}

    @property
    def coils(self) -> tuple[bool, ...]:
        """Whether each relay is energised now."""
        if self.faults.take("brown_out"):
            self.power_cycle()
        now_s = self._clock_s()
        for channel, (at_s, on) in tuple(self._timers.items()):
            if now_s >= at_s:
                self._drive(channel, on)
        return tuple(self._coils)

    def power_cycle(self) -> None:
        """Lose the supply and get it back: all relays are off."""
        for channel in range(CHANNELS):
            self._drive(channel, False)

    def _switch(self, channel: int, on: bool, *, for_s: float | None = None) -> None:
        """Obey a command; after a time the relay goes where it is not sent now."""
        if "disobedient" in self.faults:
            return
        self._drive(channel, on)
        if for_s is not None:
            self._timers[channel] = (self._clock_s() + for_s, not on)

    def _drive(self, channel: int, on: bool) -> None:
        self._timers.pop(channel, None)
        self._coils[channel] = on
        if channel < len(self.contacts):
            self.contacts[channel].follow(on)

    def _toggle(self, channel: int) -> None:
        self._switch(channel, not self.coils[channel])


class _CoilBoard(RelayBoard):
    """A board whose relays are coils from 0."""

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Return coils (1)."""
        if function != 1:
            raise Refusal(ILLEGAL_FUNCTION)
        return self.coils[_within(address, count)]

    def write_bit(self, address: int, on: bool) -> None:
        """Switch one relay (5)."""
        _within(address, 1)
        self._switch(address, on)

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Switch consecutive relays (15)."""
        _within(address, len(bits))
        for channel, on in enumerate(bits, address):
            self._switch(channel, on)


class WaveshareBoard(_CoilBoard):
    """Waveshare Modbus RTU Relay, 8 channels. From version 3 on a toggle has its own addresses."""

    _ID, _UART, _VERSION = 0x4000, 0x2000, 0x8000
    _TOGGLE_BASE, _FLASH_ON_BASE, _FLASH_OFF_BASE = 0x0100, 0x0200, 0x0400
    _TOGGLE_BY_ADDRESS = 300
    _PARITIES, _BAUDS = 3, 8

    def __init__(
        self,
        contacts: Sequence[Contact] | None = None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        version: int = 300,
    ) -> None:
        """Come up with all relays off; `version` counts hundredths."""
        super().__init__(contacts, clock_s=clock_s)
        self.tells_its_id = True
        self.uart = 0x0001
        self._version = version

    def hears(self, asked_id: int) -> bool:
        """Whether this is its own id, or everybody's."""
        return asked_id in (0, self.device_id)

    def write_coil(self, address: int, value: int) -> None:
        """Switch one relay or all, toggle, or flash (5)."""
        base, channel = address & 0xFF00, address & 0xFF
        if base in (self._FLASH_ON_BASE, self._FLASH_OFF_BASE):
            _within(channel, 1)
            if not 1 <= value <= 0x7FFF:
                raise Refusal(ILLEGAL_VALUE)
            on = base == self._FLASH_ON_BASE
            self._switch(channel, on, for_s=value / _TENTHS)
        elif self._is_toggle(base, value):
            self._toggle_each(channel)
        elif address == _ALL and value in (_ON, _OFF):
            self.write_bits(0, [value == _ON] * CHANNELS)
        else:
            super().write_coil(address, value)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return its id, or its software version (3)."""
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        known = {self._ID: self.device_id, self._VERSION: self._version}
        if address not in known or count != 1:
            raise Refusal(ILLEGAL_ADDRESS)
        return (known[address],)

    def write_word(self, address: int, word: int) -> None:
        """Take a new id, or how its serial line is set (6)."""
        if address == self._ID:
            if not 1 <= word <= 0xFF:
                raise Refusal(ILLEGAL_VALUE)
            self.device_id = word
        elif address == self._UART:
            if word >> 8 >= self._PARITIES or word & 0xFF >= self._BAUDS:
                raise Refusal(ILLEGAL_VALUE)
            self.uart = word
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def _is_toggle(self, base: int, value: int) -> bool:
        if self._version >= self._TOGGLE_BY_ADDRESS:
            return base == self._TOGGLE_BASE
        return base == 0 and value == _TOGGLE

    def _toggle_each(self, channel: int) -> None:
        if channel == _ALL:
            for each in range(CHANNELS):
                self._toggle(each)
            return
        _within(channel, 1)
        self._toggle(channel)


class LcBoard(_CoilBoard):
    """An LC relay board: coils as the standard has them, id 255 from the factory, eight inputs."""

    _ID, _BAUD_READ, _BAUD = 0x0000, 0x03E8, 0x03E9
    _FLASH_BASE, _FLASH_STEP, _FLASH_OFF, _FLASH_ON = 0x0003, 5, 2, 4
    _BAUDS = (2, 3, 4)

    def __init__(
        self,
        contacts: Sequence[Contact] | None = None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Come up with all relays off and all inputs low."""
        super().__init__(contacts, clock_s=clock_s)
        self.tells_its_id = True
        self.device_id = 0xFF
        self.inputs = [False] * CHANNELS
        self._baud_code = 3

    def hears(self, asked_id: int) -> bool:
        """Whether this is its own id, or everybody's."""
        return asked_id in (0, self.device_id)

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Return coils (1), or inputs (2)."""
        if function == 2:
            return self.inputs[_within(address, count)]
        return super().read_bits(function, address, count)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return its id, or the code of its line speed (3)."""
        known = {self._ID: self.device_id, self._BAUD_READ: self._baud_code}
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        if address not in known or count != 1:
            raise Refusal(ILLEGAL_ADDRESS)
        return (known[address],)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take a new id or line speed, or flash a relay (16)."""
        if address == self._ID and len(words) == 1 and 1 <= words[0] <= 0xFF:
            self.device_id = words[0]
        elif address == self._BAUD and len(words) == 1 and words[0] in self._BAUDS:
            self._baud_code = words[0]
        elif len(words) == 2:
            self._flash(address - self._FLASH_BASE, *words)
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    def _flash(self, place: int, mode: int, tenths: int) -> None:
        channel, rest = divmod(place, self._FLASH_STEP)
        if rest or not 0 <= channel < CHANNELS:
            raise Refusal(ILLEGAL_ADDRESS)
        if mode not in (self._FLASH_OFF, self._FLASH_ON) or not tenths:
            raise Refusal(ILLEGAL_VALUE)
        self._switch(channel, mode == self._FLASH_ON, for_s=tenths / _TENTHS)


class R4d8Board(RelayBoard):
    """An R4D8 relay board: relay n is register n, and a command is the high byte of its word."""

    _ID = 0x00FF
    _OPEN, _CLOSE, _TOGGLE_ONE, _LATCH, _PULSE, _DELAY, _OPEN_ALL, _CLOSE_ALL = range(1, 9)
    _PULSE_S = 1.0

    def hears(self, asked_id: int) -> bool:
        """Whether this is its own id, or the one that every such board hears."""
        return asked_id in (0xFF, self.device_id)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return relays from 1, each 1 while energised, or its id (3)."""
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        if (address, count) == (self._ID, 1):
            return (self.device_id,)
        return [int(on) for on in self.coils[_within(address - 1, count)]]

    def write_word(self, address: int, word: int) -> None:
        """Obey a command (6), or take a new id."""
        if address == self._ID:
            if not 1 <= word <= 0xF7:
                raise Refusal(ILLEGAL_VALUE)
            self.device_id = word
            return
        self._obey(address, word >> 8, word & 0xFF)

    def write_coil(self, address: int, value: int) -> None:
        """Obey the same commands by function 5, as a variant of this board does."""
        self._obey(address, value >> 8, value & 0xFF)

    def _obey(self, address: int, command: int, argument: int) -> None:
        if address == 0 and command in (self._OPEN_ALL, self._CLOSE_ALL):
            for channel in range(CHANNELS):
                self._switch(channel, command == self._OPEN_ALL)
            return
        channel = address - 1
        _within(channel, 1)
        if command in (self._OPEN, self._CLOSE):
            self._switch(channel, command == self._OPEN)
        elif command == self._TOGGLE_ONE:
            self._toggle(channel)
        elif command == self._LATCH:
            for each in range(CHANNELS):
                self._switch(each, each == channel)
        elif command == self._PULSE:
            self._switch(channel, True, for_s=self._PULSE_S)
        elif command == self._DELAY and argument:
            self._switch(channel, True, for_s=argument)
        else:
            raise Refusal(ILLEGAL_VALUE)


def _within(channel: int, count: int) -> slice:
    """Return the place of some channels; refuse those that no board has."""
    if channel < 0 or channel + count > CHANNELS:
        raise Refusal(ILLEGAL_ADDRESS)
    return slice(channel, channel + count)
