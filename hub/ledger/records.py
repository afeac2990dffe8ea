"""What goes into the ledger and comes out of it: frozen rows, bytes as they were signed."""

from __future__ import annotations

from dataclasses import dataclass

Skips = tuple[bytes, str, int, int]  # (kid, stream, first sequence, last sequence)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One signed message to append. `sequence` is None where its kind has no counter (stream "").

    `leaf_hash` is RFC 6962's of `raw`; `skips` only for a gap entry.
    """

    raw: bytes
    leaf_hash: bytes
    kid: bytes
    kind: str
    stream: str = ""
    sequence: int | None = None
    preimage: bytes | None = None
    skips: Skips | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored entry; `index` is its 0-based place in the log."""

    index: int
    leaf_hash: bytes
    kid: bytes
    stream: str
    sequence: int | None
    kind: str
    raw: bytes
    preimage: bytes | None


@dataclass(frozen=True, slots=True)
class NewPack:
    """One signed telemetry pack to store off the log; `at_ms` is its last sample's instant."""

    raw: bytes
    leaf_hash: bytes
    kid: bytes
    sequence: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Pack:
    """One stored pack; `seal_index` is the seal entry that commits to it, None while pending."""

    kid: bytes
    sequence: int
    leaf_hash: bytes
    at_ms: int
    seal_index: int | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class PendingPack:
    """What a seal needs of a pack: its key, its place in the order and its leaf."""

    kid: bytes
    sequence: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One stored checkpoint: the signed note, byte for byte, and the tree size it speaks of."""

    size: int
    note: str


@dataclass(frozen=True, slots=True)
class Cosigned:
    """One stored cosignature of a checkpoint: whose, when [s], and its line in the note."""

    size: int
    name: str
    key_id: bytes
    time_s: int
    line: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fold's state after the first `size` entries."""

    size: int
    root: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two contents signed by one key for one (stream, sequence): `stored` came first."""

    leaf_hash: bytes
    kid: bytes
    stream: str
    sequence: int
    stored: bytes
    offered: bytes
