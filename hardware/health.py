"""How the devices on a line fare: counters for a person who looks for a bad cable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WIRING_HINT_PERCENT: Final = 1
"""More bad checksums than this are no accident. Source: common field practice with RS-485."""

_ENOUGH: Final = 3


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """What became of the requests to one device since the bus was made.

    Attributes:
        asked: requests that went out.
        answered: replies that fitted, exceptions among them.
        timeouts: requests without a reply.
        bad_checksums: replies that were no whole frame.
        unexpected: good frames that answered something else.
    """

    asked: int
    answered: int
    timeouts: int
    bad_checksums: int
    unexpected: int

    @property
    def hint(self) -> str:
        """What to look at; empty if nothing stands out."""
        is_bad = self.bad_checksums * 100 > self.asked * WIRING_HINT_PERCENT
        if self.bad_checksums < _ENOUGH or not is_bad:
            return ""
        return (
            f"{self.bad_checksums} of {self.asked} replies were damaged: check wiring, "
            f"termination, bias, and that no other device has its id"
        )
