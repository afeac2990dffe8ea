"""The state root: one hash over rows of keys and values, under which each can be proven. Pure.

    leaf   SHA-256(0x00 || deterministic CBOR [key, value]), in the order of the keys' bytes
    root   RFC 6962's over the leaves, up to 100 000 rows; beyond that, over 256 buckets:
           leaf i = SHA-256(0x00 || deterministic CBOR [i, how many rows, RFC 6962 root over them])
           with the rows whose SHA-256(key) begins with byte i. So a change costs one bucket.

The row "size" says how many rows there are, itself included. That a key has no row is shown by the
two rows between which it would stand: neighbours in the order, or the first or last of it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from messages import cbor
from messages.errors import BadProof, MalformedMessage
from messages.log import tree

SIZE_KEY: Final = b"size"
ROWS_IN_ONE_TREE: Final = 100_000
BUCKETS: Final = 256


@dataclass(frozen=True, slots=True)
class Bucket:
    """How a bucket stands under the state root: its rows, their root, the path from there."""

    size: int
    root: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RowProof:
    """That a row is there: its CBOR, its place in its tree of `size` rows, the path to the root.

    `bucket` is None where all rows are in one tree.
    """

    row: bytes
    index: int
    size: int
    path: tuple[bytes, ...]
    bucket: Bucket | None = None


@dataclass(frozen=True, slots=True)
class AbsenceProof:
    """That a key has no row: its neighbours, and how many rows there are.

    `size` proves the row "size" where all rows are in one tree; `bucket` is the key's own one else.
    """

    neighbours: tuple[RowProof, ...]
    size: RowProof | None
    bucket: Bucket | None


def encode_row(key: bytes, value: Any) -> bytes:
    """Return a row as it is hashed."""
    if isinstance(value, tuple):
        value = tuple(value)  # a named one gives the same bytes, at twice the time
    return cbor.encode([key, value])


def bucket_of(key: bytes) -> int:
    """Return the number of the bucket in which a key's row is."""
    return hashlib.sha256(key).digest()[0]


def check_row(proof: RowProof, state_root: bytes) -> tuple[bytes, Any]:
    """Return the key and value that a proof shows to stand under a state root.

    Raises:
        BadProof: they do not, or the proof has another form.
    """
    key, value = _read(proof.row)
    root = state_root
    if proof.bucket is not None:
        _check_bucket(bucket_of(key), proof.bucket, state_root)
        if proof.size != proof.bucket.size:
            raise BadProof(f"the bucket has {proof.bucket.size} rows, not {proof.size}")
        root = proof.bucket.root
    tree.check_inclusion(tree.leaf_hash(proof.row), proof.index, proof.size, proof.path, root)
    return key, value


def check_absent(key: bytes, proof: AbsenceProof, state_root: bytes) -> None:
    """Check that no row under a state root has a key.

    Raises:
        BadProof: one may have.
    """
    if proof.bucket is None:
        size = _proven_size(proof.size, state_root)
    else:
        _check_bucket(bucket_of(key), proof.bucket, state_root)
        size = proof.bucket.size
    places = []
    for row in proof.neighbours:
        found, _ = check_row(row, state_root)
        if row.size != size or row.bucket != proof.bucket:
            raise BadProof("a neighbour is from another tree")
        places.append((row.index, found))
    _check_between(key, places, size)


def _proven_size(proof: RowProof | None, state_root: bytes) -> int:
    if proof is None or proof.bucket is not None:
        raise BadProof("it is not proven how many rows there are")
    key, size = check_row(proof, state_root)
    if key != SIZE_KEY or size != proof.size:
        raise BadProof("it is not proven how many rows there are")
    return proof.size


def _check_between(key: bytes, places: Sequence[tuple[int, bytes]], size: int) -> None:
    """Check that a key stands between neighbours: (index, key) of none, one or two rows."""
    if not places:
        if size:
            raise BadProof("a key is absent between its neighbours, and none is shown")
        return
    (first, low), (last, high) = places[0], places[-1]
    if len(places) == 2 and first + 1 == last and low < key < high:
        return
    if len(places) == 1 and ((first == 0 and key < low) or (last == size - 1 and key > high)):
        return
    raise BadProof("these rows are no neighbours of the key")


def _check_bucket(number: int, bucket: Bucket, state_root: bytes) -> None:
    leaf = _bucket_leaf(number, bucket.size, bucket.root)
    tree.check_inclusion(leaf, number, BUCKETS, bucket.path, state_root)


def _bucket_leaf(number: int, size: int, root: bytes) -> bytes:
    return tree.leaf_hash(cbor.encode([number, size, root]))


def _read(row: bytes) -> tuple[bytes, Any]:
    try:
        fields = cbor.decode(row, limit=len(row))
    except MalformedMessage as error:
        raise BadProof(f"a row is no CBOR of ours: {error}") from None
    if type(fields) is not list or len(fields) != 2 or type(fields[0]) is not bytes:
        raise BadProof("a row is a key and a value")
    return fields[0], fields[1]


