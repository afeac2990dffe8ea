"""How long a proof takes to make and to check, in a log of ten million entries.

The node table is made of numbers, not of readings: what a proof reads are hashes, and a hash is as
long whatever it is of. Places are drawn anew for each proof, so no page is at hand but by chance.

    python -m bench proofs
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from bench.figure import Figure, Target, percentile
from hub.ledger.log import Log
from hub.ledger.store import Store
from messages import statetree
from messages.log import tree
from messages.statetree import StateTree, encode_row

BATCH = 50_000
PROOFS = 2_000
SEED = 4_242
TURNS = 5
ROUNDS = 5
STATE_ROWS = 10_000
STATE_ROWS_MANY = 200_000
CHANGED_ROWS = 100


def run(*, quick: bool) -> Iterator[Figure]:
    """Build the table, then prove, then check; then the same for the state."""
    leaves = 200_000 if quick else 10_000_000
    with tempfile.TemporaryDirectory() as name:
        build(Path(name), leaves)
        with Store.open(f"sqlite:///{name}/ledger.db", read_only=True) as log:
            yield from prove(log, leaves, target=not quick)
    yield from state_roots()


def build(folder: Path, leaves: int) -> None:
    """Make a ledger whose entries are empty, and whose hashes are those of a tree over numbers."""
    path = folder / "ledger.db"
    Store.open(f"sqlite:///{path}", create=True).close()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous=OFF")
    frontier = tree.Frontier()
    for start in range(0, leaves, BATCH):
        entries, nodes = [], []
        for index in range(start, min(start + BATCH, leaves)):
            leaf = hashlib.sha256(index.to_bytes(8, "big")).digest()
            entries.append((index, leaf, b"", "", None, "reading", b"", None))
            nodes += frontier.append(leaf)[1:]
        database.execute("BEGIN")
        database.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", entries)
        database.executemany("INSERT INTO node VALUES (?, ?, ?)", nodes)
        database.execute("COMMIT")
        print(f"\r{frontier.size:,} leaves", end="", file=sys.stderr)
    database.execute("UPDATE ledger SET number = ? WHERE name = 'size'", (leaves,))
    database.close()
    print(file=sys.stderr)


def prove(log: Log, leaves: int, *, target: bool) -> Iterator[Figure]:
    """Prove random entries, and from random sizes to the whole; check every proof."""
    draw = random.Random(SEED)
    places = [draw.randrange(1, leaves) for _ in range(PROOFS)]
    root = log.root(leaves)
    roots = {old: log.root(old) for old in places[:200]}
    took = in_turns(lambda at: log.prove(at, leaves), places)
    inclusion = f"inclusion proof among {leaves:,} leaves"
    yield from made(inclusion, [ms for ms, _ in took], target=target)
    olds = in_turns(lambda old: log.prove_consistency(old, leaves), roots)
    consistency = f"consistency proof to {leaves:,} leaves"
    yield from made(consistency, [ms for ms, _ in olds], target=target)
    leaf = {at: hashlib.sha256(at.to_bytes(8, "big")).digest() for at in places}
    start_s = time.perf_counter()
    for at, (_, path) in zip(places, took, strict=True):
        tree.check_inclusion(leaf[at], at, leaves, path, root)
    rate = PROOFS / (time.perf_counter() - start_s)
    hashes = max(len(path) for _, path in took)
    yield Figure(f"{inclusion}, checked", rate, "/s", None, f"up to {hashes} hashes each")
    start_s = time.perf_counter()
    for (old, old_root), (_, path) in zip(roots.items(), olds, strict=True):
        tree.check_consistency(old, leaves, path, old_root, root)
    rate = len(roots) / (time.perf_counter() - start_s)
    yield Figure(f"{consistency}, checked", rate, "/s")


def made(name: str, took_ms: list[float], *, target: bool) -> Iterator[Figure]:
    """Tell the middle one and the slowest but one in a hundred."""
    bound = Target("at most", 5.0) if target else None
    for percent, which in ((50, "the middle one"), (99, "the slowest but one in a hundred")):
        note = f"of {len(took_ms):,}, each the best of {TURNS}"
        yield Figure(f"{name}, made, {which}", percentile(took_ms, percent), "ms", bound, note)


def in_turns(
    make: Callable[[int], tuple[bytes, ...]], places: Iterable[int]
) -> list[tuple[float, tuple[bytes, ...]]]:
    """Return the best milliseconds of each place over turns through all of them, and its proof."""
    turns = [[timed(partial(make, at)) for at in places] for _ in range(TURNS)]
    return [min(each) for each in zip(*turns, strict=True)]


def timed(work: Callable[[], tuple[bytes, ...]]) -> tuple[float, tuple[bytes, ...]]:
    """Return milliseconds and what came of it."""
    start_s = time.perf_counter()
    found = work()
    return (time.perf_counter() - start_s) * 1000, found


def state_roots() -> Iterator[Figure]:
    """The state root anew, after some changes, and past the size at which it is bucketed."""
    for rows, target in ((STATE_ROWS, Target("at most", 60.0)), (STATE_ROWS_MANY, None)):
        state = StateTree()
        for number in range(rows):
            _put(state, number, 0)
        anew_ms = timed(lambda: (state.root(),))[0]  # noqa: B023
        changed = []
        for again in range(1, ROUNDS + 1):
            for number in range(CHANGED_ROWS):
                _put(state, number * (rows // CHANGED_ROWS), again)
            changed.append(timed(lambda: (state.root(),))[0])  # noqa: B023
        form = f"{statetree.BUCKETS} buckets" if state.is_bucketed else "one tree"
        name = f"state root of {rows:,} rows ({form})"
        yield Figure(
            f"{name} after {CHANGED_ROWS} changes",
            percentile(changed, 50),
            "ms",
            target,
            f"anew {anew_ms:.0f} ms",
        )


def _put(state: StateTree, number: int, value: int) -> None:
    key = b"account/member%06d" % number
    state.put(key, tree.leaf_hash(encode_row(key, value)))
