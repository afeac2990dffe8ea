"""What the hub owes its nodes: receipts that prove, from the store, what became final.

A receipt says for each stream how far it is stored, and proves under one checkpoint which entries
and packs a node may delete. Where witnesses have to agree, that checkpoint is the newest final one,
and what it does not cover yet waits for the next (`note_final`). A node that lost a receipt sends
again, or says in its hello how far it got: either makes the hub prove from there once more. Nothing
here is durable, nothing needs to be.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from hub.intake import Verified
from hub.ledger.proofs import Place, make_proof
from hub.ledger.records import Checkpoint, PendingPack
from hub.ledger.store import Store
from messages.log import tree
from messages.membership import ROTATION
from messages.receipt import RECEIPT_BYTES_MAX, Receipt, SealedPack, SealReceipt, StreamReceipt
from messages.status import Hello

STREAMS_A_RECEIPT_MAX: Final = 100
PROVEN_A_RECEIPT_MAX: Final = 1_000
RECEIPTS_A_BUILD_MAX: Final = 20  # a long backlog goes on with the next batch
SEALS_KEPT: Final = 4

# Upper bounds of encoded sizes. [bytes]
FIXED_BYTES: Final = 300
STREAM_BYTES: Final = 130
INDEX_BYTES: Final = 9
HASH_BYTES: Final = 34
PACK_BYTES: Final = 64
SEAL_BYTES: Final = 64


@dataclass(slots=True)
class _Stream:
    """What one stream of a node was told. `indices`: of entries that no receipt proved yet.

    `has_news`: something happened that no receipt said yet. `waits_for_seal`: what is not proven
    are packs that no seal covers.
    """

    kid: bytes
    stream: str
    stored_up_to: int
    proven_up_to: int
    indices: dict[int, int] = field(default_factory=dict)
    has_news: bool = True
    waits_for_seal: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing to prove: an entry at `index`, or a pack under the seal entry at `index`."""

    stream: _Stream
    sequence: int
    index: int


