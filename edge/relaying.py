"""The agent's part in moving relays: it carries bytes to the guard and tells what came of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edge.inbound import FromGuard
from edge.outbox_records import Draft
from messages.entries import Ack, sign_entry
from messages.lease import NONCE_BYTES
from messages.publickey import Signer
from messages.status import RelayStatus

NONCES_MAX: Final = 16
EVENT: Final = "event"

log = logging.getLogger("edge.relaying")


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The node's own key and what it signs for."""

    node: str
    signer: Signer
    network_id: bytes

    def sign(self, entry: Any) -> bytes:
        """Return an entry signed for the network."""
        return sign_entry(self.signer, entry, self.network_id)

    def event(self, entry: Any) -> Draft:
        """Return the draft of an entry whose field `event` is its sequence."""
        return Draft(
            self.signer.public.kid,
            EVENT,
            lambda sequence: self.sign(replace(entry, event=sequence)),
        )


@dataclass(slots=True)
class Relaying:
    """What the guard said last. Without a guard there are no nonces, so no lease can come."""

    key: NodeKey
    boot_id: bytes
    send: Callable[[dict[str, Any]], bool]
    nonces: tuple[bytes, ...] = ()
    relays: tuple[RelayStatus, ...] = ()
    _guard_is_here: bool = field(default=False)

    def carry(self, raw: bytes) -> None:
        """Carry a lease to the guard; it checks everything itself."""
        if not self.send({"lease": raw}):
            log.info("a lease came while the guard is away")

    def keep_alive(self) -> None:
        """Tell the guard that the loop runs."""
        self.send({"alive": True})

    def take(self, event: FromGuard, at_ms: int) -> tuple[Draft, ...]:
        """Take in a frame of the guard; return the acknowledgement to store, if it is one."""
        frame = event.frame
        if frame is None:
            log.warning("the guard is away: no relay can move")
            self.nonces = ()
            self.relays = tuple(
                replace(each, energised=None, lease_left_ms=0, reason="the guard is away")
                for each in self.relays
            )
            self._guard_is_here = False
            return ()
        if not self._guard_is_here:
            log.info("the guard is here")
            self._guard_is_here = True
        if "nonce" in frame and len(frame["nonce"]) == NONCE_BYTES:
            self.nonces = (frame["nonce"], *self.nonces)[:NONCES_MAX]
        if "relays" in frame:
            self.relays = tuple(RelayStatus(**each) for each in frame["relays"])
        if "ack" in frame:
            return (self._acknowledge(frame["ack"], at_ms),)
        return ()

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
        )
        return self.key.event(ack)
