"""Simulated GPIO pins for gpiozero, and the contact behind a relay's coil.

gpiozero's own mock pins, with three differences: a pin made an output stands at its first level
before it drives (as lgpio does it), what it reads back can be stuck, and its history can be
compared whole: `assert factory.history(17) == [...]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPin

from hardware.mock.faults import FaultSwitches


class BenchPin(MockPin):  # type: ignore[misc]
    """One simulated pin."""

    def __init__(self, factory: Any, info: Any) -> None:
        self.faults = FaultSwitches("pin_stuck")
        self.driven: list[bool] = []
        self._read_back: bool | None = None
        super().__init__(factory, info)

    def output_with_state(self, state: bool) -> None:
        """Become an output that stands at this level from its first moment."""
        self._drive(bool(state))
        self._function = "output"

    def _set_state(self, value: float) -> None:
        if self._function == "output":
            self._drive(bool(value))
        else:
            super()._set_state(value)  # raises: an input drives nothing

    def _get_state(self) -> bool:
        return self._state if self._read_back is None else self._read_back

    def _drive(self, high: bool) -> None:
        """Drive a level: into the history, and to whatever is wired to the pin."""
        before = bool(self._state)
        self._read_back = self.factory.moved(self.info.name, high)
        if "pin_stuck" in self.faults:
            self._read_back = before if self._read_back is None else self._read_back
        self.driven.append(high)
        self._change_state(high)


class BenchFactory(MockFactory):  # type: ignore[misc]
    """A board of simulated pins."""

    def __init__(self, on_pin: Callable[[int, bool], bool | None] | None = None) -> None:
        """Make a board.

        Args:
            on_pin: called as (BCM number, level) before a driven level is told; may return the
                level that the pin reads back, where that differs.
        """
        super().__init__(revision="a02082", pin_class=BenchPin)
        self._on_pin = on_pin

    def moved(self, name: str, high: bool) -> bool | None:
        """Tell the board that a pin is driven; return its read-back if it is known."""
        if self._on_pin is None:
            return None
        return self._on_pin(int(name.removeprefix("GPIO")), high)

    def history(self, pin: int) -> list[bool]:
        """Return every level that was ever driven on a pin, in order; True is high."""
        driven: list[bool] = self.pin(pin).driven
        return list(driven)


class Contact:
    """The contact that a relay's coil moves, and whether its load is fed.

    Faults: "welded" (stays where it is), "coil_dead" (falls to rest and stays).
    """

    def __init__(self, *, active_high: bool, deenergised: str) -> None:
        """Rest.

        Args:
            active_high: whether a high pin energises the coil.
            deenergised: "fed" if the load is wired to NC, "cut" if to NO.
        """
        if deenergised not in ("fed", "cut"):
            raise ValueError(f'deenergised = {deenergised!r}: want "fed" or "cut"')
        self.faults = FaultSwitches("welded", "coil_dead")
        self._active_high = active_high
        self._fed_at_rest = deenergised == "fed"
        self._is_pulled = False

    @property
    def is_fed(self) -> bool:
        """Whether the load behind the contact has power."""
        return self._fed_at_rest != self._is_pulled

    def follow(self, high: bool) -> None:
        """Let the coil follow its pin."""
        if "welded" in self.faults:
            return
        self._is_pulled = high == self._active_high and "coil_dead" not in self.faults
