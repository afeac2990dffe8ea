"""The hub's ledger of one played scenario: the real fold, over entries that nobody had to sign.

The fold trusts what is appended; signatures are judged before, by intake, which is not played here.
Keys are made from names, so a run says the same each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.core.clearing import Contracts
from hub.core.effects import Effect, Ignored, SlotSettled
from hub.core.events import Body, Event
from hub.core.state import State
from hub.core.step import step
from messages.entries import Ack, Close, Genesis, KeyEntry, PolicyEntry, RelayEntry
from messages.publickey import EDDSA, PublicKey
from messages.reading import Reading
from testbed.errors import BadScenario
from testbed.layout import Layout, NodePlace, RelayPlace

CLOSE_AFTER_MS = 10_000
MW_PER_W = 1000


class Ledger:
    """The state after every entry so far; `settled` has each slot that closed."""

    def __init__(self, layout: Layout, policy: PolicyEntry, contracts: Contracts) -> None:
        self.state = State()
        self.settled: list[SlotSettled] = []
        self.microgrid = layout.scenario.microgrid
        self._contracts = contracts
        self._count = 0
        administrator, hub, log = (public_key(name) for name in ("administrator", "hub", "log"))
        self._administrator, self.hub = administrator.kid, hub.kid
        genesis = Genesis(
            microgrid=self.microgrid,
            origin="simulation/score",
            slot_ms=layout.slot_ms,
            close_after_ms=CLOSE_AFTER_MS,
            readings="open",
            simulation=True,
            administrator=administrator.cose_key,
            hub=hub.cose_key,
            log=log.cose_key,
            policy="",
            at_ms=layout.start_ms,
        )
        for body in (genesis, policy):
            self.add(self._administrator, body)

    def add(self, kid: bytes, body: Body) -> int:
        """Append an entry and fold it; return its index.

        Raises:
            BadScenario: the fold ignored it, so the scenario asks for something that cannot be.
        """
        index, self._count = self._count, self._count + 1
        name = hashlib.sha256(index.to_bytes(8, "big")).digest()
        outcome = step(self.state, Event(index, name, kid, body), self._contracts)
        self.state.apply(outcome.changes)
        for effect in outcome.effects:
            self._note(effect)
        return index

    def _note(self, effect: Effect) -> None:
        if isinstance(effect, Ignored):
            raise BadScenario(f"the ledger does not take it: {effect.reason}")
        if isinstance(effect, SlotSettled):
            self.settled.append(effect)

    def enrol(self, node: NodePlace) -> None:
        """Enrol a node with its relays and meters."""
        for entry in enrolment(node):
            self.add(self._administrator, entry)

    def read(self, reading: Reading) -> None:
        """Take a meter's register."""
        self.add(public_key(reading.meter_id).kid, reading)

    def acknowledge(self, ack: Ack) -> None:
        """Take a node's word of a contact."""
        self.add(public_key(ack.node).kid, ack)

    def close(self, slot_ms: int, at_ms: int) -> None:
        """Close a slot."""
        self.add(self.hub, Close(slot_ms, "simulation", (), at_ms))


def public_key(name: str) -> PublicKey:
    """Return the public key that belongs to a name."""
    seed = hashlib.sha256(f"gridtally score {name}".encode()).digest()
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return PublicKey(EDDSA, private.public_key().public_bytes_raw())


def enrolment(node: NodePlace) -> Iterator[KeyEntry]:
    """Yield the key entries of a node and its meters."""
    key = public_key(node.node).cose_key
    relays = tuple(_relay(place) for place in node.relays)
    yield KeyEntry("enrol", "node", node.node, key, relays=relays)
    for meter in node.meters:
        yield KeyEntry(
            "enrol",
            "meter",
            meter.meter_id,
            public_key(meter.meter_id).cose_key,
            node=node.node,
            member=meter.member,
            purpose=meter.purpose,
            parent=meter.parent,
            model=meter.model,
            rated_mw=meter.rated_w * MW_PER_W,
            fuel=meter.fuel,
            location=meter.location,
        )


def _relay(place: RelayPlace) -> RelayEntry:
    return RelayEntry(
        relay=place.relay,
        deenergised=place.deenergised,
        load=place.load_meter,
        member=place.member,
        rated_mw=place.rated_w * MW_PER_W,
        critical=place.critical,
        min_on_ms=place.min_on_ms,
        min_off_ms=place.min_off_ms,
        importance=place.importance,
        shed_price_utok_per_kwh=place.shed_price_utok_per_kwh,
    )
