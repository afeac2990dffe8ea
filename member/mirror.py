"""A copy of a whole log as static files: is it the tree that the log signed, and who signed what?

Two passes over the entries: the first builds the tree again and compares it with every tile and
with the checkpoint; the second checks the signatures of what is then known to be the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from member.errors import Code, Refused
from member.heads import Anchor, Verdict, finality, head_facts, head_told, open_head
from member.signatures import Signatures
from messages.log import tree
from messages.log.tiles import WIDTH, Tile, parse_bundle, tile_path


def check_mirror(folder: Path, anchor: Anchor) -> Verdict:
    """Check a folder of static tiles: `checkpoint`, tile/<level>/<n>, tile/entries/<n>.

    Raises:
        Refused, MessageError: what does not hold.
        OSError: a tile is missing.
    """
    note = (folder / "checkpoint").read_text(encoding="utf-8")
    head = open_head(note, anchor)
    words, facts = finality(note, anchor)
    if _Tree(folder, head.size).root() != head.root:
        raise Refused(Code.PROOF, f"the {head.size} entries do not have the root that was signed")
    found = Signatures(anchor)
    for index, raw in entries_of(folder, head.size):
        found.take(index, raw)
    found.check_log()
    facts |= head_facts(head)
    facts |= {"signatures": found.checked, "unknown": found.unknown, "sealed": found.sealed}
    left = f", {found.unknown} of kinds not known here" if found.unknown else ""
    return Verdict(
        f"a whole copy of {head_told(head)}, {found.checked} signatures right{left}; {words}", facts
    )


def entries_of(folder: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (index, bytes) of the first `size` entries of a mirror.

    Raises:
        OSError: a bundle is missing.
        Refused, MessageError: a bundle of another form.
    """
    for number in range(-(-size // WIDTH)):
        width = min(WIDTH, size - number * WIDTH)
        path = folder / tile_path(Tile(-1, number, width))
        bundle = parse_bundle(path.read_bytes())
        if len(bundle) != width:
            raise Refused(Code.MALFORMED, f"{path}: {len(bundle)} entries, want {width}")
        yield from enumerate(bundle, number * WIDTH)


class _Tree:
    """Builds the tree of a mirror from its entries, and compares each tile on the way."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._rows: list[list[bytes]] = []  # of each level: the hashes of its unfinished tile
        self._numbers: list[int] = []  # of each level: how many tiles are finished

    def root(self) -> bytes:
        """Return the root over all entries; raises Refused naming the first tile that differs."""
        frontier = tree.Frontier()
        for _, raw in entries_of(self._folder, self._size):
            leaf = tree.leaf_hash(raw)
            frontier.append(leaf)
            self._add(0, leaf)
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level, row)
        return frontier.root()

    def _add(self, level: int, value: bytes) -> None:
        if level == len(self._rows):
            self._rows.append([])
            self._numbers.append(0)
        row = self._rows[level]
        row.append(value)
        if len(row) == WIDTH:
            self._compare(level, row)
            self._numbers[level] += 1
            above = tree.root(row)
            row.clear()
            self._add(level + 1, above)

    def _compare(self, level: int, row: list[bytes]) -> None:
        path = self._folder / tile_path(Tile(level, self._numbers[level], len(row)))
        if path.read_bytes() != b"".join(row):
            raise Refused(Code.PROOF, f"{path} does not hold the hashes of the entries below it")