class RowTree:
    """Rows by key and one tree over them, in the order of the keys.

    A row that changes costs its path to the root. So does one that goes where another one comes in
    its place, as each block's own row does; else keys that come or go cost the whole tree.
    """

    def __init__(self, leaves: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.leaves: dict[bytes, bytes] = dict(leaves)
        self._is_sorted = False
        self._levels: list[list[bytes]] = []  # as the last root had them, leaves first

    def put(self, key: bytes, leaf: bytes | None) -> None:
        """Set the leaf of a row; None takes it away."""
        if leaf is None:
            self.leaves.pop(key, None)
            return
        if key not in self.leaves:
            self._is_sorted = False
        self.leaves[key] = leaf

    def copy(self) -> RowTree:
        """Return a tree that goes its own way from here."""
        twin = RowTree(self.leaves.items())
        twin._is_sorted = self._is_sorted
        twin._levels = [list(level) for level in self._levels]
        return twin

    def in_order(self) -> list[tuple[bytes, bytes]]:
        """Return every key and leaf, in the order of the keys."""
        if not self._is_sorted:  # kept sorted, since to sort again what nearly is takes no time
            self.leaves = {key: self.leaves[key] for key in sorted(self.leaves)}
            self._is_sorted = True
        return list(self.leaves.items())

    def root(self) -> bytes:
        """Return the RFC 6962 root."""
        leaves = [leaf for _, leaf in self.in_order()]
        if not leaves:
            return tree.EMPTY_ROOT
        if self._levels and len(leaves) == len(self._levels[0]):
            old, self._levels[0] = self._levels[0], leaves
            changed = [n for n, (was, is_now) in enumerate(zip(old, leaves)) if was != is_now]  # noqa: B905
            tree.renew(self._levels, changed)
        else:
            self._levels = tree.levels(leaves)
        return self._levels[-1][0]


class StateTree:
    """Owns the leaves of all rows; computes anew only what changed."""

    def __init__(self) -> None:
        self._whole = RowTree()  # empty while bucketed
        self._buckets: list[RowTree] = []  # empty while all rows are in one tree
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, key: bytes, leaf: bytes | None) -> None:
        """Set the leaf of a row; None takes it away."""
        rows = self._tree_of(key)
        self._size -= len(rows.leaves)
        rows.put(key, leaf)
        self._size += len(rows.leaves)
        if self.is_bucketed != bool(self._buckets):
            self._arrange()

    def copy(self) -> StateTree:
        """Return a tree that goes its own way from here."""
        twin = StateTree()
        twin._whole, twin._size = self._whole.copy(), self._size
        twin._buckets = [bucket.copy() for bucket in self._buckets]
        return twin

    @property
    def is_bucketed(self) -> bool:
        """Whether there are too many rows for one tree."""
        return self._size > ROWS_IN_ONE_TREE

    def root(self) -> bytes:
        """Return the state root."""
        return tree.root(self._tops()) if self._buckets else self._whole.root()

    def prove(self, key: bytes, row: bytes) -> RowProof:
        """Return the proof of a row that is there; `row` as `encode_row` has it."""
        rows = self._tree_of(key).in_order()
        index = bisect_left(rows, (key, b""))
        if index == len(rows) or rows[index] != (key, tree.leaf_hash(row)):
            raise AssertionError(f"there is no such row {key!r}")
        leaves = tree.subtree_of([leaf for _, leaf in rows])
        path = tuple(tree.prove_inclusion(index, len(rows), leaves))
        return RowProof(row, index, len(rows), path, self.bucket(key))

    def prove_absent(self, key: bytes, row_of: Callable[[bytes], bytes]) -> AbsenceProof:
        """Return the proof that a key has no row; `row_of` gives the rows of its neighbours."""
        rows = self._tree_of(key).in_order()
        place = bisect_left(rows, (key, b""))
        if place < len(rows) and rows[place][0] == key:
            raise AssertionError(f"there is a row {key!r}")
        beside = [found for found, _ in rows[max(place - 1, 0) : place + 1]]
        neighbours = tuple(self.prove(found, row_of(found)) for found in beside)
        if self._buckets:
            return AbsenceProof(neighbours, None, self.bucket(key))
        return AbsenceProof(neighbours, self.prove(SIZE_KEY, row_of(SIZE_KEY)), None)

    def bucket(self, key: bytes) -> Bucket | None:
        """Return how a key's bucket stands under the root; None where all are in one tree."""
        if not self._buckets:
            return None
        number = bucket_of(key)
        path = tree.prove_inclusion(number, BUCKETS, tree.subtree_of(self._tops()))
        rows = self._buckets[number]
        return Bucket(len(rows.leaves), rows.root(), tuple(path))

    def _tree_of(self, key: bytes) -> RowTree:
        return self._buckets[bucket_of(key)] if self._buckets else self._whole

    def _arrange(self) -> None:
        """Put the rows into buckets, or out of them, since their number passed the limit."""
        if self.is_bucketed:
            self._buckets = [RowTree() for _ in range(BUCKETS)]
            for key, leaf in self._whole.leaves.items():
                self._buckets[bucket_of(key)].put(key, leaf)
            self._whole = RowTree()
        else:
            self._whole = RowTree(row for rows in self._buckets for row in rows.leaves.items())
            self._buckets = []

    def _tops(self) -> list[bytes]:
        return [
            _bucket_leaf(number, len(rows.leaves), rows.root())
            for number, rows in enumerate(self._buckets)
        ]
