"""A ledger's writer is killed at random moments; whatever it handed out is there afterwards."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from hub.ledger.newest import NewestFile
from hub.ledger.store import Store
from messages.log.tree import root as root_of

WRITER = Path(__file__).parents[1] / "support" / "ledger_writer.py"
SEED = 20261121


def run_and_kill(database: Path, after_s: float) -> list[tuple[int, str, int]]:
    """Run the writer for a moment, kill it, and return the lines it got out whole."""
    writer = subprocess.Popen(
        [sys.executable, str(WRITER), str(database)], stdout=subprocess.PIPE, text=True
    )
    first = writer.stdout.readline() if writer.stdout else ""
    try:
        writer.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        writer.kill()
    rest, _ = writer.communicate()
    lines = [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]
    assert lines, f"the writer ended by itself: {writer.returncode}"
    parts = [line.split() for line in lines]
    return [(int(size), root, int(packed)) for size, root, packed in parts]


def kill_repeatedly(database: Path, kills: int) -> int:
    chooser = random.Random(SEED)
    promised = 0
    for _ in range(kills):
        told = run_and_kill(database, chooser.uniform(0.0, 0.15))
        promised += len(told)
        with Store.open(f"sqlite:///{database}", ballast_bytes=4096) as store:
            leaves = [entry.leaf_hash for entry in store.entries()]
            assert store.root() == root_of(leaves)
            for size, root, packed in told[-50:]:
                assert store.root(size).hex() == root
                assert store.head(b"p" * 8, "telemetry") >= packed
            kept = {note.size for note in store.checkpoints()}
            assert {size for size, _, _ in told} <= kept
            newest = NewestFile(Path(f"{database}.newest")).read()
            assert newest is not None
            assert told[-1][0] <= newest.size <= store.size
    return promised


def test_killed_writers_keep_what_they_handed_out(tmp_path: Path) -> None:
    promised = kill_repeatedly(tmp_path / "ledger.db", 12)
    print(f"12 kills, seed {SEED}, {promised} checkpoints handed out, none lost")
    assert promised > 50


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_killed_many_times(tmp_path: Path) -> None:
    promised = kill_repeatedly(tmp_path / "ledger.db", 200)
    print(f"200 kills, seed {SEED}, {promised} checkpoints handed out, none lost")
    assert promised > 1_000
