"""A node as the hub knows it: meters that are sampled, and contacts that obey leases.

What a lease may do is decided by the guard's own code, `edge.lease`; only its process, its signed
bytes and its pins are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edge.lease import NONCES_MAX, Contact, Obey, Rules, decide, is_over, safe
from messages.entries import Ack
from messages.lease import Lease
from messages.live import BEACON_BYTES, Live
from messages.reading import Reading
from messages.status import RelayStatus, Status
from testbed.layout import MeterPlace, NodePlace
from testbed.tables import Scenario
from testbed.world import World

UW_PER_MW: Final = 1000
PERMILLE: Final = 1000


@dataclass(slots=True)
class Node:
    """One node in the world. `tell` takes its words for the hub."""

    place: NodePlace
    scenario: Scenario
    world: World
    tell: Callable[[Ack | Live | Reading | Status], None]
    beacon_ms: int | None = None
    _contacts: dict[str, Contact] = field(default_factory=dict)
    _rules: dict[str, Rules] = field(default_factory=dict)
    _nonces: dict[bytes, int] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        """Begin with every contact safe."""
        for relay in self.place.relays:
            self._contacts[relay.relay] = Contact(since_ms=self.world.now_ms - 3_600_000)
            self._rules[relay.relay] = Rules(relay.min_on_ms, relay.min_off_ms)

    def make_nonce(self, now_ms: int) -> None:
        """Make the nonce of this second, tell it, and forget the oldest."""
        if not self.place.relays:
            return
        name = f"{self.place.node} {now_ms}".encode()
        self._nonces[hashlib.sha256(name).digest()[:16]] = now_ms
        newest = sorted(self._nonces, key=lambda nonce: -self._nonces[nonce])[:NONCES_MAX]
        self._nonces = {nonce: self._nonces[nonce] for nonce in newest}
        self.tell(self._status(now_ms))

    def obey(self, lease: Lease, now_ms: int) -> None:
        """Do what a lease wants, or refuse it."""
        verdict = decide(lease, self._rules, self._contacts, self._nonces, now_ms)
        if not isinstance(verdict, Obey):
            self._acknowledge(lease.relay, "refused", verdict.reason, lease.sequence, now_ms)
            return
        self._contacts[lease.relay] = verdict.contact
        if verdict.moves:
            self._move(lease.relay)
        if verdict.news:
            self._acknowledge(lease.relay, "applied", lease.reason, lease.sequence, now_ms)

    def end_leases(self, now_ms: int) -> None:
        """Let contacts whose lease is over return to safe."""
        for relay, contact in self._contacts.items():
            if is_over(contact, now_ms):
                self._contacts[relay] = safe(contact, "its lease is over", now_ms)
                self._move(relay)
                reason = self._contacts[relay].reason
                self._acknowledge(relay, "expired", reason, contact.sequence, now_ms)

    def sample(self, now_ms: int) -> None:
        """Tell what each meter shows now."""
        self._count += 1
        for meter in self.place.meters:
            if not self._is_gone(meter, now_ms):
                self.tell(self._live(meter, now_ms))

    def read_registers(self, now_ms: int) -> None:
        """Tell each meter's register at a slot's edge."""
        for meter in self.place.meters:
            if not self._is_gone(meter, now_ms):
                imported, exported = self.world.energy_uwh(meter.probe)
                microgrid = self.scenario.microgrid
                self._count += 1
                self.tell(
                    Reading(microgrid, meter.meter_id, self._count, now_ms, imported, exported)
                )

    def _live(self, meter: MeterPlace, now_ms: int) -> Live:
        power_uw = self.world.power_uw(meter.probe)
        power_mw = power_uw // UW_PER_MW if power_uw >= 0 else -(-power_uw // UW_PER_MW)
        return Live(
            microgrid=self.scenario.microgrid,
            meter_id=meter.meter_id,
            sequence=self._count,
            at_ms=now_ms,
            power_mw=power_mw * self._shown_permille(meter, now_ms) // PERMILLE,
            voltage_mv=self.world.flows.bus_mv,
            frequency_mhz=self.world.frequency_mhz or None,
            beacon=(self.beacon_ms or 0).to_bytes(BEACON_BYTES, "big"),
        )

    def _status(self, now_ms: int) -> Status:
        nonces = tuple(sorted(self._nonces, key=lambda nonce: -self._nonces[nonce]))
        relays = tuple(
            RelayStatus(relay, contact.energised, max(contact.ends_ms - now_ms, 0), contact.reason)
            for relay, contact in self._contacts.items()
        )
        return Status(self.place.node, b"boot", nonces, relays, 0, 0, now_ms)

    def _move(self, relay: str) -> None:
        pin = next(each.pin for each in self.place.relays if each.relay == relay)
        self.world.set_pin(self.place.node, pin, self._contacts[relay].energised)

    def _acknowledge(
        self, relay: str, outcome: str, reason: str, sequence: int, now_ms: int
    ) -> None:
        self._count += 1
        ack = Ack(
            event=self._count,
            node=self.place.node,
            relay=relay,
            lease_sequence=sequence,
            energised=self._contacts[relay].energised,
            outcome=outcome,
            reason=reason,
            at_ms=now_ms,
            boot_id=b"boot",
            boottime_ms=now_ms,
        )
        self.tell(ack)

    def _is_gone(self, meter: MeterPlace, now_ms: int) -> bool:
        spans = self.scenario.spans_of("meter_gone", meter.meter_id)
        return any(start <= now_ms < end for start, end in spans)

    def _shown_permille(self, meter: MeterPlace, now_ms: int) -> int:
        for event in self.scenario.event:
            start, end = self.scenario.span_ms(event)
            is_it = event.event == "meter_lies" and event.target == meter.meter_id
            if is_it and start <= now_ms < end:
                return event.permille
        return PERMILLE


def nodes_of(
    places: tuple[NodePlace, ...],
    scenario: Scenario,
    world: World,
    send: Callable[[str, Ack | Live | Reading | Status], None],
) -> Iterator[Node]:
    """Yield every node, with its own way to the hub."""
    for place in places:
        yield Node(place, scenario, world, _way(place.node, send))


def _way(
    node: str, send: Callable[[str, Ack | Live | Reading | Status], None]
) -> Callable[[Ack | Live | Reading | Status], None]:
    return lambda message: send(node, message)
