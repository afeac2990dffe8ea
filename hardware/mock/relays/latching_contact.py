"""A latching relay between two pins: one coil sets the contact, the other resets it.

It moves when a coil has been driven long enough, and stays where it is without current, through
power cuts too: nobody knows where it stands before it was driven once. A pulse that is too short
moves nothing, and neither do both coils at once.
Source: data sheets of two-coil bistable relays, which ask for a pulse of 20 ms and more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hardware.mock.faults import FaultSwitches

_OPERATE_S = 0.02


class LatchingContact:
    """One contact, its two coils, and how long they have been driven.

    Faults: "welded" (stays where it is), "coil_dead" (the set coil moves nothing).
    """

    def __init__(
        self,
        set_pin: int,
        reset_pin: int,
        *,
        active_high: bool = True,
        is_set: bool = False,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Stand somewhere.

        Args:
            set_pin: BCM number of the pin that drives the set coil.
            reset_pin: BCM number of the pin that drives the reset coil.
            active_high: whether a high pin drives its coil.
            is_set: where it was left.
            clock_s: measures pulses. [s]
        """
        self.faults = FaultSwitches("welded", "coil_dead")
        self._coils = {set_pin: True, reset_pin: False}
        self._active_high = active_high
        self._is_set = is_set
        self._clock_s = clock_s
        self._since_s: dict[int, float] = {}

    @property
    def is_set(self) -> bool:
        """Where the contact stands now."""
        self._move()
        return self._is_set

    @property
    def is_driven(self) -> bool:
        """Whether a coil draws current: it should only for the time of a pulse."""
        return bool(self._since_s)

    def follow(self, pin: int, high: bool) -> None:
        """Let the coil behind a pin follow it; pins of others are passed over."""
        if pin not in self._coils:
            return
        self._move()
        if high == self._active_high:
            self._since_s.setdefault(pin, self._clock_s())
        else:
            self._since_s.pop(pin, None)

    def _move(self) -> None:
        if len(self._since_s) != 1 or "welded" in self.faults:
            return
        ((pin, since_s),) = self._since_s.items()
        sets = self._coils[pin]
        if self._clock_s() - since_s >= _OPERATE_S and not (sets and "coil_dead" in self.faults):
            self._is_set = sets
