"""A latching (bistable) relay with two coils on two pins: a pulse sets it, another resets it.

Energised means set. It draws no holding current and keeps its position through power cuts and
crashes, so it is not fail-safe, and where it stands at power-up nobody knows: it is reset when it
is made, whatever it was. Its position cannot be read back; the pins can, during the pulse.
Source: data sheets of two-coil bistable relays, which ask for a pulse of 20 ms and more.
Seen on: simulated pins only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hardware import options
from hardware.errors import BadOption, SwitchFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchingRelayOptions:
    """Which pins drive the two coils, and how."""

    set_pin: int = options.number(0, 27, "a BCM GPIO number of the 40-pin header")
    reset_pin: int = options.number(0, 27, "a BCM GPIO number of the 40-pin header")
    active_high: bool = options.flag("whether a high level drives a coil")
    pulse_ms: int = options.number(10, 1_000, "the length of a pulse in ms", default=50)


def two_pins(given: LatchingRelayOptions) -> None:
    """Check that the coils have a pin each.

    Raises:
        BadOption: both are on one.
    """
    if given.set_pin == given.reset_pin:
        raise BadOption("reset_pin", given.reset_pin, "is the set_pin too; each coil has its own")


class LatchingRelay:
    """One latching relay."""

    def __init__(
        self,
        factory: Any,
        given: LatchingRelayOptions,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Claim both pins, coils off, and reset the relay.

        Args:
            factory: a gpiozero pin factory: `lgpio_factory()` on a Pi.
            given: pins, polarity and pulse.
            pause: how to wait for a pulse to be over. [s]
        """
        from hardware.buses.gpio import OutputPin  # gpiozero is loaded by who moves a pin

        self._active_high = given.active_high
        self._pulse_s = given.pulse_ms / 1000
        self._pause = pause
        self._coils = {
            energised: OutputPin(factory, pin, initial_high=not given.active_high)
            for energised, pin in ((False, given.reset_pin), (True, given.set_pin))
        }
        self._pins = f"GPIO{given.set_pin} and GPIO{given.reset_pin}"
        self._position: bool | None = None
        self.switch(False)

    @property
    def is_energised(self) -> bool:
        """The position it was sent to last.

        Raises:
            SwitchFailed: the last pulse failed, so nobody knows.
        """
        if self._position is None:
            raise SwitchFailed(f"latching relay on {self._pins}: its position is not known")
        return self._position

    def switch(self, energised: bool) -> None:
        """Pulse the coil of a position, also if it should stand there.

        Raises:
            SwitchFailed: a pin does not hold what was written; the position is not known.
        """
        self._position = None
        coil = self._coils[energised]
        try:
            coil.drive(self._active_high)
            self._pause(self._pulse_s)
        finally:
            coil.drive(not self._active_high)
        self._position = energised

    def close(self) -> None:
        """Reset it, and let go of the pins."""
        try:
            self.switch(False)
        finally:
            for coil in self._coils.values():
                coil.close()
