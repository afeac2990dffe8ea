"""Roots and proofs from the stored hashes of complete subtrees.

Node (level, index) is the RFC 6962 hash of leaves [index*2^level, (index+1)*2^level); level 0 is
the leaf hashes. `messages.log.tree` says which subtrees a proof needs; this file finds them among
the stored nodes, with one fetch a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from messages.log import tree

Place = tuple[int, int]  # (level, index)
Range = tuple[int, int]  # leaves [start, stop)


class Nodes(Protocol):
    """Whoever has the stored hashes."""

    @property
    def at_hand(self) -> Mapping[Place, bytes]:
        """Return what can be had without asking; it need not be all."""
        ...

    def fetch(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        """Return the hash at each place; raise LedgerCorrupt if one is missing."""
        ...


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


def make_proof(make: Callable[[tree.Subtree], list[bytes]], nodes: Nodes) -> tuple[bytes, ...]:
    """Return what `make` makes of a subtree function, with at most one fetch for it."""
    at_hand = nodes.at_hand
    try:
        return tuple(make(lambda start, stop: _join([at_hand[at] for at in cover(start, stop)])))
    except KeyError:
        hashes = hash_ranges(_asked_by(make), nodes)
        return tuple(make(lambda start, stop: hashes[start, stop]))


def _asked_by(make: Callable[[tree.Subtree], list[bytes]]) -> list[Range]:
    asked: list[Range] = []

    def note(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return b""

    make(note)
    return asked


def hash_ranges(ranges: Sequence[Range], nodes: Nodes) -> dict[Range, bytes]:
    """Return the subtree hash of each range, with one fetch for all."""
    covers = {asked: cover(*asked) for asked in ranges}
    known = nodes.fetch({place for places in covers.values() for place in places})
    return {asked: _join([known[place] for place in places]) for asked, places in covers.items()}


def frontier(size: int, nodes: Nodes) -> tree.Frontier:
    """Return the right edge of the tree of `size`, ready to grow."""
    places = cover(0, size)
    known = nodes.fetch(places)
    return tree.Frontier(size, [known[place] for place in places])


def root(size: int, nodes: Nodes) -> bytes:
    """Return the root of the first `size` leaves."""
    return frontier(size, nodes).root()


def _join(hashes: Sequence[bytes]) -> bytes:
    joined = hashes[-1]
    for left in reversed(hashes[:-1]):
        joined = tree.node_hash(left, joined)
    return joined
