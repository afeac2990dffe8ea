"""A relay lease: what the hub wants of one contact, for how long, and why. Signed by the hub's key.

It runs from the moment the guard made its nonce, on the guard's boottime clock. When it is over the
contact returns to safe, which is always de-energised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

TTL_MS_MIN, TTL_MS_MAX, TTL_MS_DEFAULT = 1_000, 10_000, 5_000
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Lease:
    """`sequence` grows with every lease of the hub; `decision` is the leaf index of its reason.

    `setpoint_mw`: what a device is to keep to where `relay` is a set-point; None for a relay.
    """

    KIND: ClassVar[str] = "lease"
    node: str
    relay: str
    nonce: bytes
    sequence: int
    ttl_ms: int
    energised: bool
    reason: str
    decision: int
    setpoint_mw: int | None = None
