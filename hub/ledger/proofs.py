"""Roots and proofs from the stored hashes of complete subtrees.

Node (level, index) is the RFC 6962 hash of leaves [index*2^level, (index+1)*2^level); level 0 is the
leaf hashes. Nothing here reads a database: it says which nodes it needs, and a `Nodes` brings them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from messages.log.tree import EMPTY_ROOT, node_hash

Place = tuple[int, int]  # (level, index)
Range = tuple[int, int]  # leaves [start, stop)


class Nodes(Protocol):
    """Whoever has the stored hashes."""

    def fetch(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        """Return the hash at each place; raise LedgerCorrupt if one is missing."""
        ...


def split_at(count: int) -> int:
    """Return the largest power of two below `count` (RFC 6962's k); `count` is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def cover(start: int, stop: int) -> list[Place]:
    """Return the complete subtrees that make up [start, stop), left to right.

    The range is one that an RFC 6962 split yields: `start` is a multiple of the power of two that
    holds the range, so only its right edge can be ragged.
    """
    places = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        places.append((level, start >> level))
        start += 1 << level
    return places


def hash_ranges(ranges: Sequence[Range], nodes: Nodes) -> tuple[bytes, ...]:
    """Return the subtree hash of each range, with one fetch for all."""
    covers = [cover(start, stop) for start, stop in ranges]
    known = nodes.fetch({place for places in covers for place in places})
    return tuple(_join([known[place] for place in places]) for places in covers)


def _join(hashes: Sequence[bytes]) -> bytes:
    joined = hashes[-1]
    for left in reversed(hashes[:-1]):
        joined = node_hash(left, joined)
    return joined


def root(size: int, nodes: Nodes) -> bytes:
    """Return the root of the first `size` leaves."""
    return hash_ranges([(0, size)], nodes)[0] if size else EMPTY_ROOT


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the subtrees beside the path of leaf `index`, from the leaf up (RFC 6962 2.1.1)."""
    start, stop = 0, size
    beside: list[Range] = []
    while stop - start > 1:
        middle = start + split_at(stop - start)
        if index < middle:
            beside.append((middle, stop))
            stop = middle
        else:
            beside.append((start, middle))
            start = middle
    return beside[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the subtrees that show the first `old` leaves inside `new` (RFC 6962 2.1.2)."""
    if old in (0, new):
        return []
    start, stop = 0, new
    beside: list[Range] = []
    while old != stop:
        middle = start + split_at(stop - start)
        if old <= middle:
            beside.append((middle, stop))
            stop = middle
        else:
            beside.append((start, middle))
            start = middle
    if start:  # the old tree ends in a subtree of its own; else its root is known to the asker
        beside.append((start, stop))
    return beside[::-1]


def many_ranges(indices: Sequence[int], size: int) -> list[Range]:
    """Return every maximal subtree without a wanted leaf, left to right; `indices` are sorted."""
    outside: list[Range] = []
    stack: list[Range] = [(0, size)] if size else []
    while stack:
        start, stop = stack.pop()
        at = bisect_left(indices, start)
        if at == len(indices) or indices[at] >= stop:
            outside.append((start, stop))
        elif stop - start > 1 and bisect_left(indices, stop) - at < stop - start:
            middle = start + split_at(stop - start)
            stack += [(middle, stop), (start, middle)]
    return outside


class Growth:
    """The right edge of the tree: grows by leaves and says which nodes became complete.

    Work on a copy (`clone`) inside a transaction and keep it only after the commit.
    """

    def __init__(self, size: int, edge: Sequence[bytes]) -> None:
        """`edge`: the hashes of `cover(0, size)`, left to right."""
        self.size = size
        self._edge = list(edge)

    def clone(self) -> Growth:
        """Return one that can grow without this one."""
        return Growth(self.size, self._edge)

    def append(self, leaf: bytes, completed: list[tuple[int, int, bytes]]) -> None:
        """Add one leaf hash; put each inner node (level, index, hash) it completes on the list."""
        index = self.size
        level = 0
        joined = leaf
        edge = self._edge
        while index & 1:
            joined = node_hash(edge.pop(), joined)
            index >>= 1
            level += 1
            completed.append((level, index, joined))
        edge.append(joined)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return _join(self._edge) if self._edge else EMPTY_ROOT