class Receipts:
    """Owns who is owed what. Note what happened, then `build` for each node in `due`."""

    def __init__(self, store: Store, final_size: int | None = None) -> None:
        """`final_size`: how much is final, where witnesses have to agree; else all that is stored.

        Until something is, it is 0.
        """
        self._store = store
        self._final_size = final_size
        self._streams: dict[str, dict[tuple[bytes, str], _Stream]] = {}
        self._node_of: dict[bytes, str] = {}
        self._due: dict[str, None] = {}
        self._seals: OrderedDict[int, _Seal] = OrderedDict()

    @property
    def due(self) -> tuple[str, ...]:
        """The nodes that are owed a receipt, longest first."""
        return tuple(self._due)

    def note_stored(self, message: Verified, index: int | None) -> None:
        """Note a committed message; `index` is its entry's, None for a pack."""
        known = self._touch(message.node, message.kid, message.stream, message.sequence)
        if index is not None:
            known.indices[message.sequence] = index
        elif known.proven_up_to + 1 == message.sequence:
            known.waits_for_seal = True  # it is the first that is not proven, and new
        known.stored_up_to = max(known.stored_up_to, message.sequence)

    def note_again(self, node: str, kid: bytes, stream: str, sequence: int) -> None:
        """Note that a node sent what is stored: it lacks the receipt, so prove from there again."""
        known = self._touch(node, kid, stream, sequence)
        if sequence <= known.proven_up_to:
            _prove_from(known, sequence)

    def note_gap(self, node: str, kid: bytes, stream: str, last: int) -> None:
        """Note that a gap entry used up the sequences to `last`."""
        known = self._touch(node, kid, stream, last)
        known.stored_up_to = max(known.stored_up_to, last)

    def note_rotation(self, node: str, kid: bytes, index: int) -> None:
        """Note where a key's word on its successor stands; told once that is final.

        Until then the node sends it again now and then, and so asks.
        """
        if self._final_size is not None and index >= self._final_size:
            return
        known = self._touch(node, kid, ROTATION, 1)
        known.stored_up_to, known.proven_up_to = 1, 0
        known.indices[1] = index

    def note_hello(self, hello: Hello, owned: Container[bytes]) -> None:
        """Note how far a node's own proofs reach: it knows, whatever was sent to it.

        To prove what it no longer holds would be as useless as not to prove what it does.
        `owned`: the kids that the registry gives this node.
        """
        for head in hello.heads:
            if head.kid not in owned:
                continue
            known = self._known(hello.node, head.kid, head.stream, head.final_up_to + 1)
            _prove_from(known, min(head.final_up_to, known.stored_up_to) + 1)
            if min(head.stored_up_to, head.final_up_to) < known.stored_up_to:
                known.has_news = True
                self._due[hello.node] = None

    def note_sealed(self, packs: Iterable[PendingPack], index: int) -> None:
        """Note that packs became final with the seal entry at `index`."""
        for pack in packs:
            node = self._node_of.get(pack.kid, "")
            known = self._streams.get(node, {}).get((pack.kid, "telemetry"))
            if known is not None:  # else its node's next hello says from where to prove
                known.indices[pack.sequence] = index
                known.waits_for_seal = False
                known.has_news = True
                self._due[node] = None

    def note_final(self, size: int) -> None:
        """Note that the first `size` entries became final: what waited for it is owed now."""
        self._final_size = size
        for node, streams in self._streams.items():
            for known in streams.values():
                if known.waits_for_seal or known.proven_up_to >= known.stored_up_to:
                    continue
                if known.indices.get(known.proven_up_to + 1, 0) < size:
                    known.has_news = True
                    self._due[node] = None

    def build(self, node: str, checkpoint: Checkpoint | None) -> list[Receipt]:
        """Return the receipts a node is owed under a checkpoint; None while nothing is final.

        What they prove counts as told; a node that does not get them asks again.
        """
        self._due.pop(node, None)
        receipts: list[Receipt] = []
        news = [known for known in self._streams.get(node, {}).values() if known.has_news]
        for at in range(0, len(news), STREAMS_A_RECEIPT_MAX):
            streams = news[at : at + STREAMS_A_RECEIPT_MAX]
            items = self._owed(streams, checkpoint)
            while items or streams[0].has_news:
                if len(receipts) == RECEIPTS_A_BUILD_MAX:
                    self._put_off(node, items)
                    return receipts
                receipts.append(self._fit(node, checkpoint, streams, items))
                items = self._owed(streams, checkpoint)
        return receipts

    def _put_off(self, node: str, items: list[_Item]) -> None:
        """Leave the rest to the next batch."""
        self._due[node] = None
        for item in items:
            item.stream.has_news = True

    # --- what is owed ----------------------------------------------------------------------

    def _touch(self, node: str, kid: bytes, stream: str, sequence: int) -> _Stream:
        known = self._known(node, kid, stream, sequence)
        known.has_news = True
        self._due[node] = None
        return known

    def _known(self, node: str, kid: bytes, stream: str, sequence: int) -> _Stream:
        streams = self._streams.setdefault(node, {})
        known = streams.get((kid, stream))
        if known is None:
            stored = self._store.head(kid, stream)
            proven = min(stored, sequence - 1)
            if stream == "telemetry":
                proven = min(proven, self._store.packs.sealed_up_to(kid))
            known = _Stream(kid, stream, stored, proven)
            known.proven_up_to = self._final_up_to(known)
            streams[kid, stream] = known
            self._node_of[kid] = node
        return known

    def _final_up_to(self, stream: _Stream) -> int:
        """Return the last sequence, of those that count as proven, that is final."""
        high = stream.proven_up_to
        while self._final_size is not None and high > 0:
            low = max(high - PROVEN_A_RECEIPT_MAX, 0)
            for sequence, index in sorted(self._find(stream, low + 1, high).items(), reverse=True):
                if index is not None and index < self._final_size:
                    return sequence
            high = low
        return high

    def _owed(self, streams: list[_Stream], checkpoint: Checkpoint | None) -> list[_Item]:
        items: list[_Item] = []
        if checkpoint is None:
            return items
        for stream in streams:
            if stream.proven_up_to < stream.stored_up_to and not stream.waits_for_seal:
                limit = PROVEN_A_RECEIPT_MAX - len(items)
                items += self._owed_of(stream, checkpoint.size, limit)
            if len(items) >= PROVEN_A_RECEIPT_MAX:
                break
        return items

    def _owed_of(self, stream: _Stream, size: int, limit: int) -> list[_Item]:
        first = stream.proven_up_to + 1
        last = min(stream.stored_up_to, stream.proven_up_to + limit)
        found = self._find(stream, first, last)
        items = []
        for sequence in range(first, last + 1):
            if sequence not in found:
                continue  # a gap
            index = found[sequence]
            if index is None or index >= size:
                stream.waits_for_seal = index is None
                break
            items.append(_Item(stream, sequence, index))
        if not items and not found:
            stream.proven_up_to = last  # nothing but gaps: the refusals said so
        return items

    def _find(self, stream: _Stream, first: int, last: int) -> Mapping[int, int | None]:
        known = stream.indices
        if all(sequence in known for sequence in range(first, last + 1)):
            return {sequence: known[sequence] for sequence in range(first, last + 1)}
        if stream.stream == "telemetry":
            return self._store.packs.seals(stream.kid, first, last)
        return self._store.positions(stream.kid, stream.stream, first, last)

    # --- how it is written -----------------------------------------------------------------

    def _fit(
        self,
        node: str,
        checkpoint: Checkpoint | None,
        streams: list[_Stream],
        items: list[_Item],
    ) -> Receipt:
        while True:
            receipt = self._write(node, checkpoint, streams, items)
            if _size_at_most(receipt) <= RECEIPT_BYTES_MAX or not items:
                break
            items = items[: len(items) // 2]
        for stream in streams:
            stream.has_news = False
        for item in items:
            item.stream.proven_up_to = item.sequence
            item.stream.indices.pop(item.sequence, None)
        return receipt

    def _write(
        self,
        node: str,
        checkpoint: Checkpoint | None,
        streams: list[_Stream],
        items: list[_Item],
    ) -> Receipt:
        by_stream: dict[int, list[_Item]] = {}
        by_seal: dict[int, list[_Item]] = {}
        for item in items:
            by_stream.setdefault(id(item.stream), []).append(item)
            if item.stream.stream == "telemetry":
                by_seal.setdefault(item.index, []).append(item)
        told = [stream for stream in streams if stream.has_news or id(stream) in by_stream]
        lines = tuple(
            line for stream in told for line in _lines(stream, by_stream.get(id(stream), []))
        )
        proven = {item.index for item in items}
        hashes: tuple[bytes, ...] = ()
        if checkpoint is not None and proven:
            hashes = self._store.prove_many(proven, checkpoint.size)
        seals = tuple(self._write_seal(index, packs) for index, packs in sorted(by_seal.items()))
        note = "" if checkpoint is None else checkpoint.note
        return Receipt(node, note, lines, seals, hashes)

    def _write_seal(self, index: int, items: list[_Item]) -> SealReceipt:
        seal = self._seal(index)
        places = [seal.positions[item.stream.kid, item.sequence] for item in items]
        packs = tuple(
            SealedPack(item.stream.kid, item.sequence, place)
            for item, place in zip(items, places, strict=True)
        )
        hashes = make_proof(
            lambda subtree: tree.prove_many(places, len(seal.positions), subtree), seal
        )
        return SealReceipt(index, seal.raw, packs, hashes)

    def _seal(self, index: int) -> _Seal:
        known = self._seals.get(index)
        if known is None:
            packs = self._store.packs.of_seal(index)
            nodes: dict[Place, bytes] = {}
            edge = tree.Frontier()
            for pack in packs:
                nodes.update(
                    ((level, at), digest) for level, at, digest in edge.append(pack.leaf_hash)
                )
            positions = {(pack.kid, pack.sequence): at for at, pack in enumerate(packs)}
            known = _Seal(self._store.entry(index).raw, positions, nodes)
            self._seals[index] = known
            if len(self._seals) > SEALS_KEPT:
                self._seals.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class _Seal:
    """One seal entry with the tree of its packs."""

    raw: bytes
    positions: Mapping[tuple[bytes, int], int]
    nodes: Mapping[Place, bytes]

    @property
    def at_hand(self) -> Mapping[Place, bytes]:
        """Return every hash of the seal's tree."""
        return self.nodes

    def fetch(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        """Return the hash at each place of the seal's tree."""
        return {place: self.nodes[place] for place in places}


def _prove_from(stream: _Stream, sequence: int) -> None:
    for told in [place for place in stream.indices if place < sequence]:
        del stream.indices[told]
    stream.proven_up_to = sequence - 1
    stream.waits_for_seal = False


def _lines(stream: _Stream, items: list[_Item]) -> list[StreamReceipt]:
    """Return one line for each run of sequences without a gap; at least one."""
    if stream.stream == "telemetry" or not items:
        final = items[-1].sequence if items else stream.proven_up_to
        return [_line(stream, final, final + 1, ())]
    final = items[-1].sequence
    cuts = [0]
    for at, (one, following) in enumerate(pairwise(items), 1):
        if following.sequence != one.sequence + 1:
            cuts.append(at)
    cuts.append(len(items))
    runs = [items[start:stop] for start, stop in pairwise(cuts)]
    return [
        _line(stream, final, run[0].sequence, tuple(item.index for item in run)) for run in runs
    ]


def _line(
    stream: _Stream, final_up_to: int, from_sequence: int, indices: tuple[int, ...]
) -> StreamReceipt:
    return StreamReceipt(
        stream.kid, stream.stream, stream.stored_up_to, final_up_to, from_sequence, indices
    )


def _size_at_most(receipt: Receipt) -> int:
    """Return an upper bound of the signed receipt's length. [bytes]"""
    size = FIXED_BYTES + len(receipt.checkpoint.encode()) + HASH_BYTES * len(receipt.hashes)
    for line in receipt.streams:
        size += STREAM_BYTES + INDEX_BYTES * len(line.indices)
    for seal in receipt.seals:
        size += SEAL_BYTES + len(seal.raw)
        size += PACK_BYTES * len(seal.packs) + HASH_BYTES * len(seal.hashes)
    return size
