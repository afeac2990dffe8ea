"""Static tiles (C2SP tlog-tiles v0.1.0): where hashes and entries of a log lie as files.

tile/<level>/<n>[.p/<width>] holds up to 256 hashes: tile n of level l has MTH of the 256^l leaves
from (256 n + i) 256^l on. tile/entries/<n>[.p/<width>] holds up to 256 entries, each behind its
length as a big-endian uint16. `n` is written in groups of three digits, all but the last with x.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from messages.errors import MalformedMessage

WIDTH = 256
ENTRY_BYTES_MAX = 65_535


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
