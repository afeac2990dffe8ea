"""The Merkle tree of RFC 6962 section 2.1: roots, proofs, and their checks. Pure.

    leaf hash = SHA-256(0x00 || entry)        node hash = SHA-256(0x01 || left || right)
    MTH({}) = SHA-256("")                     MTH(D[0:n]) = node(MTH(D[0:k]), MTH(D[k:n]))
    k = the largest power of two smaller than n

Proof makers take `subtree(start, end) -> hash`, so that a store can answer from its own nodes; the
checks take bytes alone and trust nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from messages.errors import BadProof

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
Subtree = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """Return the largest power of two smaller than `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, in order; SHA-256 of nothing for none."""
    return levels(leaves)[-1][0] if leaves else EMPTY_ROOT


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return every level of the tree over leaf hashes, one or more: the leaves, ..., [the root].

    Two neighbours make the node above them; the last of an odd number stands above itself.
    """
    found = [list(leaves)]
    while len(found[-1]) > 1:
        below = found[-1]
        above = [node_hash(left, right) for left, right in zip(below[::2], below[1::2])]  # noqa: B905
        found.append(above + below[-1:] if len(below) % 2 else above)
    return found


def renew(found: list[list[bytes]], places: Iterable[int]) -> None:
    """Hash anew what stands above changed leaves, in the levels that `levels` returned."""
    for below, above in pairwise(found):
        places = {place // 2 for place in places}
        for place in places:
            pair = below[2 * place : 2 * place + 2]
            above[place] = node_hash(*pair) if len(pair) == 2 else pair[0]


def subtree_of(leaves: Sequence[bytes]) -> Subtree:
    """Return the `subtree` function of a list of leaf hashes; for small trees."""
    return lambda start, end: root(leaves[start:end])


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: one hash a set bit of its size, largest subtree first."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> None:
        """Take in one leaf hash."""
        index = self.size
        while index & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            index >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Take in one leaf hash; return the complete subtrees it finished: (level, index, hash).

        Level 0 is the leaf itself; index counts subtrees of that level from the left.
        """
        index, level = self.size, 0
        finished = [(0, index, leaf)]
        while index & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            index >>= 1
            level += 1
            finished.append((level, index, leaf))
        self.hashes.append(leaf)
        self.size += 1
        return finished

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        if not self.hashes:
            return EMPTY_ROOT
        right = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            right = node_hash(left, right)
        return right

    def copy(self) -> Frontier:
        """Return a frontier that grows on its own from here."""
        return Frontier(self.size, list(self.hashes))


def prove_inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return PATH(index, D[0:size]): sibling hashes from the leaf upward."""
    _check_range(index, size)
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    path.reverse()
    return path


def check_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root_hash: bytes
) -> None:
    """Check that `leaf` stands at `index` of the tree of `size` with `root_hash`.

    Raises:
        BadProof: it does not, or a hash has another length. Source: RFC 9162 section 2.1.3.2.
    """
    _check_hashes(leaf, root_hash, *path)
    if not 0 <= index < size:
        raise BadProof(f"leaf {index} is not in a tree of {size}")
    place, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise BadProof("the inclusion proof is too long")
        if place & 1 or place == last:
            current = node_hash(sibling, current)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        place >>= 1
        last >>= 1
    if last or current != root_hash:
        raise BadProof(f"leaf {index} is not under this root")


def prove_consistency(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return PROOF(old, D[0:new]): that the tree of `old` leaves is a prefix. Empty for old 0."""
    if not 0 <= old <= new:
        raise AssertionError(f"no tree of {old} before one of {new}")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    start, end, whole = 0, new, True
    while end != old:
        middle = start + split(end - start)
        if old <= middle:
            proof.append(subtree(middle, end))
            end = middle
        else:
            proof.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(subtree(start, end))
    proof.reverse()
    return proof


def check_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Check that the tree of `old` leaves is a prefix of the tree of `new`; 0 < old <= new.

    Raises:
        BadProof: it is not, or a hash has another length. Source: RFC 9162 section 2.1.4.2.
    """
    _check_hashes(old_root, new_root, *proof)
    if not 0 < old <= new:
        raise BadProof(f"no consistency from {old} to {new}")
    if old == new:
        if proof or old_root != new_root:
            raise BadProof(f"two different trees of {old} entries")
        return
    if not proof:
        raise BadProof("the consistency proof is empty")
    hashes = list(proof) if old & (old - 1) else [old_root, *proof]
    if _fold_consistency(old, new, hashes) != (old_root, new_root):
        raise BadProof(f"the tree of {old} entries is not a prefix of the tree of {new}")


def _fold_consistency(old: int, new: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the two roots that a consistency proof leads to."""
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    first = second = hashes[0]
    for current in hashes[1:]:
        if last == 0:
            raise BadProof("the consistency proof is too long")
        if place & 1 or place == last:
            first, second = node_hash(current, first), node_hash(current, second)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            second = node_hash(second, current)
        place >>= 1
        last >>= 1
    if last:
        raise BadProof("the consistency proof is too short")
    return first, second


def prove_many(indices: Iterable[int], size: int, subtree: Subtree) -> list[bytes]:
    """Return one proof for a set of leaves: every maximal subtree without one, left to right.

    A run of neighbours costs O(log size) hashes, however long it is.
    """
    wanted = sorted(set(indices))
    if wanted:
        _check_range(wanted[0], size)
        _check_range(wanted[-1], size)
    proof: list[bytes] = []

    def walk(start: int, end: int, low: int, high: int) -> None:
        if low == high:
            proof.append(subtree(start, end))
        elif high - low < end - start:  # else every leaf here is wanted
            middle = start + split(end - start)
            cut = _first_at_least(wanted, middle, low, high)
            walk(start, middle, low, cut)
            walk(middle, end, cut, high)

    if size:
        walk(0, size, 0, len(wanted))
    return proof


def check_many(
    leaves: Mapping[int, bytes], size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """Check that each of `leaves` (index -> leaf hash) stands in the tree of `size`.

    Raises:
        BadProof: one does not, or the proof has too few or too many hashes.
    """
    _check_hashes(root_hash)
    if _open_many(leaves, size, proof)[0, size] != root_hash:
        raise BadProof("the leaves are not under this root")


def narrow(
    leaves: Mapping[int, bytes], size: int, proof: Sequence[bytes], index: int
) -> list[bytes]:
    """Return PATH(index, D[0:size]) of one leaf, from a proof for it among many.

    Raises:
        BadProof: the proof has too few or too many hashes. Under which root it is, is not checked.
    """
    known = _open_many(leaves, size, proof)
    return prove_inclusion(index, size, lambda start, end: known[start, end])


def _open_many(
    leaves: Mapping[int, bytes], size: int, proof: Sequence[bytes]
) -> dict[tuple[int, int], bytes]:
    """Return the hash of each subtree that a proof for many leaves tells, by its bounds."""
    _check_hashes(*proof, *leaves.values())
    wanted = sorted(leaves)
    if not wanted or wanted[0] < 0 or wanted[-1] >= size:
        raise BadProof(f"the leaves are not in a tree of {size}")
    hashes = iter(proof)
    known: dict[tuple[int, int], bytes] = {}

    def walk(start: int, end: int, low: int, high: int) -> bytes:
        if low == high:
            found = _next_hash(hashes)
        elif end - start == 1:
            found = leaves[start]
        else:
            middle = start + split(end - start)
            cut = _first_at_least(wanted, middle, low, high)
            left = walk(start, middle, low, cut)
            found = node_hash(left, walk(middle, end, cut, high))
        known[start, end] = found
        return found

    walk(0, size, 0, len(wanted))
    if next(hashes, None) is not None:
        raise BadProof("the proof has hashes that prove nothing")
    return known


def _next_hash(hashes: Iterator[bytes]) -> bytes:
    found = next(hashes, None)
    if found is None:
        raise BadProof("the proof is too short")
    return found


def _first_at_least(wanted: Sequence[int], value: int, low: int, high: int) -> int:
    while low < high:
        middle = (low + high) // 2
        if wanted[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


def _check_range(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise AssertionError(f"leaf {index} is not in a tree of {size}")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise BadProof(f"a hash has {HASH_BYTES} bytes")
