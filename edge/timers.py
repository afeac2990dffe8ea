"""What the agent does now and then, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ALIVE_EVERY_MS: Final = 400
STATUS_EVERY_MS: Final = 1_000
HELLO_EVERY_MS: Final = 30_000
HELLO_AGAIN_MS: Final = 1_000
KEYS_EVERY_MS: Final = 5_000
BALLAST_EVERY_MS: Final = 60_000
CLOCK_EVERY_MS: Final = 5_000


@dataclass(slots=True)
class Timer:
    """Something due every so often, at once at first."""

    every_ms: int
    last_ms: int | None = None

    def is_due(self, now_ms: int) -> bool:
        """Whether it is due; if so, it counts as done."""
        if self.last_ms is not None and now_ms - self.last_ms < self.every_ms:
            return False
        self.last_ms = now_ms
        return True


@dataclass(slots=True)
class Timers:
    """Everything that is due now and then. [ms boottime]"""

    alive: Timer = field(default_factory=lambda: Timer(ALIVE_EVERY_MS))
    status: Timer = field(default_factory=lambda: Timer(STATUS_EVERY_MS))
    hello: Timer = field(default_factory=lambda: Timer(HELLO_EVERY_MS))
    hello_again: Timer = field(default_factory=lambda: Timer(HELLO_AGAIN_MS))
    send: Timer = field(default_factory=lambda: Timer(STATUS_EVERY_MS))
    keys: Timer = field(default_factory=lambda: Timer(KEYS_EVERY_MS))
    ballast: Timer = field(default_factory=lambda: Timer(BALLAST_EVERY_MS))
    clock: Timer = field(default_factory=lambda: Timer(CLOCK_EVERY_MS))
