"""The load output of a charge controller, as a relay that is energised while the load is fed.

It is switched by the controller's own driver, which reads back whether it followed. Nothing in a
controller lets go by itself, so no load output is fail-safe.
"""

from __future__ import annotations

from typing import Final, Protocol

from hardware.errors import LimitRefused, SwitchFailed

GROUP: Final = -1
"""Beside the groups of relay boards: a controller has one output, and no two are read together."""


class LoadSwitch(Protocol):
    """What is used of a charge controller's driver."""

    @property
    def load_is_on(self) -> bool:
        """Whether the load output is on; read from the device."""

    def switch_load(self, on: bool) -> None:
        """Switch the load output and read it back."""


class LoadOutput:
    """The one load output of a controller."""

    def __init__(self, controller: LoadSwitch, address: int) -> None:
        """Know the controller; it is not touched."""
        self._controller = controller
        self.group = (address, GROUP)
        self.place = 0

    @property
    def is_energised(self) -> bool:
        """Whether the output feeds its load, as the controller tells it now."""
        return self._controller.load_is_on

    def read_group(self) -> tuple[bool, ...]:
        """Return whether the output feeds its load."""
        return (self.is_energised,)

    def switch(self, energised: bool) -> None:
        """Feed the load, or not.

        Raises:
            SwitchFailed: the controller does not follow, or its load mode, in memory that wears,
                was set too often today.
            HardwareError: the bus failed; whether the load is fed is not known.
        """
        try:
            self._controller.switch_load(energised)
        except LimitRefused as refusal:
            raise SwitchFailed(str(refusal)) from refusal

    def close(self) -> None:
        """Cut the load; the bus stays open: others use it."""
        self.switch(False)
