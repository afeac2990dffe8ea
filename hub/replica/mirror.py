"""The replica's copy of the log: a folder of static tiles that any web server can serve on.

checkpoint                  the newest head under which everything here was checked
tile/<level>/<n>[.p/<w>]    hashes; tile/entries/<n>[.p/<w>] entries (C2SP tlog-tiles)

Each tile is checked, synced and named before the head that needs it: a kill at any place leaves a
copy that is whole up to its head, and tiles above that which are checked again when they are used.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hub.cosigning.evidence import EvidenceFolder
from hub.ledger.newest import sync_folder
from hub.replica.errors import Forked, MirrorDamaged, SourceAway, SourceWrong
from hub.replica.source import Source, Sources
from hub.replica.tree import TILE_HEIGHT, Accept, TileTree
from messages.errors import MalformedMessage, MessageError
from messages.evidence import Heads, check_heads
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import NoteKey
from messages.log.tiles import WIDTH, Tile, parse_bundle, tile_path
from messages.log.tree import HASH_BYTES, leaf_hash, prove_consistency

Told = Callable[[int, int], None]


def in_silence(_done: int, _of: int) -> None:
    """Take progress, and tell nobody."""


class Mirror:
    """Owns the folder. For one thread; what lies under its head may be read from any."""

    def __init__(self, folder: Path, log_key: NoteKey, evidence: EvidenceFolder) -> None:
        """Open it, or begin a new one.

        Raises:
            MirrorDamaged: it has a head that the log did not sign, or not the tiles under it.
        """
        self.folder = folder
        self._log_key = log_key
        self._evidence = evidence
        self.note = ""
        self.head = Checkpoint(log_key.name, 0, b"")
        self.tree: TileTree | None = None
        self.first = _read_number(folder / "first")
        try:
            self.note = (folder / "checkpoint").read_text(encoding="utf-8")
            self.head = open_checkpoint(self.note, log_key)
            self.tree = self._own_tree(Sources(()))
        except FileNotFoundError:
            if (folder / "checkpoint").exists():
                raise
        except (MessageError, SourceWrong) as error:
            raise MirrorDamaged(f"{folder}: {error}") from error

    @property
    def size(self) -> int:
        """How many entries the newest checked head has."""
        return self.head.size

    def root_at(self, size: int) -> bytes:
        """Return the root of the first `size` entries, which are below the head."""
        if self.tree is None:
            raise AssertionError("an empty mirror has no roots")
        return self.tree.root_at(size)

    def entries(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield (index, bytes) of entries [start, stop) below the head.

        Raises:
            MirrorDamaged: a bundle is lost.
        """
        for number in range(start // WIDTH, -(-stop // WIDTH)):
            bundle = self._bundle(number)
            for index, raw in enumerate(bundle, number * WIDTH):
                if start <= index < stop:
                    yield index, raw

    # --- growing ---------------------------------------------------------------------------

    def begin_at(self, first: int) -> None:
        """Leave out entries before the bundle of `first` for now; only in an empty copy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.first = first // WIDTH * WIDTH
        _write(self.folder / "first", b"%d\n" % self.first)

    def see(self, note: str, sources: Sources) -> TileTree:
        """Return the tree of a head that the log signed, if it continues this copy.

        Raises:
            Forked: it does not, and the log signed both.
            SourceAway, SourceWrong: no source has the hashes.
            MessageError: the log did not sign it.
        """
        head = open_checkpoint(note, self._log_key)
        if self.tree is not None and head.size <= self.size:
            if self.root_at(head.size) != head.root:
                raise self._fork(note, head, self.note, self.head, self.tree)
            return self.tree
        found = sources.first(lambda source: self._tree_of(head, source, sources))
        if self.tree is not None and found.root_at(self.size) != self.head.root:
            raise self._fork(self.note, self.head, note, head, found)
        return found

    def extend(self, note: str, sources: Sources, told: Told = in_silence) -> None:
        """Take in everything below a head: hashes, then entries, each checked; then the head.

        Raises:
            Forked, SourceAway, SourceWrong, MessageError: as `see`; the copy is what it was.
        """
        found = self.see(note, sources)
        if found.size <= self.size:
            return
        old, new = self.size, found.size
        wanted = list(_grown(old, new, self.first))
        for done, tile in enumerate(wanted):
            self._take(tile, found, sources)
            told(min(done * new // len(wanted), new), new)
        _write(self.folder / "checkpoint", note.encode())
        self.note, self.head, self.tree = note, open_checkpoint(note, self._log_key), found
        self._forget_partials(old)
        told(new, new)

    def fill(self, sources: Sources, bundles: int) -> bool:
        """Fetch some entries of those left out, newest first; True when all are here.

        Raises:
            SourceAway, SourceWrong: no source has them; those that came stay.
        """
        if self.tree is None:
            return not self.first
        found = self._own_tree(sources) if self.first else self.tree
        for _ in range(min(bundles, self.first // WIDTH)):
            number = self.first // WIDTH - 1
            for level in (0, -1):
                self._take(Tile(level, number, WIDTH), found, sources)
            self.first -= WIDTH
            _write(self.folder / "first", b"%d\n" % self.first)
        return not self.first

    def _own_tree(self, sources: Sources) -> TileTree:
        """Return the tree of the head from what is here; what was left out comes from sources."""

        def read(tile: Tile, accept: Accept) -> bytes:
            if tile.width < WIDTH or self._kept(tile) is not None:
                return self._stored(tile)
            return sources.first(lambda source: _of_source(source, tile, accept))

        return TileTree(self.head.size, self.head.root, read)

    def _tree_of(self, head: Checkpoint, source: Source, sources: Sources) -> TileTree:
        """Return the tree of a head: its right edge from one source, the rest from any."""

        def read(tile: Tile, accept: Accept) -> bytes:
            if tile.width < WIDTH:
                return _of_source(source, tile, accept)
            return sources.first(lambda each: _of_source(each, tile, accept))

        return TileTree(head.size, head.root, read, self._kept)

    def _take(self, tile: Tile, found: TileTree, sources: Sources) -> None:
        """Store one tile durably, once it is checked; one that is here and right stays."""
        path = self.folder / tile_path(tile)
        if tile.level >= 0:
            hashes = found.hashes(tile.level, tile.number)
            if self._kept(tile) != b"".join(hashes):
                _write(path, b"".join(hashes))
            return
        leaves = found.hashes(0, tile.number)[: tile.width]
        at_hand = self._kept(tile)
        if at_hand is None or _leaves(at_hand) != leaves:
            _write(path, sources.first(lambda source: _bundle_of(source, tile, leaves)))

    def _fork(
        self, first: str, one: Checkpoint, second: str, other: Checkpoint, larger: TileTree
    ) -> Forked:
        """Return the error, with evidence kept: `larger` is the tree of the second head."""
        heads = Heads(first, second)
        if one.size != other.size:
            proof = prove_consistency(one.size, other.size, larger.subtree)
            prefix = larger.root_at(one.size)
            heads = Heads(first, second, _text(prefix), tuple(_text(value) for value in proof))
        check_heads(heads, self._log_key)
        path = self._evidence.keep(other.origin, heads)
        return Forked(
            f"the log signed {other.size} entries that do not continue its own {one.size}", path
        )

    # --- the folder ------------------------------------------------------------------------

    def _stored(self, tile: Tile) -> bytes:
        found = self._kept(tile)
        if found is None:
            raise MirrorDamaged(f"{self.folder / tile_path(tile)} is not here")
        return found

    def _kept(self, tile: Tile) -> bytes | None:
        try:
            return (self.folder / tile_path(tile)).read_bytes()
        except FileNotFoundError:
            return None

    def _bundle(self, number: int) -> list[bytes]:
        width = min(WIDTH, self.size - number * WIDTH)
        try:
            found = parse_bundle(self._stored(Tile(-1, number, width)))
        except MalformedMessage as error:
            raise MirrorDamaged(f"{self.folder}: {error}") from error
        if len(found) != width:
            raise MirrorDamaged(f"{self.folder}: a bundle of {len(found)} entries, want {width}")
        return found

    def _forget_partials(self, old: int) -> None:
        """Remove the partial tiles of the head before, so that the folder does not only grow."""
        newer = set(_edge(self.size))
        for tile in _edge(old):
            path = self.folder / tile_path(tile)
            if tile not in newer:
                path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()


def _grown(old: int, new: int, first: int) -> Iterator[Tile]:
    """Yield the tiles of a tree of `new` that one of `old` has not: hashes first, from the top.

    Leaves and entries before `first` are left out.
    """
    for level in reversed(range(-(-new.bit_length() // TILE_HEIGHT))):
        start = old >> TILE_HEIGHT * level
        yield from _row(level, start if level else max(old, first), new >> TILE_HEIGHT * level)
    yield from _row(-1, max(old, first), new)


def _row(level: int, old: int, new: int) -> Iterator[Tile]:
    for number in range(old // WIDTH, -(-new // WIDTH)):
        yield Tile(level, number, min(WIDTH, new - number * WIDTH))


def _edge(size: int) -> list[Tile]:
    """Return the partial tiles of a tree."""
    found = []
    for level in (-1, *range(-(-size.bit_length() // TILE_HEIGHT))):
        number, width = divmod(size >> TILE_HEIGHT * max(level, 0), WIDTH)
        if width:
            found.append(Tile(level, number, width))
    return found


def _of_source(source: Source, tile: Tile, accept: Accept) -> bytes:
    """Return a tile as a source serves it: a partial one may have grown since."""
    path = tile_path(tile)
    try:
        found = source.get(path)
    except SourceAway:
        if tile.width == WIDTH:
            raise
        whole = source.get(tile_path(Tile(tile.level, tile.number, WIDTH)))
        found = whole[: tile.width * HASH_BYTES]
    if not accept(found):
        raise SourceWrong(f"{source.place}: {path} is not under the root that was signed")
    return found


def _bundle_of(source: Source, tile: Tile, leaves: tuple[bytes, ...]) -> bytes:
    """Return an entry bundle whose entries have these leaf hashes."""
    try:
        raw = source.get(tile_path(tile))
    except SourceAway:
        if tile.width == WIDTH:
            raise
        raw = source.get(tile_path(Tile(-1, tile.number, WIDTH)))
    raw = _cut(raw, tile.width)
    if _leaves(raw) != leaves:
        raise SourceWrong(f"{source.place}: {tile_path(tile)} has other entries than were signed")
    return raw


def _cut(raw: bytes, count: int) -> bytes:
    """Return the first entries of a bundle as a bundle."""
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(raw[at : at + 2], "big")
    return raw[:at]


def _leaves(raw: bytes) -> tuple[bytes, ...] | None:
    """Return the leaf hashes of a bundle's entries; None if it is none."""
    try:
        return tuple(leaf_hash(entry) for entry in parse_bundle(raw))
    except MalformedMessage:
        return None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.new")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def _read_number(path: Path) -> int:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
