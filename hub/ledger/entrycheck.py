"""One entry after the other: form, signer, signature, sequence, and what a seal commits to.

It keeps what the entries so far established: the keys, what comes next in each stream, the gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from hub.errors import LedgerCorrupt
from hub.ledger.crew import Crew, Read
from hub.ledger.records import Entry, Pack, Skips
from messages import cose
from messages.cose import Envelope
from messages.entries import (
    LABEL,
    Gap,
    Genesis,
    KeyEntry,
    NodeEvent,
    Seal,
    network_aad,
    parse_entry,
)
from messages.errors import BadSignature, MessageError
from messages.keyring import KeyRing, Ringed
from messages.log.tree import leaf_hash
from messages.log.tree import root as root_of
from messages.logkeeping import Quorum, Takeover
from messages.membership import check_proof, key_id
from messages.publickey import PublicKey
from messages.reading import Reading, decode_reading, parse_reading
from messages.senml import CONTENT_TYPE
from messages.telemetry import parse_pack
from messages.trust import Trust

Place = tuple[bytes, str]  # (kid, stream)


class EntryCheck:
    """Checks entries in order; LedgerCorrupt says which one is wrong, and how.

    Args:
        trust: what is believed.
        packs_under: index of a seal entry -> its packs in (kid, sequence) order.
        crew: checks signatures on other processors.
    """

    def __init__(
        self, trust: Trust, packs_under: Callable[[int], list[Pack]], crew: Crew | None = None
    ) -> None:
        self._trust = trust
        self._crew = crew or Crew(0)
        self._crew.join(trust.network_id)
        self._packs_under = packs_under
        self._ring = KeyRing()
        self._next: dict[Place, int] = {}
        self._gaps: dict[Place, dict[int, int]] = defaultdict(dict)  # first -> last
        self._gap_entries: dict[int, Skips] = {}
        self.signatures = 0

    @property
    def ring(self) -> KeyRing:
        """The keys as the entries so far have them."""
        return self._ring

    def check(self, read: Read[Entry]) -> None:
        """Check one entry, whose bytes are those that were hashed."""
        entry = read.item
        try:
            envelope = read.envelope or cose.parse(entry.raw)
            body = _read(envelope, entry.preimage)
            kind, stream, sequence = _place(body)
            _require(
                (entry.kid, entry.kind, entry.stream, entry.sequence)
                == (envelope.kid, kind, stream, sequence),
                f"its row says {entry.kind} {entry.stream} {entry.sequence} of {entry.kid.hex()}, "
                f"its bytes {kind} {stream} {sequence} of {envelope.kid.hex()}",
            )
            if entry.index == 0:
                self._found(entry, body)
            signer = self._ring.signer(envelope.kid, kind, stream, sequence or 0)
            if read.key is not signer.key:
                self._verify(envelope, kind, signer)
            self.signatures += 1
            if sequence is not None:
                self._follow((entry.kid, stream), signer.first_sequence, sequence)
            self._take(entry.index, signer, body)
        except MessageError as error:
            raise LedgerCorrupt(f"entry {entry.index}: {error}") from error
        except _Wrong as wrong:
            raise LedgerCorrupt(f"entry {entry.index}: {wrong}") from None

    def check_gaps(self, start: int, stored: Mapping[int, Skips]) -> None:
        """Compare the gaps of entries from `start` on with what is stored beside the entries."""
        if stored != self._gap_entries:
            odd = min(stored.items() ^ self._gap_entries.items())
            raise LedgerCorrupt(f"entry {odd[0]}: what is stored beside it is not the gap it says")
        self._gap_entries.clear()

    def _verify(self, envelope: Envelope, kind: str, signer: Ringed) -> None:
        aad = network_aad(self._trust.network_id)
        if kind == Genesis.KIND:
            aad = LABEL
        elif kind == "reading":
            aad = b""
        cose.verify(envelope, signer.key, aad)
        self._crew.learn(signer.key)

    def _found(self, entry: Entry, body: object) -> None:
        trust = self._trust
        _require(isinstance(body, Genesis), "it is no genesis")
        _require(
            entry.leaf_hash == trust.network_id,
            f"this is another network: its genesis is {entry.leaf_hash.hex()}, trust.toml says "
            f"{trust.network_id.hex()}",
        )
        if isinstance(body, Genesis):
            self._ring.found(body)
            _require(body.hub == trust.hub_key.cose_key, "its hub key is not that of trust.toml")

    def _follow(self, place: Place, first: int, sequence: int) -> None:
        expected = self._expected(place, first)
        _require(
            sequence == expected,
            f"{place[1]} {sequence} of key {place[0].hex()} where {expected} comes next, "
            "and no gap entry says why",
        )
        self._next[place] = sequence + 1

    def _expected(self, place: Place, first: int) -> int:
        expected = self._next.get(place, first)
        gaps = self._gaps.get(place, {})
        while expected in gaps:
            expected = gaps[expected] + 1
        return expected

    def _take(self, index: int, signer: Ringed, body: object) -> None:
        if isinstance(body, KeyEntry):
            check_proof(body, self._trust.network_id)
            self._ring.change(index, signer, body)
        elif isinstance(body, Quorum | Takeover):
            self._ring.keep_log(index, signer, body)
        elif isinstance(body, Gap):
            kid = key_id(body.key)
            _require(1 <= body.first <= body.last, "its gap ends before it begins")
            self._gaps[kid, body.stream][body.first] = body.last
            self._gap_entries[index] = (kid, body.stream, body.first, body.last)
        elif isinstance(body, Seal):
            self._check_seal(index, body)
        elif isinstance(body, Genesis):
            _require(index == 0, "a second genesis")

    def _check_seal(self, index: int, seal: Seal) -> None:
        packs = self._packs_under(index)
        _require(len(packs) == seal.count, f"it seals {seal.count} packs, {len(packs)} are stored")
        signed = [found for pack in packs if (found := self._check_pack(pack)) is not None]
        for at, is_good in enumerate(self._crew.good(signed)):
            _require(is_good, f"the signature of pack {at + 1} under it does not verify")
        self.signatures += len(signed)
        _require(
            root_of([pack.leaf_hash for pack in packs]) == seal.root,
            "the packs stored under it are not those it sealed",
        )

    def _check_pack(self, pack: Pack) -> tuple[PublicKey, bytes, bytes] | None:
        """Check a pack's place and form; return key, signature and what it covers, if kept."""
        name = f"pack {pack.sequence} of key {pack.kid.hex()}"
        signer = self._ring.signer(pack.kid, "telemetry", "telemetry", pack.sequence)
        self._follow((pack.kid, "telemetry"), signer.first_sequence, pack.sequence)
        if not pack.raw:
            return None  # its body is gone by the retention rule, its leaf is still proven
        _require(leaf_hash(pack.raw) == pack.leaf_hash, f"{name} is not the one that was hashed")
        envelope = cose.parse(pack.raw)
        body = parse_pack(envelope)
        said = (envelope.kid, body.sequence, body.last_ms)
        _require(said == (pack.kid, pack.sequence, pack.at_ms), f"{name} is stored as another")
        if envelope.alg != signer.key.alg:
            raise BadSignature(f"{name} is signed by another algorithm than its key's")
        signed = cose.signed_bytes(envelope.protected, envelope.payload, b"")
        return signer.key, envelope.signature, signed


class _Wrong(Exception):
    """Something about the entry at hand; the text says what."""


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise _Wrong(sentence)


def _read(envelope: Envelope, preimage: bytes | None) -> Any:
    if envelope.content_type != CONTENT_TYPE:
        _require(preimage is None, "only a sealed reading has a preimage")
        return parse_entry(envelope)
    if envelope.sealed:
        _require(preimage is not None, "the preimage of a sealed reading is not here")
        return decode_reading(cose.open_sealed(envelope, preimage or b""))
    _require(preimage is None, "only a sealed reading has a preimage")
    return parse_reading(envelope)


def _place(body: Any) -> tuple[str, str, int | None]:
    """Return (kind, stream, sequence) as the columns of an entry have them."""
    if isinstance(body, Reading):
        return "reading", "register", body.sequence
    if isinstance(body, NodeEvent):
        return body.KIND, "event", body.event
    return body.KIND, "", None
