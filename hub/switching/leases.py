"""Which relays are to be held in which state, and which lease goes out when. Pure.

A lease lives from the moment the guard made its nonce, so a command is renewed with the newest
nonce about three times in its life, while its reason stands. Safe is de-energised and needs no
lease: an order to let go is sent until the contact is seen there, then silence keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from messages.lease import Lease

RENEWALS_A_LIFE = 3
COUNTER_BITS = 24  # renewals of one decision: 300 days at the default TTL

RelayName = tuple[str, str]  # (node, relay)


@dataclass(frozen=True, slots=True)
class Standing:
    """One order that stands: what a relay is held in or told, since which decision, and why."""

    node: str
    relay: str
    energised: bool
    cut: bool
    decision: int
    reason: str
    setpoint_mw: int | None = None
    shift: str = ""

    @property
    def name(self) -> RelayName:
        """Node and relay."""
        return (self.node, self.relay)


@dataclass(slots=True)
class _Running:
    """What went out for a standing order: the newest lease's nonce and when, and how many."""

    standing: Standing
    sent_ms: int | None = None
    nonce: bytes = b""
    count: int = 0


class Leases:
    """Owns the orders of this run of the hub. A restarted hub orders nothing until it decides."""

    def __init__(self, ttl_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._running: dict[RelayName, _Running] = {}

    @property
    def standing(self) -> tuple[Standing, ...]:
        """Every order that stands, by node and relay."""
        return tuple(self._running[name].standing for name in sorted(self._running))

    def order_of(self, name: RelayName) -> Standing | None:
        """Return what a relay is held in, None if nothing was ordered yet."""
        running = self._running.get(name)
        return None if running is None else running.standing

    def order(self, standing: Standing) -> None:
        """Let an order stand from now on; its first lease is due at once."""
        self._running[standing.name] = _Running(standing)

    def keep_only(self, names: Iterable[RelayName]) -> None:
        """Forget relays that are no longer enrolled."""
        known = set(names)
        for name in [name for name in self._running if name not in known]:
            del self._running[name]

    def left_ms(self, name: RelayName, now_ms: int) -> int:
        """How long the newest lease of a relay still runs at most; 0 if none does. [ms]"""
        running = self._running.get(name)
        if running is None or running.sent_ms is None or not running.standing.energised:
            return 0
        return max(running.sent_ms + self._ttl_ms - now_ms, 0)

    def was_sent(self, name: RelayName) -> bool:
        """Whether the order that stands for a relay went out at least once."""
        running = self._running.get(name)
        return running is not None and running.sent_ms is not None

    def due(
        self,
        now_ms: int,
        newest_nonce: Callable[[str], bytes | None],
        energised: Callable[[RelayName], bool | None],
    ) -> tuple[Lease, ...]:
        """Return the leases to sign and publish now, and count them as sent.

        Args:
            now_ms: the hub's monotonic clock.
            newest_nonce: node -> the newest nonce of its guard, None if it told none yet.
            energised: (node, relay) -> what its contact is known to be.
        """
        leases = []
        for name in sorted(self._running):
            running = self._running[name]
            if not self._is_due(running, now_ms, energised(name)):
                continue
            nonce = newest_nonce(running.standing.node)
            if nonce is None:
                continue
            leases.append(self._send(running, nonce, now_ms))
        return tuple(leases)

    def _is_due(self, running: _Running, now_ms: int, energised: bool | None) -> bool:
        if running.sent_ms is None:
            return True
        if not running.standing.energised and energised is False:
            return False
        return now_ms - running.sent_ms >= self._ttl_ms // RENEWALS_A_LIFE

    def _send(self, running: _Running, nonce: bytes, now_ms: int) -> Lease:
        running.sent_ms, running.nonce = now_ms, nonce
        running.count += 1
        standing = running.standing
        return Lease(
            node=standing.node,
            relay=standing.relay,
            nonce=nonce,
            sequence=(standing.decision << COUNTER_BITS) + running.count,
            ttl_ms=self._ttl_ms,
            energised=standing.energised,
            reason=standing.reason,
            decision=standing.decision,
            setpoint_mw=standing.setpoint_mw,
        )
