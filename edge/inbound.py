"""What reaches the agent's one loop, from its threads: each is a value in the same queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hardware.errors import HardwareError
from hardware.ports import Sample


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us in."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The broker is away, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class FromHub:
    """A message of the hub: the last word of its topic, and its bytes."""

    leaf: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class FromGuard:
    """A frame of the guard; None when it went away."""

    frame: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class FromBus:
    """A frame about the relays of a bus, in the words of the guard."""

    bus: str
    frame: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Instant:
    """The testbed's clock asks to sample this instant. `again`: after contacts moved at it."""

    at_ms: int
    again: bool


@dataclass(frozen=True, slots=True)
class Sampled:
    """One device answered or failed for one instant; neither: it is left alone for a while."""

    token: int
    meter_id: str
    sample: Sample | None
    error: HardwareError | None


@dataclass(frozen=True, slots=True)
class Task:
    """Something that only the loop's thread may do; it tells who asked what came of it."""

    run: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ThreadEnded:
    """A thread of ours ended that should not: a bug, and the end of this process."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants this process to end."""


Event = (
    Connected
    | Disconnected
    | FromHub
    | FromGuard
    | FromBus
    | Instant
    | Sampled
    | Task
    | ThreadEnded
    | Stop
)
Put = Callable[[Event], None]
