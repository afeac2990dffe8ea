"""What the broker says now, believed only where a registered key signed it.

The web process is a broker client of its own: it verifies live samples with the meters' keys,
status with the nodes', leases, beacons and requests with the hub's. Ages are on its own monotonic
clock, since the beacon that a sample echoes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from hub.link.arrivals import Arrival
from messages import cose
from messages.cose import Envelope
from messages.entries import network_aad, parse_as
from messages.errors import MessageError, UnknownKey
from messages.lease import Lease
from messages.live import Live, parse_live
from messages.publickey import PublicKey
from messages.status import Beacon, Request, Status
from messages.trust import Trust

BEACONS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Heard:
    """A verified live sample, and when the beacon that it echoes was seen here. [ms monotonic]"""

    live: Live
    beacon_ms: int | None
    heard_ms: int


class Samples:
    """The newest verified message of each meter, node and relay. One thread takes in."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._aad = network_aad(trust.network_id)
        self._beacons: OrderedDict[bytes, int] = OrderedDict()
        self.live: dict[str, Heard] = {}
        self.status: dict[str, tuple[Status, int]] = {}
        self.leases: dict[tuple[str, str], tuple[Lease, int]] = {}
        self.request: Request | None = None
        self.refused = 0

    def take_in(self, arrival: Arrival, keys: Mapping[bytes, PublicKey], now_ms: int) -> None:
        """Verify one message and keep what it says; one that does not verify is counted."""
        if not arrival.raw:
            self.status.pop(arrival.node, None)  # the broker speaks a node's last will
            return
        try:
            self._take_in(arrival, cose.parse(arrival.raw), keys, now_ms)
        except MessageError:
            self.refused += 1

    def _take_in(
        self, arrival: Arrival, envelope: Envelope, keys: Mapping[bytes, PublicKey], now_ms: int
    ) -> None:
        if arrival.channel == "live":
            cose.verify(envelope, _known(keys, envelope))
            live = parse_live(envelope)
            newest = self.live.get(live.meter_id)
            if newest is None or live.sequence > newest.live.sequence:
                self.live[live.meter_id] = Heard(live, self._beacons.get(live.beacon), now_ms)
        elif arrival.channel == "status":
            cose.verify(envelope, _known(keys, envelope), self._aad)
            status = parse_as(Status, envelope)
            if status.node == arrival.node:
                self.status[status.node] = (status, now_ms)
        elif arrival.channel in ("lease", "beacon", "request"):
            cose.verify(envelope, self._trust.hub_key, self._aad)
            self._take_in_hubs(arrival.channel, envelope, now_ms)

    def _take_in_hubs(self, channel: str, envelope: Envelope, now_ms: int) -> None:
        if channel == "lease":
            lease = parse_as(Lease, envelope)
            self.leases[lease.node, lease.relay] = (lease, now_ms)
        elif channel == "request":
            self.request = parse_as(Request, envelope)
        else:
            self._beacons.setdefault(parse_as(Beacon, envelope).beacon, now_ms)
            while len(self._beacons) > BEACONS_KEPT:
                self._beacons.popitem(last=False)


def _known(keys: Mapping[bytes, PublicKey], envelope: Envelope) -> PublicKey:
    key = keys.get(envelope.kid)
    if key is None:
        raise UnknownKey(f"key {envelope.kid.hex()} is not on the ledger")
    return key
