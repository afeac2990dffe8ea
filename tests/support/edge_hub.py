"""A hub in a few lines, for tests of the edge: it takes messages in, and proves what it has.

Independent of the hub's own code: a list of leaves is the ledger, receipts follow the rules
of RFC 6962 straight from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from messages import cose
from messages.entries import Seal, network_aad, sign_entry
from messages.lease import Lease
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import unwitnessed
from messages.log.tree import leaf_hash, prove_many, root, subtree_of
from messages.publickey import Signer
from messages.receipt import Receipt, Refusal, SealedPack, SealReceipt, StreamReceipt
from messages.status import Beacon
from messages.trust import Trust
from tests.support.signers import ed25519

NETWORK_ID = b"n" * 32
ORIGIN = "simulation.test/bench"


@dataclass
class FakeHub:
    """What it has stored, in the order of arrival. Streams of every key begin at 1."""

    node: str = "dep1"
    hub: Signer = field(default_factory=lambda: ed25519("hub"))
    log: Signer = field(default_factory=lambda: ed25519("log"))
    leaves: list[bytes] = field(default_factory=list)
    entries: dict[tuple[bytes, str, int], int] = field(default_factory=dict)
    packs: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    sealed: dict[tuple[bytes, int], tuple[int, int]] = field(default_factory=dict)
    seals: dict[int, tuple[bytes, list[bytes]]] = field(default_factory=dict)
    raws: dict[tuple[bytes, str, int], bytes] = field(default_factory=dict)
    sequence: int = 0

    @property
    def trust(self) -> Trust:
        vkey = format_vkey(NoteKey(ORIGIN, ED25519, self.log.public))
        return Trust(NETWORK_ID, ORIGIN, vkey, self.hub.public, unwitnessed(vkey), True)

    def sign(self, message: object) -> bytes:
        return sign_entry(self.hub, message, NETWORK_ID)

    def store(self, kid: bytes, stream: str, sequence: int, raw: bytes) -> bool:
        """Admit the next of a stream; anything else is passed over."""
        if sequence != self.stored(kid, stream) + 1:
            return False
        self.raws[kid, stream, sequence] = raw
        if stream == "telemetry":
            self.packs[kid, sequence] = leaf_hash(raw)
        else:
            self.entries[kid, stream, sequence] = len(self.leaves)
            self.leaves.append(leaf_hash(raw))
        return True

    def stored(self, kid: bytes, stream: str) -> int:
        return max((n for k, s, n in self.raws if (k, s) == (kid, stream)), default=0)

    def seal(self) -> None:
        """Commit to every pack that no seal covers."""
        open_packs = sorted(place for place in self.packs if place not in self.sealed)
        hashes = [self.packs[place] for place in open_packs]
        raw = self.sign(Seal(0, len(hashes), root(hashes)))
        index = len(self.leaves)
        self.leaves.append(leaf_hash(raw))
        self.seals[index] = (raw, hashes)
        for position, place in enumerate(open_packs):
            self.sealed[place] = (index, position)

    def checkpoint(self) -> str:
        return sign_checkpoint(Checkpoint(ORIGIN, len(self.leaves), root(self.leaves)), self.log)

    def receipt(self, first: dict[tuple[bytes, str], int] | None = None) -> Receipt:
        """Return a receipt over everything, or from these sequences on."""
        first = first or {}
        streams, indices, by_seal = [], set(), {}
        for kid, stream in sorted({(kid, stream) for kid, stream, _ in self.raws}):
            begin, stored = first.get((kid, stream), 1), self.stored(kid, stream)
            if stream == "telemetry":
                final = self._sealed_up_to(kid, begin)
                for sequence in range(begin, final + 1):
                    index, position = self.sealed[kid, sequence]
                    by_seal.setdefault(index, []).append(SealedPack(kid, sequence, position))
                indices |= by_seal.keys()
                streams.append(StreamReceipt(kid, stream, stored, final, final + 1, ()))
                continue
            places = tuple(self.entries[kid, stream, n] for n in range(begin, stored + 1))
            indices |= set(places)
            streams.append(StreamReceipt(kid, stream, stored, stored, begin, places))
        seals = tuple(self._seal_receipt(index, packs) for index, packs in sorted(by_seal.items()))
        hashes = prove_many(indices, len(self.leaves), subtree_of(self.leaves)) if indices else []
        return Receipt(self.node, self.checkpoint(), tuple(streams), seals, tuple(hashes))

    def _sealed_up_to(self, kid: bytes, begin: int) -> int:
        sequence = begin
        while (kid, sequence) in self.sealed:
            sequence += 1
        return sequence - 1

    def _seal_receipt(self, index: int, packs: list[SealedPack]) -> SealReceipt:
        raw, hashes = self.seals[index]
        wanted = [pack.position for pack in packs]
        proof = prove_many(wanted, len(hashes), subtree_of(hashes))
        return SealReceipt(index, raw, tuple(packs), tuple(proof))

    def refusal(self, kid: bytes, stream: str, sequence: int, reason: str) -> Refusal:
        return Refusal(self.node, kid, stream, sequence, None, reason)

    def lease(self, nonce: bytes, relay: str = "heater", **changes: object) -> Lease:
        self.sequence += 1
        lease = Lease(self.node, relay, nonce, self.sequence, 5000, True, "deficit", 40)
        return replace(lease, **changes)

    def beacon(self, beacon: bytes) -> bytes:
        return self.sign(Beacon(beacon))

    def opened(self, raw: bytes, key: Signer) -> cose.Envelope:
        """Return a node's message after checking its signature."""
        envelope = cose.parse(raw)
        cose.verify(envelope, key.public, network_aad(NETWORK_ID))
        return envelope
