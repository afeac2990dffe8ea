"""Switches on this node that beat the hub: thrown, they hold contacts where the configuration says.

A switch hangs between its pin and ground. It counts as thrown at once, and as back only after it
read so for a second without a break: a loose wire holds, it does not chatter. No network, no agent
and no lease is needed; the guard looks at the pins itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from hardware.errors import HardwareError

LOOK_EVERY_MS: Final = 50
BACK_AFTER_MS: Final = 1_000

log = logging.getLogger("edge.override")


class Pin(Protocol):
    """What is used of an input pin."""

    @property
    def is_high(self) -> bool:
        """The level at it; HardwareError if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Where a switch holds a contact, and why, in plain words."""

    energised: bool
    reason: str


@dataclass(slots=True)
class Switch:
    """One switch, and how it was seen last.

    Attributes:
        pin: pulled up, so that an open switch reads high.
        thrown_high: whether a high level means thrown: an open switch, or a broken wire.
        holds: relay -> where it is held while the switch is thrown.
    """

    pin: Pin
    thrown_high: bool
    holds: Mapping[str, Hold]
    is_thrown: bool = False
    _thrown_ms: int = 0
    _is_readable: bool = True

    def look(self, now_ms: int) -> bool:
        """Read the pin; return whether the switch counts as thrown."""
        try:
            is_thrown = self.pin.is_high == self.thrown_high
        except HardwareError as error:
            if self._is_readable:
                log.error("%s; it counts as before", error)
            self._is_readable, is_thrown = False, self.is_thrown
        else:
            self._is_readable = True
        if is_thrown:
            self._thrown_ms = now_ms
        self.is_thrown = is_thrown or (self.is_thrown and now_ms - self._thrown_ms < BACK_AFTER_MS)
        return self.is_thrown


def held_by(switches: tuple[Switch, ...], now_ms: int) -> dict[str, Hold]:
    """Look at every switch; return where thrown ones hold which relays."""
    found: dict[str, Hold] = {}
    for switch in switches:
        if switch.look(now_ms):
            found.update(switch.holds)
    return found
