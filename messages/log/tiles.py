"""Static tiles (C2SP tlog-tiles v0.1.0): where hashes and entries of a log lie as files.

tile/<level>/<n>[.p/<width>] holds up to 256 hashes: tile n of level l has MTH of the 256^l leaves
from (256 n + i) 256^l on. tile/entries/<n>[.p/<width>] holds up to 256 entries, each behind its
length as a big-endian uint16. `n` is written in groups of three digits, all but the last with x.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from messages.errors import MalformedMessage

WIDTH = 256
ENTRY_BYTES_MAX = 65_535
LEVEL_MAX = 63
TILE_PATH = re.compile(
    "tile/(?P<level>entries|[0-9]{1,2})/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    "(?:[.]p/(?P<width>[0-9]{1,3}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a tree: level (-1 for an entry bundle), number, and how many items it holds."""

    level: int
    number: int
    width: int


def tile_path(tile: Tile) -> str:
    """Return a tile's path.

    >>> tile_path(Tile(0, 1_234_067, 256)), tile_path(Tile(-1, 0, 7))
    ('tile/0/x001/x234/067', 'tile/entries/000.p/7')
    """
    groups = [f"{tile.number % 1000:03d}"]
    rest = tile.number // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03d}")
        rest //= 1000
    level = "entries" if tile.level < 0 else str(tile.level)
    partial = "" if tile.width == WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Return the tile that a path names; only `tile_path`'s own spelling is one.

    Raises:
        MalformedMessage: another spelling, a level above 63, or a width of 0 or above 256.

    >>> parse_tile_path("tile/entries/x001/000.p/7")
    Tile(level=-1, number=1000, width=7)
    """
    found = TILE_PATH.fullmatch(path)
    if found is None:
        raise MalformedMessage("a tile is at tile/<level>/<number>[.p/<width>]")
    level = -1 if found["level"] == "entries" else int(found["level"])
    number = int(found["number"].replace("x", "").replace("/", ""))
    tile = Tile(level, number, int(found["width"] or WIDTH))
    if level > LEVEL_MAX or not 0 < tile.width <= WIDTH or tile_path(tile) != path:
        raise MalformedMessage("a tile's path has no leading zeros, levels up to 63, widths to 255")
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every tile of a tree of `size` leaves, entry bundles first, then hashes by level."""
    yield from _row(-1, size)
    level, count = 0, size
    while count:
        yield from _row(level, count)
        level, count = level + 1, count // WIDTH


def _row(level: int, count: int) -> Iterator[Tile]:
    for number in range(count // WIDTH):
        yield Tile(level, number, WIDTH)
    if count % WIDTH:
        yield Tile(level, count // WIDTH, count % WIDTH)


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle.

    Raises:
        MalformedMessage: an entry is longer than a uint16 can say.
    """
    if any(len(entry) > ENTRY_BYTES_MAX for entry in entries):
        raise MalformedMessage(f"an entry has at most {ENTRY_BYTES_MAX} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle, in order.

    Raises:
        MalformedMessage: it is cut short, or has more than 256 entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if at + 2 > len(bundle) or end > len(bundle):
            raise MalformedMessage("the entry bundle is cut short")
        entries.append(bundle[at + 2 : end])
        at = end
    if len(entries) > WIDTH:
        raise MalformedMessage(f"an entry bundle has at most {WIDTH} entries")
    return entries
