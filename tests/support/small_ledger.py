"""A small microgrid's ledger, signed and sealed as a hub does it, for tests of its readers."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.ledger.records import NewEntry, NewPack
from hub.ledger.store import Store
from messages.entries import (
    Ack,
    Close,
    Gap,
    Genesis,
    KeyEntry,
    PolicyEntry,
    RelayEntry,
    Seal,
    sign_entry,
)
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import unwitnessed
from messages.log.tree import leaf_hash, root
from messages.publickey import Signer
from messages.reading import Reading, sign_reading
from messages.telemetry import Pack, sign_pack
from messages.trust import Trust
from tests.support.signers import ed25519

ORIGIN = "simulation.example/bench"
MICROGRID = "bench"
SLOT_MS = 900_000
START_MS = 1_767_225_600_000
BALLAST_BYTES = 65_536


@dataclass
class SmallHub:
    """Signs and appends what a hub would; every method leaves the ledger valid."""

    folder: Path
    name: str = "ledger.db"
    log: Signer = field(default_factory=lambda: ed25519("log"))
    hub: Signer = field(default_factory=lambda: ed25519("hub"))
    administrator: Signer = field(default_factory=lambda: ed25519("administrator"))
    meter: Signer = field(default_factory=lambda: ed25519("m1"))
    node: Signer = field(default_factory=lambda: ed25519("n1"))
    sequences: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_new = not self.path.exists()
        self.store = Store.open(self.url, create=is_new, ballast_bytes=BALLAST_BYTES)
        weakref.finalize(self, self.store.close)  # a test that forgets it leaves nothing open
        vkey = format_vkey(NoteKey(ORIGIN, ED25519, self.log.public))
        genesis = Genesis(
            microgrid=MICROGRID,
            origin=ORIGIN,
            slot_ms=SLOT_MS,
            close_after_ms=1_000,
            readings="open",
            simulation=True,
            administrator=self.administrator.public.cose_key,
            hub=self.hub.public.cose_key,
            log=self.log.public.cose_key,
            policy=unwitnessed(vkey),
            at_ms=START_MS,
        )
        raw = sign_entry(self.administrator, genesis, b"")
        self.trust = Trust(
            leaf_hash(raw), ORIGIN, vkey, self.hub.public, genesis.policy, simulation=True
        )
        if is_new:
            self.store.append([self.entry(self.administrator, raw, "genesis")])

    @property
    def path(self) -> Path:
        """The database file."""
        return self.folder / self.name

    @property
    def url(self) -> str:
        """The database URL."""
        return f"sqlite:///{self.path}"

    def entry(
        self, signer: Signer, raw: bytes, kind: str, stream: str = "", sequence: int | None = None
    ) -> NewEntry:
        """Return signed bytes as the store takes them."""
        return NewEntry(raw, leaf_hash(raw), signer.public.kid, kind, stream, sequence)

    def say(self, signer: Signer, entry: Any, **columns: Any) -> NewEntry:
        """Return a signed entry of any kind as the store takes it."""
        raw = sign_entry(signer, entry, self.trust.network_id)
        return NewEntry(raw, leaf_hash(raw), signer.public.kid, entry.KIND, **columns)

    def next(self, stream: str) -> int:
        """Return the next sequence of a stream."""
        self.sequences[stream] = self.sequences.get(stream, 0) + 1
        return self.sequences[stream]

    def reading(self, **changes: Any) -> NewEntry:
        """Return the meter's next register reading."""
        sequence = self.next("register")
        fields = {
            "microgrid": MICROGRID,
            "meter_id": "m1",
            "sequence": sequence,
            "at_ms": START_MS + sequence * SLOT_MS,
            "import_uwh": sequence * 1_000_003,
            "export_uwh": sequence * 17,
        }
        raw = sign_reading(self.meter, Reading(**(fields | changes)))
        return self.entry(self.meter, raw, "reading", "register", sequence)

    def pack(self, sequence: int | None = None) -> NewPack:
        """Return the meter's next telemetry pack: three samples in a row."""
        number = self.next("telemetry") if sequence is None else sequence
        t0_ms = START_MS + number * 10_000
        columns = ((1_000 * number, 2_000, None),)
        body = Pack(MICROGRID, "m1", number, t0_ms, 1_000, ("power_mw",), columns)
        raw = sign_pack(self.meter, body)
        return NewPack(raw, leaf_hash(raw), self.meter.public.kid, number, body.last_ms)

    def ack(self) -> NewEntry:
        """Return the node's next acknowledgement."""
        event = self.next("event")
        body = Ack(event, "n1", "r1", event, True, "applied", "", START_MS + event, bytes(16), 1)
        return self.say(self.node, body, stream="event", sequence=event)

    def enrol(self) -> None:
        """Append a policy and the enrolment of node n1 and meter m1."""
        relay = RelayEntry("r1", "fed", "", "alice", 40_000, critical=False)
        key = self.node.public.cose_key
        node = KeyEntry("enrol", "node", "n1", key, member="alice", relays=(relay,))
        meter = KeyEntry(
            "enrol",
            "meter",
            "m1",
            self.meter.public.cose_key,
            node="n1",
            member="alice",
            purpose="consumption",
            model="ina219",
        )
        policy = PolicyEntry(
            0, "dep_balance", {}, ((0, 250_000),), ((0, 80_000),), "none", {}, "open", bytes(32)
        )
        self.store.append([self.say(self.administrator, said) for said in (policy, node, meter)])

    def seal(self) -> None:
        """Append a seal over all pending packs."""
        pending = self.store.packs.pending()
        body = Seal(START_MS, len(pending), root([pack.leaf_hash for pack in pending]))
        entry = self.say(self.hub, body)
        self.store.append([entry], sealed=[(pack.kid, pack.sequence) for pack in pending])

    def gap(self, stream: str, first: int, last: int) -> None:
        """Append a gap over sequences of the meter that never come."""
        kid = self.meter.public.kid
        body = Gap(kid, stream, first, last, "lost")
        self.store.append([self.say(self.hub, body, skips=(kid, stream, first, last))])
        self.sequences[stream] = last

    def close_slot(self, number: int) -> None:
        """Append a close entry."""
        body = Close(START_MS + number * SLOT_MS, "complete", (), START_MS)
        self.store.append([self.say(self.hub, body)])

    def checkpoint(self) -> str:
        """Sign, store and return the checkpoint over all entries."""

        def sign(size: int, root_hash: bytes) -> str:
            return sign_checkpoint(Checkpoint(ORIGIN, size, root_hash), self.log)

        return self.store.checkpoint(sign).note

    def fill(self, slots: int = 4) -> None:
        """Append a little of everything, with a checkpoint after each slot."""
        self.enrol()
        self.fill_slots(slots)

    def fill_slots(self, slots: int) -> None:
        """Append slots, then gaps and what comes after them."""
        for number in range(slots):
            packs = [self.pack(), self.pack()]
            self.store.append([self.reading(), self.ack()], packs)
            self.close_slot(number)
            self.seal()
            self.checkpoint()
        self.gap("register", self.sequences["register"] + 1, self.sequences["register"] + 2)
        self.gap("telemetry", self.sequences["telemetry"] + 1, self.sequences["telemetry"] + 3)
        self.store.append([self.reading()], [self.pack()])
        self.seal()
        self.checkpoint()


def append_all(store: Store, entries: Sequence[NewEntry], batch: int = 7) -> None:
    """Append entries in batches."""
    for at in range(0, len(entries), batch):
        store.append(entries[at : at + batch])


def raw_entries(count: int) -> list[NewEntry]:
    """Return entries that nobody signed, for tests of the tree alone."""
    found = []
    for number in range(count):
        raw = b"entry %d" % number
        found.append(NewEntry(raw, leaf_hash(raw), b"k" * 8, "reading", "register", number + 1))
    return found
