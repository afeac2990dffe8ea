"""A log in memory that serves its tiles as a hub does, and can be made to fail or to lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hub.cosigning.evidence import EvidenceFolder
from hub.replica.errors import SourceAway
from hub.replica.mirror import Mirror
from hub.replica.source import BODY_BYTES_MAX, NONE, Headers, Sources
from messages.errors import MalformedMessage
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.note import ED25519, NoteKey
from messages.log.tiles import WIDTH, Tile, format_bundle, parse_tile_path
from messages.log.tree import leaf_hash, root
from tests.support.signers import ed25519

ORIGIN = "gridtally.test/village"
LOG = ed25519("log")
LOG_KEY = NoteKey(ORIGIN, ED25519, LOG.public)

Spoil = Callable[[str, bytes], bytes]


class ServedLog:
    """Owns entries. `spoil` changes answers; `gets_left` is how often it answers before it dies."""

    def __init__(self, raws: Sequence[bytes], place: str = "memory:log") -> None:
        self.place = place
        self.raws = list(raws)
        self.asked: list[str] = []
        self.taken: list[tuple[str, bytes]] = []
        self.extras: dict[str, bytes] = {}
        self.spoil: Spoil = lambda path, raw: raw
        self.gets_left: int | None = None
        self.size: int | None = None

    def note(self, size: int | None = None) -> str:
        size = len(self.raws) if size is None else size
        head = Checkpoint(ORIGIN, size, root([leaf_hash(raw) for raw in self.raws[:size]]))
        return sign_checkpoint(head, LOG)

    def get(self, path: str, limit: int = BODY_BYTES_MAX, headers: Headers = NONE) -> bytes:
        if self.gets_left is not None:
            if not self.gets_left:
                raise SourceAway(f"{self.place} is away")
            self.gets_left -= 1
        self.asked.append(path)
        return self.spoil(path, self._honest(path))

    def post(self, path: str, body: bytes) -> None:
        self.taken.append((path, body))

    def _honest(self, path: str) -> bytes:
        if path in self.extras:
            return self.extras[path]
        if path == "checkpoint":
            return self.note(self.size).encode()
        try:
            tile = parse_tile_path(path)
        except MalformedMessage as error:
            raise SourceAway(f"{self.place}: {path}: 404") from error
        end = tile.number * WIDTH + tile.width
        if end > len(self.raws) >> 8 * max(tile.level, 0):
            raise SourceAway(f"{self.place}: {path}: 404")
        return self._tile(tile)

    def _tile(self, tile: Tile) -> bytes:
        first = tile.number * WIDTH
        if tile.level < 0:
            return format_bundle(self.raws[first : first + tile.width])
        span = 256**tile.level
        leaves = [leaf_hash(raw) for raw in self.raws[first * span : (first + tile.width) * span]]
        return b"".join(root(leaves[at : at + span]) for at in range(0, len(leaves), span))


def mirror_in(folder: Path) -> Mirror:
    """Return the copy in a folder, as a start of the program opens it."""
    return Mirror(folder / "mirror", LOG_KEY, EvidenceFolder(folder / "evidence"))


def sources(*logs: ServedLog) -> Sources:
    """Return logs as a replica's sources."""
    return Sources(logs)
