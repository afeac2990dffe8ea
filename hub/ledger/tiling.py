"""Tiles of the log (C2SP tlog-tiles), made from what is stored when somebody asks for one."""

from __future__ import annotations

from hub.errors import NoSuchEntry
from hub.ledger.log import Log
from hub.ledger.proofs import Place
from messages.log.tiles import WIDTH, Tile, format_bundle, tile_path

TILE_HEIGHT = 8  # 256 hashes a tile


def require_tile(tile: Tile, size: int) -> None:
    """Refuse a tile that a tree of `size` entries does not have in full, or in this part.

    Raises:
        NoSuchEntry: it reaches beyond the tree.
    """
    end = tile.number * WIDTH + tile.width
    if end > size >> TILE_HEIGHT * max(tile.level, 0):
        raise NoSuchEntry(f"{tile_path(tile)} reaches beyond the {size} entries of the tree")


def read_bundle(log: Log, tile: Tile) -> list[bytes]:
    """Return the entries of a bundle, in order."""
    first = tile.number * WIDTH
    return [entry.raw for entry in log.entries(first, first + tile.width)]


def read_hashes(log: Log, tile: Tile) -> bytes:
    """Return the bytes of a hash tile."""
    first, level = tile.number * WIDTH, tile.level * TILE_HEIGHT
    places: list[Place] = [(level, first + at) for at in range(tile.width)]
    stored = log.nodes.fetch(places)
    return b"".join(stored[place] for place in places)


def read_tile(log: Log, tile: Tile) -> bytes:
    """Return a tile or an entry bundle; `require_tile` says before whether there is one."""
    if tile.level < 0:
        return format_bundle(read_bundle(log, tile))
    return read_hashes(log, tile)
