"""GPIO pins through gpiozero, with the pin library named and never fallen back from.

A pin is made an output at a given level in one step: the value stands before the direction does,
so that no wrong level is driven in between. Nothing is ever restored from an earlier run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpiozero import DigitalInputDevice, GPIOZeroError, OutputDevice

from hardware.errors import BusUnavailable, SwitchFailed


class OutputPin:
    """One output pin by BCM number. Levels are electrical: True is high."""

    def __init__(self, factory: Any, pin: int, initial_high: bool) -> None:
        """Claim the pin and drive it to its first level.

        Raises:
            BusUnavailable: no such pin, already in use, or the pin library failed.
        """
        self._pin = pin
        self._device = _guarded(
            pin, lambda: OutputDevice(pin, initial_value=initial_high, pin_factory=factory)
        )

    @property
    def is_high(self) -> bool:
        """The level as read back from the pin."""
        return bool(_guarded(self._pin, lambda: self._device.pin.state))

    def drive(self, high: bool) -> None:
        """Drive the level and check that the pin holds it.

        Raises:
            SwitchFailed: the pin reads back otherwise.
        """
        _guarded(self._pin, lambda: self._device.on() if high else self._device.off())
        if self.is_high != high:
            wanted, found = ("high", "low") if high else ("low", "high")
            raise SwitchFailed(f"GPIO{self._pin}: wrote {wanted}, reads {found}")

    def close(self) -> None:
        """Let go of the pin: it becomes an input, and the board's own bias rules."""
        _guarded(self._pin, self._device.close)


class InputPin:
    """One input pin by BCM number, pulled up: what connects it to ground reads low."""

    def __init__(self, factory: Any, pin: int) -> None:
        """Claim the pin.

        Raises:
            BusUnavailable: no such pin, already in use, or the pin library failed.
        """
        self._pin = pin
        self._device = _guarded(
            pin, lambda: DigitalInputDevice(pin, pull_up=True, pin_factory=factory)
        )

    @property
    def is_high(self) -> bool:
        """The level at the pin.

        Raises:
            BusUnavailable: it cannot be read.
        """
        return bool(_guarded(self._pin, lambda: self._device.pin.state))

    def close(self) -> None:
        """Let go of the pin."""
        _guarded(self._pin, self._device.close)


def _guarded(pin: int, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (GPIOZeroError, OSError) as error:
        raise BusUnavailable(f"GPIO{pin}: {error}") from error


def lgpio_factory() -> Any:
    """Return gpiozero's pins of a Raspberry Pi through lgpio, and through nothing else.

    Raises:
        BusUnavailable: lgpio is not installed, or this machine has no GPIO lines.
    """
    try:
        from gpiozero.pins.lgpio import LGPIOFactory

        return LGPIOFactory()
    except ImportError as error:
        raise BusUnavailable("GPIO: install lgpio (apt install python3-lgpio)") from error
    except (GPIOZeroError, OSError) as error:
        raise BusUnavailable(f"GPIO: {error}; join the group gpio") from error
