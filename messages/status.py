"""What node and hub tell each other of themselves: hello, status, beacon, balance request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

RUN: Final = "run"
WAIT: Final = "wait"
"""It would run now, and waits for a cheaper slot."""
REST: Final = "rest"
"""It has nothing to do now, cheap or dear."""


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Where the node's outbox stands in one stream.

    `first_held` is the lowest sequence above `stored_up_to` that the node can still send
    (`next_sequence` if there is none). If it is above `stored_up_to` + 1, the sequences between
    were dropped by a full outbox and will never come: the node asks the hub for a gap over them.
    """

    kid: bytes
    stream: str
    next_sequence: int
    stored_up_to: int
    final_up_to: int
    first_held: int


@dataclass(frozen=True, slots=True)
class Hello:
    """At connect and every 30 s, signed by the node; its checkpoint finds a hub that is behind."""

    KIND: ClassVar[str] = "hello"
    node: str
    boot_id: bytes
    checkpoint: str
    heads: tuple[StreamHead, ...]
    backlog: int
    software: str


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """One contact as read back; None where it cannot be read.

    `unavailable`: why no lease moves it now, whatever the hub wants; "" if one may. `setpoint_mw`:
    what a set-point was told last. `wish`: what a shiftable load asks for (`RUN`, `WAIT`, `REST`),
    "" for any other.
    """

    relay: str
    energised: bool | None
    lease_left_ms: int
    reason: str
    unavailable: str = ""
    setpoint_mw: int | None = None
    wish: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Once a second and on change, signed by the node. `nonces`: 16 bytes each, newest first."""

    KIND: ClassVar[str] = "status"
    node: str
    boot_id: bytes
    nonces: tuple[bytes, ...]
    relays: tuple[RelayStatus, ...]
    outbox_rows: int
    dead_letters: int
    at_ms: int
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Beacon:
    """16 random bytes each second, signed by the hub; a live sample echoes the newest it saw."""

    KIND: ClassVar[str] = "beacon"
    beacon: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """The hub's balance request of paper 000. `direction`: "deficit", "surplus" or "balanced"."""

    KIND: ClassVar[str] = "request"
    slot_start_ms: int
    amount_mw: int
    direction: str
