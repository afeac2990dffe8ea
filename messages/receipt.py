"""Receipts and refusals: what the hub has, and what it can prove. Signed by the hub's key.

*Stored* (committed to disk) stops resending; *final* allows deletion. A receipt proves what it
calls final: one multi-leaf proof shows that all named entries stand under the checkpoint's root,
and the edge computes the leaf hashes from the bytes it kept itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

RECEIPT_BYTES_MAX = 30_000


@dataclass(frozen=True, slots=True)
class StreamReceipt:
    """One stream: `indices` are the leaves of `from_sequence`, `from_sequence` + 1, ..."""

    kid: bytes
    stream: str
    stored_up_to: int
    final_up_to: int
    from_sequence: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A pack's place in the order of its seal."""

    kid: bytes
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class SealReceipt:
    """A seal entry, where it stands, and the proof that these packs are under its root."""

    index: int
    raw: bytes
    packs: tuple[SealedPack, ...]
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the hub holds of a node's streams, under one checkpoint (a signed note).

    The checkpoint is final: it carries the cosignatures that the quorum asks for. While there is
    none, it is "" and the receipt proves nothing: it only says what is stored.
    """

    KIND: ClassVar[str] = "receipt"
    node: str
    checkpoint: str
    streams: tuple[StreamReceipt, ...]
    seals: tuple[SealReceipt, ...]
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sequence that can never be admitted. `gap_index` is the leaf of the gap entry, or None."""

    KIND: ClassVar[str] = "refusal"
    node: str
    kid: bytes
    stream: str
    sequence: int
    gap_index: int | None
    reason: str
