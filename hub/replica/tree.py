"""A tree under a signed root, read through tiles from anybody: each is checked as it comes.

The right edge comes first: its hashes fold to the root. From there a full tile's hash stands in the
tile above it, so one wrong hash anywhere is found when its tile is read, and whoever served it is
known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from hub.replica.errors import SourceWrong
from messages.log import tree
from messages.log.tiles import WIDTH, Tile, tile_path
from messages.log.tree import EMPTY_ROOT, HASH_BYTES, Frontier, node_hash, split

TILE_HEIGHT: Final = 8
LEAF_TILES_CACHED: Final = 8

Accept = Callable[[bytes], bool]
ReadTile = Callable[[Tile, Accept], bytes]
Kept = Callable[[Tile], bytes | None]


def _nothing(_tile: Tile) -> bytes | None:
    return None


class TileTree:
    """The tree of `size` entries with a root.

    Args:
        size: how many entries.
        root: what somebody signed.
        read: gives the bytes of a tile of hashes; asked with what they have to fulfil.
        kept: gives a full tile that is at hand, or None; one that does not fit is read instead.
    """

    def __init__(self, size: int, root: bytes, read: ReadTile, kept: Kept = _nothing) -> None:
        """Read and check the right edge.

        Raises:
            SourceWrong: its hashes do not fold to the root.
        """
        self.size = size
        self._read = read
        self._kept = kept
        self._lock = threading.RLock()  # one thread grows the copy, others ask for its roots
        self._leaves: dict[int, tuple[bytes, ...]] = {}  # the newest tiles of level 0
        self._above: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self._edge: dict[tuple[int, int], tuple[bytes, ...]] = {}
        peaks: list[bytes] = []
        for level in reversed(range(self._levels())):
            number, width = divmod(self._count(level), WIDTH)
            if width:
                tile = Tile(level, number, width)
                self._edge[level, number] = found = self._fetch(tile, lambda raw: True)
                peaks += _peaks(found)
        if Frontier(size, peaks).root() != root:
            raise SourceWrong(f"the hashes at the end of {size} entries do not give the root")

    def hashes(self, level: int, number: int) -> tuple[bytes, ...]:
        """Return the hashes of a tile, checked.

        Raises:
            SourceWrong: they are not those under the root.
        """
        with self._lock:
            return self._hashes_at((level, number))

    def _hashes_at(self, place: tuple[int, int]) -> tuple[bytes, ...]:
        level, number = place
        known = self._edge.get(place) or self._above.get(place)
        if known is None and level == 0:
            known = self._leaves.get(number)
        if known is not None:
            return known
        tile = Tile(level, number, WIDTH)
        wanted = self._hashes_at((level + 1, number // WIDTH))[number % WIDTH]
        at_hand = self._kept(tile)
        found = () if at_hand is None else _hashes(at_hand)
        if len(found) != WIDTH or tree.root(found) != wanted:
            found = self._fetch(tile, lambda raw: tree.root(_hashes(raw)) == wanted)
            if tree.root(found) != wanted:
                raise SourceWrong(f"{tile_path(tile)} is not under the root")
        self._keep(place, found)
        return found

    def subtree(self, start: int, end: int) -> bytes:
        """Return the hash over entries [start, end), as makers of proofs ask for it."""
        count = end - start
        if count & (count - 1):
            middle = start + split(count)
            return node_hash(self.subtree(start, middle), self.subtree(middle, end))
        level, index = count.bit_length() - 1, start // count
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, first = divmod(index << height, WIDTH)
        return tree.root(self.hashes(tile_level, number)[first : first + (1 << height)])

    def root_at(self, size: int) -> bytes:
        """Return the root of the first `size` entries."""
        return self.subtree(0, size) if size else EMPTY_ROOT

    def frontier_at(self, size: int) -> Frontier:
        """Return the right edge of the tree of the first `size` entries."""
        start, hashes = 0, []
        for bit in reversed(range(size.bit_length())):
            if size >> bit & 1:
                hashes.append(self.subtree(start, start + (1 << bit)))
                start += 1 << bit
        return Frontier(size, hashes)

    def _count(self, level: int) -> int:
        return self.size >> TILE_HEIGHT * level

    def _levels(self) -> int:
        return -(-self.size.bit_length() // TILE_HEIGHT)

    def _fetch(self, tile: Tile, accept: Accept) -> tuple[bytes, ...]:
        raw = self._read(tile, accept)
        if len(raw) != tile.width * HASH_BYTES:
            raise SourceWrong(f"{tile_path(tile)} has {len(raw)} bytes")
        return _hashes(raw)

    def _keep(self, place: tuple[int, int], found: tuple[bytes, ...]) -> None:
        if place[0]:
            self._above[place] = found
            return
        self._leaves[place[1]] = found
        if len(self._leaves) > LEAF_TILES_CACHED:
            del self._leaves[next(iter(self._leaves))]


def _hashes(raw: bytes) -> tuple[bytes, ...]:
    return tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))


def _peaks(hashes: tuple[bytes, ...]) -> list[bytes]:
    """Return the roots of the largest complete subtrees over hashes, left to right."""
    frontier = Frontier()
    for value in hashes:
        frontier.append(value)
    return frontier.hashes
