"""Round trips to a witness: how many heads a second it cosigns, each stored durably before.

A witness as a process on loopback; this process is the log. The tree is real, with a consistency
proof from a random step before to each new size; proofs and notes are made beforehand, so that the
clock sees only HTTP, judging, storing and signing. One connection is kept open, then eight at once
for eight logs; beside them stands what the disk alone can do, one synced write after the other.

    python -m bench witness
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.figure import Figure, percentile
from hub.cosigning.client import WitnessClient
from hub.ledger.proofs import hash_ranges
from hub.witness.home import found
from keys.file import FileSigner, generate
from messages.log.checkpoint import Checkpoint, sign_checkpoint
from messages.log.cosignature import open_cosignatures
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.submission import Submission
from messages.log.tree import Frontier, leaf_hash, prove_consistency

ROOT = Path(__file__).parent.parent
NAME = "bench.example/w1"
LOGS = 8
TREE = 50_000
STEP_MAX = 100
SEED = 1
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Log:
    """A log, and the submissions that it will make in order."""

    key: NoteKey
    submissions: Sequence[Submission]


class Nodes:
    """The hashes of complete subtrees of a log."""

    def __init__(self, leaves: int) -> None:
        self.at_hand: dict[tuple[int, int], bytes] = {}
        self.heads: dict[int, bytes] = {}
        edge = Frontier()
        for number in range(leaves):
            for level, index, value in edge.append(leaf_hash(b"%d" % number)):
                self.at_hand[level, index] = value
            self.heads[edge.size] = edge.root()

    def fetch(self, places: Iterator[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return the hash at each place."""
        return {place: self.at_hand[place] for place in places}


def run(*, quick: bool) -> Iterator[Figure]:
    """Build the logs, start a witness, and time it."""
    count = 200 if quick else 1_000
    nodes = Nodes(TREE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = [make_log(folder, number, nodes, count) for number in range(LOGS)]
        key = found(folder / "witness", NAME, [format_vkey(log.key) for log in logs])
        with Running(folder / "witness") as port:
            alone = time_log(port, logs[0], key)
            took_s = time_together(port, logs[1:], key)
        syncs = time_syncs(folder / "synced", count)
    yield Figure("witness, one log, round trips", count / sum(alone), "/s", note=f"{count} heads")
    yield Figure("witness, one log, slowest of a hundred", percentile(alone, 99) * 1000, "ms")
    together = (LOGS - 1) * count
    yield Figure(
        f"witness, {LOGS - 1} logs at once, round trips",
        together / took_s,
        "/s",
        note="client and server share two cores",
    )
    yield Figure("synced writes of the same disk, one after the other", syncs, "/s")


def make_log(folder: Path, number: int, nodes: Nodes, count: int) -> Log:
    """Return a log with `count` submissions over one growing tree."""
    signer: FileSigner = generate(folder / f"log{number}.pem")
    origin = f"bench.example/log{number}"
    chooser = random.Random(SEED + number)
    sizes = [0]
    while len(sizes) <= count:
        sizes.append(min(sizes[-1] + chooser.randint(1, min(STEP_MAX, TREE // count)), TREE))
    submissions = []
    for old, size in pairwise(sizes):
        asked: list[tuple[int, int]] = []
        prove_consistency(old, size, lambda start, stop, asked=asked: note(asked, start, stop))
        known = hash_ranges(asked, nodes)  # type: ignore[arg-type]
        proof = prove_consistency(old, size, lambda start, stop, known=known: known[start, stop])
        head = Checkpoint(origin, size, nodes.heads[size])
        submissions.append(Submission(old, tuple(proof), sign_checkpoint(head, signer)))
    return Log(NoteKey(origin, ED25519, signer.public), submissions)


def note(asked: list[tuple[int, int]], start: int, stop: int) -> bytes:
    """Note that a proof needs a range."""
    asked.append((start, stop))
    return b""


def time_log(port: int, log: Log, key: NoteKey) -> list[float]:
    """Return the seconds of each round trip, every cosignature verified afterwards."""
    client = WitnessClient(f"http://127.0.0.1:{port}", timeout_s=WAIT_S)
    times, answers = [], []
    for submission in log.submissions:
        start_s = time.perf_counter()
        reply = client.submit(submission)
        times.append(time.perf_counter() - start_s)
        answers.append(reply)
    client.close()
    for submission, reply in zip(log.submissions, answers, strict=True):
        if reply.status != 200 or not open_cosignatures(submission.checkpoint + reply.body, (key,)):
            raise SystemExit(f"the witness answered {reply.status} {reply.body}")
    return times


def time_together(port: int, logs: Sequence[Log], key: NoteKey) -> float:
    """Return the seconds until every log has all its cosignatures, each on its own connection."""
    threads = [threading.Thread(target=time_log, args=(port, log, key)) for log in logs]
    start_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start_s


def time_syncs(path: Path, count: int) -> float:
    """Return how many small writes a second the disk takes, each synced."""
    with path.open("wb") as file:
        start_s = time.perf_counter()
        for _ in range(count):
            os.pwrite(file.fileno(), bytes(4_096), 0)
            os.fdatasync(file.fileno())
        return count / (time.perf_counter() - start_s)


class Running:
    """A witness's process; entering returns its port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = int(taken.getsockname()[1])
        command = [sys.executable, "-m", "hub.cli", "witness", "--dir", str(folder)]
        command += ["--listen", f"127.0.0.1:{self._port}"]
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def __enter__(self) -> int:
        deadline_s = time.monotonic() + WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline_s or self._process.poll() is not None:
                    raise SystemExit("the witness did not start") from None
                time.sleep(0.05)
            else:
                return self._port

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
