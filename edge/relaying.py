"""The agent's part in moving relays: it carries bytes to who holds them, and tells what came of it.

Relays on pins are held by the guard, which also makes the nonces of the node. Relays on a bus are
held by the thread of that bus; where no relay is on a pin there is no guard, and the nonces are
made here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edge.clock import boottime_ms
from edge.inbound import FromBus, FromGuard
from edge.outbox_records import Draft
from edge.relays import NONCE_EVERY_MS, fresh_nonce
from messages.entries import Ack, sign_entry
from messages.lease import NONCE_BYTES
from messages.publickey import Signer
from messages.status import RelayStatus

NONCES_MAX: Final = 16
EVENT: Final = "event"
GUARD: Final = ""
"""How the guard is called among the buses."""

log = logging.getLogger("edge.relaying")


@dataclass(slots=True)
class NodeKey:
    """The node's own key and what it signs for. `signer` is another when the key was rotated."""

    node: str
    signer: Signer
    network_id: bytes

    def sign(self, entry: Any) -> bytes:
        """Return an entry signed for the network."""
        return sign_entry(self.signer, entry, self.network_id)

    def event(self, entry: Any) -> Draft:
        """Return the draft of an entry whose field `event` is its sequence."""
        signer, network_id = self.signer, self.network_id

        def sign(sequence: int) -> bytes:
            return sign_entry(signer, replace(entry, event=sequence), network_id)

        return Draft(signer.public.kid, EVENT, sign)


@dataclass(slots=True)
class Relaying:
    """What those who hold relays said last. Without a nonce no lease can come.

    Attributes:
        send: a frame to the guard; None where no relay of this node is on a pin.
        buses: name -> a frame to its thread, for buses that have relays.
        hold: tells why no relay may move, "" if one may.
        nonces: the newest first.
    """

    key: NodeKey
    boot_id: bytes
    send: Callable[[dict[str, Any]], bool] | None
    buses: Mapping[str, Callable[[dict[str, Any]], object]] = field(default_factory=dict)
    clock_ms: Callable[[], int] = boottime_ms
    random: Callable[[int], bytes] = os.urandom
    hold: Callable[[], str] = str
    nonces: tuple[bytes, ...] = ()
    _told: dict[str, tuple[RelayStatus, ...]] = field(default_factory=dict)
    _paces_ms: dict[str, int] = field(default_factory=dict)
    _made_ms: int | None = None
    _guard_is_here: bool = False

    @property
    def relays(self) -> tuple[RelayStatus, ...]:
        """How every relay of the node stands, as its holder said last."""
        return tuple(relay for holder in sorted(self._told) for relay in self._told[holder])

    def on_buses(self) -> tuple[RelayStatus, ...]:
        """Return how the relays on buses stand; for any thread."""
        return tuple(relay for bus in self.buses for relay in self._told.get(bus, ()))

    def carry(self, raw: bytes) -> None:
        """Carry a lease to everyone who holds relays; each checks everything itself."""
        if not self._tell({"lease": raw}):
            log.info("a lease came while the guard is away")

    def keep_alive(self) -> bool:
        """Tell everyone that the loop runs; return whether a nonce was made to be told."""
        hold = self.hold()
        self._tell({"alive": True, "hold": hold} if hold else {"alive": True})
        if self.send is not None or not self.buses:
            return False
        now_ms = self.clock_ms()
        every_ms = min(self._paces_ms.values(), default=NONCE_EVERY_MS)
        if self._made_ms is not None and now_ms - self._made_ms < every_ms:
            return False
        self._made_ms = now_ms
        self._know(fresh_nonce(self.random), now_ms)
        return True

    def take(self, event: FromGuard | FromBus, at_ms: int) -> tuple[Draft, ...]:
        """Take in a frame about relays; return the acknowledgement to store, if it is one."""
        frame = event.frame
        holder = event.bus if isinstance(event, FromBus) else GUARD
        if frame is None:
            self._lose_guard()
            return ()
        if holder == GUARD and not self._guard_is_here:
            log.info("the guard is here")
            self._guard_is_here = True
        if holder == GUARD and len(frame.get("nonce", b"")) == NONCE_BYTES:
            self._know(frame["nonce"], frame["boottime_ms"])
        if "relays" in frame:
            self._told[holder] = tuple(RelayStatus(**each) for each in frame["relays"])
            self._paces_ms[holder] = frame.get("nonce_every_ms", NONCE_EVERY_MS)
        if "ack" in frame:
            return (self._acknowledge(frame["ack"], at_ms),)
        return ()

    def _tell(self, frame: dict[str, Any]) -> bool:
        """Tell everyone; return False if the guard is away."""
        for tell in self.buses.values():
            tell(frame)
        return self.send is None or self.send(frame)

    def _know(self, nonce: bytes, made_ms: int) -> None:
        """Remember a nonce, and let those without the guard's ear count leases from it."""
        self.nonces = (nonce, *self.nonces)[:NONCES_MAX]
        for tell in self.buses.values():
            tell({"nonce": nonce, "boottime_ms": made_ms})

    def _lose_guard(self) -> None:
        log.warning("the guard is away: no relay can move")
        self.nonces = ()
        self._told[GUARD] = tuple(
            replace(each, energised=None, lease_left_ms=0, reason="the guard is away")
            for each in self._told.get(GUARD, ())
        )
        self._guard_is_here = False

    def _acknowledge(self, told: Mapping[str, Any], at_ms: int) -> Draft:
        log.info(
            "relay %s: lease %d %s: %s",
            told["relay"],
            told["sequence"],
            told["outcome"],
            told["reason"],
        )
        ack = Ack(
            event=0,
            node=self.key.node,
            relay=told["relay"],
            lease_sequence=told["sequence"],
            energised=told["energised"],
            outcome=told["outcome"],
            reason=told["reason"],
            at_ms=at_ms,
            boot_id=self.boot_id,
            boottime_ms=told["boottime_ms"],
            setpoint_mw=told.get("setpoint_mw"),
        )
        return self.key.event(ack)
