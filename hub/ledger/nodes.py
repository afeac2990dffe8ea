"""The stored hashes of complete subtrees, read from the database through a small cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import BindParameter, Engine, bindparam, select

from hub.errors import LedgerCorrupt
from hub.ledger.engine import reading
from hub.ledger.proofs import Place
from hub.ledger.schema import entry, node

CACHE_PLACES_MAX = 32_768
ASKED_AT_ONCE = 500  # bound variables a statement

# Made once: a proof asks a level at a time, and making a statement takes as long as running it.
_INDICES: BindParameter[list[int]] = bindparam("indices", expanding=True)
NODES = select(node.c.index, node.c.hash).where(
    node.c.level == bindparam("level"), node.c.index.in_(_INDICES)
)
LEAVES = select(entry.c.index, entry.c.leaf_hash).where(entry.c.index.in_(_INDICES))


class StoredNodes:
    """Brings hashes for proofs: the newest from memory, the rest from the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recent: dict[Place, bytes] = {}

    @property
    def at_hand(self) -> Mapping[Place, bytes]:
        """Return the newest hashes."""
        return self._recent

    def remember(self, finished: Iterable[tuple[int, int, bytes]]) -> None:
        """Keep hashes that were just committed; the oldest half goes when there are too many."""
        recent = self._recent
        for level, index, digest in finished:
            recent[level, index] = digest
        if len(recent) > CACHE_PLACES_MAX:
            self._recent = dict(list(recent.items())[-CACHE_PLACES_MAX // 2 :])

    def forget(self) -> None:
        """Drop the cache: the database may not be what this process believed."""
        self._recent.clear()

    def fetch(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        """Return the hash at each place; LedgerCorrupt names the first that is missing."""
        wanted = set(places)
        found = {place: self._recent[place] for place in wanted & self._recent.keys()}
        if len(found) < len(wanted):
            found.update(self.fetch_stored(wanted - found.keys()))
        return found

    def fetch_stored(self, places: Iterable[Place]) -> Mapping[Place, bytes]:
        """Return the hash at each place as the database has it."""
        missing: dict[int, list[int]] = defaultdict(list)
        for level, index in places:
            missing[level].append(index)
        found: dict[Place, bytes] = {}
        with reading(self._engine) as connection:
            for level, indices in missing.items():
                for at in range(0, len(indices), ASKED_AT_ONCE):
                    asked: dict[str, object] = {"indices": indices[at : at + ASKED_AT_ONCE]}
                    if level:
                        asked["level"] = level
                    for index, digest in connection.execute(NODES if level else LEAVES, asked):
                        found[(level, index)] = digest
        for level, indices in missing.items():
            for index in indices:
                if (level, index) not in found:
                    raise LedgerCorrupt(missing_node(level, index))
        return found


def missing_node(level: int, index: int) -> str:
    """Say in words which stored hash is not there."""
    if level == 0:
        return f"entry {index} is missing from the ledger"
    first, last = index << level, ((index + 1) << level) - 1
    return f"the stored hash over entries {first} to {last} (level {level}) is missing"
