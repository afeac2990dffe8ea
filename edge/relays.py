"""The relays of this node, and the only code that moves them.

It checks the hub's signature, asks `edge.lease` what to do, drives the coil and reads it back. The
guard holds those on pins, and makes the nonces of its node; the thread of a bus holds those on it.
What is to be told waits in `unsent` as frames of `edge.frames`.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge.clock import boot_id, boottime_ms
from edge.lease import (
    NONCES_MAX,
    Contact,
    Obey,
    Refuse,
    Rules,
    decide,
    held,
    is_over,
    rivals,
    safe,
    spent,
    unsafe,
)
from edge.override import Hold
from hardware.errors import HardwareError, SwitchFailed
from hardware.ports import Relay, Setpoint
from messages import cose
from messages.entries import network_aad, parse_as
from messages.errors import MessageError
from messages.lease import NONCE_BYTES, TTL_MS_MAX, Lease
from messages.trust import Trust

UNSENT_FRAMES_MAX: Final = 64
AGENT_SILENT_MS: Final = 2_000
LEASE_BYTES_MAX: Final = 4_096
NONCE_EVERY_MS: Final = 1_000
NONCE_EVERY_MS_MIN: Final = 250
NONCES_A_LIFE: Final = 4
DISOBEDIENT: Final = "it does not do what is written to it"
UNREACHABLE: Final = "it cannot be reached"
OVER: Final = "the local override is over"

log = logging.getLogger("edge.guard")


@dataclass(slots=True)
class Relays:
    """The relays that one holder has: how each stands, by whose lease, and what it obeys next."""

    node: str
    trust: Trust
    coils: Mapping[str, Relay]
    rules: Mapping[str, Rules]
    clock_ms: Callable[[], int] = boottime_ms
    random: Callable[[int], bytes] = os.urandom
    unsent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=UNSENT_FRAMES_MAX))
    nonce_every_ms: int = NONCE_EVERY_MS
    _contacts: dict[str, Contact] = field(default_factory=dict)
    _nonces: dict[bytes, int] = field(default_factory=dict)
    _refused: dict[str, int] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)
    _holds: dict[str, str] = field(default_factory=dict)
    _thrown: dict[str, Hold] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know every contact as safe since now; relays are made de-energised."""
        now_ms = self.clock_ms()
        self._contacts = {relay: Contact(since_ms=now_ms) for relay in self.coils}

    def make_nonce(self) -> None:
        """Make a nonce, tell it, and look after every contact."""
        nonce, made_ms = fresh_nonce(self.random), self.clock_ms()
        self.know(nonce, made_ms)
        self.look_after()
        self.unsent += [{"nonce": nonce, "boottime_ms": made_ms}, self.state()]

    def know(self, nonce: bytes, made_ms: int) -> None:
        """Take leases for this nonce from now on, and forget the oldest."""
        self._nonces[nonce] = made_ms
        if len(self._nonces) > NONCES_MAX:
            del self._nonces[next(iter(self._nonces))]

    def look_after(self) -> None:
        """Release again what should be and is not; know as safe what let go by itself."""
        for relay, contact in self._contacts.items():
            found = self._read_back(relay)
            if not contact.energised and found is not False:
                self._drive(relay, energised=False)
            elif contact.energised and found is False:
                self._make_safe(relay, "safe", "it let go by itself")

    def hold(self, by: str, reason: str) -> None:
        """Keep every relay safe while there is a reason; "" ends that."""
        if self._holds.get(by, "") != reason:
            self._holds[by] = reason
            if reason:
                self.all_safe(reason)

    def unavailable(self, relay: str) -> str:
        """Return why no lease moves a relay now, "" if one may."""
        thrown = self._thrown.get(relay)
        return next((reason for reason in self._holds.values() if reason), "") or (
            thrown.reason if thrown is not None else ""
        )

    def override(self, thrown: Mapping[str, Hold]) -> None:
        """Follow the switches on this node: a local hold beats the hub at once.

        Where a rule or a hold of all relays forbids to energise, it is tried again; until then the
        contact is safe.
        """
        for relay in self.coils:
            was, now, contact = self._thrown.get(relay), thrown.get(relay), self._contacts[relay]
            if now is None and was is not None:
                del self._thrown[relay]
                self._go(relay, safe(contact, OVER, self.clock_ms()), "safe")
            elif now is not None and (now != was or contact.energised != now.energised):
                self._thrown[relay] = now
                self._hold_locally(relay, now, is_news=now != was)

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take in a frame of the agent; what is no lease says that it is alive, and may hold."""
        if "lease" not in frame:
            self.hold("agent", str(frame.get("hold", "")))
            return
        try:
            envelope = cose.parse(frame["lease"], limit=LEASE_BYTES_MAX)
            cose.verify(envelope, self.trust.hub_key, network_aad(self.trust.network_id))
            lease = parse_as(Lease, envelope)
        except (MessageError, TypeError) as error:
            log.warning("lease refused: %s", error)
            return
        if lease.node != self.node:
            log.warning("lease refused: it is for node %s", lease.node)
            return
        self._keep_pace(lease)
        if lease.relay not in self.coils:
            log.debug("a lease for %s, which is not held here", lease.relay)
            return
        reason = self.unavailable(lease.relay)
        if reason:
            self._refuse(lease, reason)
            return
        answer = decide(lease, self.rules, self._contacts, self._nonces, self.clock_ms())
        if isinstance(answer, Refuse):
            self._refuse(lease, answer.reason)
        else:
            self._obey(lease, answer)

    def end_leases(self) -> None:
        """Return contacts whose lease is over to safe."""
        for relay, contact in self._contacts.items():
            if is_over(contact, self.clock_ms()):
                self._make_safe(relay, "expired", "its lease is over")

    def all_safe(self, reason: str) -> None:
        """Return every contact to safe, but those that somebody on the spot holds otherwise."""
        for relay in self._contacts:
            if relay not in self._thrown or any(self._holds.values()):
                self._make_safe(relay, "safe", reason)

    def left_ms(self) -> int:
        """Return the time until the first lease is over; long, if there is none."""
        ends = [each.ends_ms - self.clock_ms() for each in self._contacts.values() if each.ends_ms]
        return min(ends, default=TTL_MS_MAX)

    def state(self) -> dict[str, Any]:
        """Return the frame that tells every relay as it reads back."""
        now_ms = self.clock_ms()
        return {
            "relays": [
                {
                    "relay": relay,
                    "energised": self._read_back(relay),
                    "lease_left_ms": max(0, contact.ends_ms - now_ms) if contact.ends_ms else 0,
                    "reason": contact.reason,
                    "unavailable": self.unavailable(relay),
                    "setpoint_mw": contact.setpoint_mw,
                }
                for relay, contact in self._contacts.items()
            ],
            "nonce_every_ms": self.nonce_every_ms,
        }

    def _keep_pace(self, lease: Lease) -> None:
        """Ask for fresher nonces where leases are short, or they are over before the next one."""
        pace_ms = max(lease.ttl_ms // NONCES_A_LIFE, NONCE_EVERY_MS_MIN)
        self.nonce_every_ms = min(pace_ms, NONCE_EVERY_MS)

    def _obey(self, lease: Lease, answer: Obey) -> None:
        fault = self._follow(lease) if answer.moves or lease.setpoint_mw is not None else ""
        if fault and not answer.moves:
            return  # its device did not hear it again: what it heard before runs out with its lease
        if fault:
            self._drive(lease.relay, energised=False)
            after = safe(self._contacts[lease.relay], fault, self.clock_ms())
            if fault == DISOBEDIENT:
                after = spent(after, self.rules[lease.relay], self.clock_ms())
            self._contacts[lease.relay] = after
            self._refuse(lease, fault)
            return
        self._contacts[lease.relay] = answer.contact
        self._refused.pop(lease.relay, None)
        if answer.news:
            self._tell(lease.relay, lease.sequence, "applied", lease.reason)

    def _follow(self, lease: Lease) -> str:
        """Do what a lease says, and return what is wrong with it.

        A set-point is told its lease's life, so that its device forgets it when nobody is left.
        """
        coil, told_mw = self.coils[lease.relay], lease.setpoint_mw
        if told_mw is None or not isinstance(coil, Setpoint):
            return self._drive(lease.relay, energised=lease.energised)
        try:
            coil.hold(told_mw, lease.ttl_ms)
        except HardwareError as error:
            return self._note_fault(lease.relay, error)
        self._faults.pop(lease.relay, None)
        return ""

    def _hold_locally(self, relay: str, hold: Hold, *, is_news: bool) -> None:
        """Take a contact where a switch on this node wants it, as far as its rules let it go."""
        for rival in rivals(relay, self.rules, self._contacts) if hold.energised else ():
            self._make_safe(rival, "safe", f"interlock: {relay} is held by hand")
        contact, now_ms = self._contacts[relay], self.clock_ms()
        energised = hold.energised and not any(self._holds.values())
        if energised and not contact.energised:
            energised = not unsafe(relay, self.rules, self._contacts, now_ms)
        if is_news or energised != contact.energised:
            self._go(relay, held(contact, hold.reason, now_ms, energised=energised), "override")

    def _go(self, relay: str, after: Contact, outcome: str) -> None:
        """Take a contact where nobody's lease wants it, and tell that."""
        before = self._contacts[relay]
        self._contacts[relay] = after
        reason = after.reason
        if after.energised != before.energised:
            fault = self._drive(relay, energised=after.energised)
            if fault and after.energised:
                self._drive(relay, energised=False)
                self._contacts[relay] = spent(after, self.rules[relay], self.clock_ms())
                reason = fault
        self._tell(relay, before.sequence, outcome, reason)

    def _refuse(self, lease: Lease, reason: str) -> None:
        """Tell a refusal once for each decision: a lease is renewed every second."""
        log.info("lease for %s refused: %s", lease.relay, reason)
        if self._refused.get(lease.relay) != lease.decision:
            self._refused[lease.relay] = lease.decision
            self._tell(lease.relay, lease.sequence, "refused", reason)

    def _make_safe(self, relay: str, outcome: str, reason: str) -> None:
        before = self._contacts[relay]
        self._contacts[relay] = safe(before, reason, self.clock_ms())
        if before.energised:
            self._drive(relay, energised=False)
            self._tell(relay, before.sequence, outcome, reason)

    def _drive(self, relay: str, *, energised: bool) -> str:
        """Switch a relay and return what is wrong with it; a fault that stays is logged once."""
        try:
            self.coils[relay].switch(energised)
        except HardwareError as error:
            return self._note_fault(relay, error)
        self._faults.pop(relay, None)
        log.info("relay %s is %s", relay, "energised" if energised else "released")
        return ""

    def _note_fault(self, relay: str, error: HardwareError) -> str:
        if self._faults.get(relay) != str(error):
            log.error("relay %s: %s", relay, error)
        self._faults[relay] = str(error)
        return DISOBEDIENT if isinstance(error, SwitchFailed) else UNREACHABLE

    def _read_back(self, relay: str) -> bool | None:
        try:
            return self.coils[relay].is_energised
        except HardwareError:
            return None

    def _tell(self, relay: str, sequence: int, outcome: str, reason: str) -> None:
        ack = {
            "relay": relay,
            "sequence": sequence,
            "energised": self._contacts[relay].energised,
            "outcome": outcome,
            "reason": reason,
            "boottime_ms": self.clock_ms(),
            "setpoint_mw": self._contacts[relay].setpoint_mw,
        }
        self.unsent += [{"ack": ack}, self.state()]


def fresh_nonce(random: Callable[[int], bytes] = os.urandom) -> bytes:
    """Return 16 bytes that nobody could know before: the boot's first four, then random ones."""
    return boot_id()[:4] + random(NONCE_BYTES - 4)
