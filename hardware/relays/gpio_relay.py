"""A relay or relay board input on one GPIO pin, active high or active low.

Made de-energised whatever the pin did before, left de-energised. It keeps no timing: minimum on
and off times are the guard's business. A relay welded shut reads back as switched; only a
measurement of the load can tell.
Source: Songle SRD-05VDC data sheet; the level rule of active-low opto boards.
Seen on: simulated pins only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hardware import options


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioRelayOptions:
    """Which pin drives the coil, and how."""

    pin: int = options.number(0, 27, "a BCM GPIO number of the 40-pin header")
    active_high: bool = options.flag("whether a high level energises the coil")


class GpioRelay:
    """One relay coil on one pin."""

    def __init__(self, factory: Any, given: GpioRelayOptions) -> None:
        """Claim the pin at its de-energised level.

        Args:
            factory: a gpiozero pin factory: `lgpio_factory()` on a Pi.
            given: pin and polarity.
        """
        from hardware.buses.gpio import OutputPin  # gpiozero is loaded by who moves a pin

        self._active_high = given.active_high
        self._pin = OutputPin(factory, given.pin, initial_high=not given.active_high)

    @property
    def is_energised(self) -> bool:
        """The coil's state as read back from the pin."""
        return self._pin.is_high == self._active_high

    def switch(self, energised: bool) -> None:
        """Drive the coil and read the level back.

        Raises:
            SwitchFailed: the pin does not hold what was written.
        """
        self._pin.drive(energised == self._active_high)

    def close(self) -> None:
        """De-energise and let go of the pin."""
        try:
            self._pin.drive(not self._active_high)
        finally:
            self._pin.close()
