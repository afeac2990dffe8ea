"""One relay of a board on Modbus; how a family of boards is spoken to is a `Dialect`.

Only absolute states are written, never a toggle or a timer: a command that comes twice must not
switch twice. What was written is read back, and a board that reads otherwise a few times over has
failed. Relays come up released after a power cut, and stay as they are when nobody talks to them:
no relay on a bus is fail-safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from hardware.errors import SwitchFailed
from hardware.ports import ModbusPort

MISMATCHES_MAX: Final = 3
GROUP: Final = 8
"""Relays read at once: what every board answers, and the documented form."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a family of boards is spoken to.

    Attributes:
        first: address of relay 1.
        words: what function 6 writes to release and to energise; None: coils and function 5.
    """

    first: int = 0
    words: tuple[int, int] | None = None


COILS: Final = Dialect()
"""Coils from 0, as the standard has them: functions 1 and 5."""

R4D8: Final = Dialect(first=1, words=(0x0200, 0x0100))
"""Registers from 1, each a relay: function 3 reads 0 or 1, function 6 takes a command."""


class BoardPlace(Protocol):
    """Where a relay is: the id of its board, and its number there from 1."""

    @property
    def address(self) -> int:
        """The Modbus id."""

    @property
    def channel(self) -> int:
        """The relay's number."""


class BoardRelay:
    """One relay of a board."""

    def __init__(self, bus: ModbusPort, model: str, place: BoardPlace, dialect: Dialect) -> None:
        """Know the relay; the board is not touched."""
        self._bus = bus
        self._device = place.address
        self._channel = place.channel - 1
        self._dialect = dialect
        self._name = f"{model} at address {place.address}, relay {place.channel}"
        group, self.place = divmod(self._channel, GROUP)
        self.group = (place.address, group)

    @property
    def is_energised(self) -> bool:
        """The relay's state as its board tells it now."""
        return self.read_group()[self.place]

    def read_group(self) -> tuple[bool, ...]:
        """Return the states of all relays that are read together with this one."""
        first = self._dialect.first + self.group[1] * GROUP
        if self._dialect.words is None:
            return self._bus.read_bits(self._device, 1, first, GROUP)
        return tuple(word != 0 for word in self._bus.read_words(self._device, 3, first, GROUP))

    def switch(self, energised: bool) -> None:
        """Write the state and read it back, a few times if need be.

        Raises:
            SwitchFailed: the board acknowledges and does not follow.
            TransientHardwareError: the bus failed; where the relay stands is not known.
            DeviceRefused: the board has no such relay.
        """
        for _ in range(MISMATCHES_MAX):
            self._write(energised)
            if self.is_energised == energised:
                return
        wanted, found = ("on", "off") if energised else ("off", "on")
        raise SwitchFailed(f"{self._name}: wrote {wanted} {MISMATCHES_MAX} times, reads {found}")

    def close(self) -> None:
        """Release the relay; the bus stays open: others use it."""
        self.switch(False)

    def _write(self, energised: bool) -> None:
        address = self._dialect.first + self._channel
        if self._dialect.words is None:
            self._bus.write_bit(self._device, address, energised)
        else:
            self._bus.write_word(self._device, address, self._dialect.words[energised])
