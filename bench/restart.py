"""How long a hub with a long ledger takes from its start until it serves.

Builds a ledger whose bulk is unsigned filler (a start verifies no signatures; `verify` does) and
whose end is real: meters enrolled, registers signed, slots closed, headers, snapshots. Then starts
`gridtally-hub run` as a process, kills it, and starts it again, RUNS times.

    python -m bench restart
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, Target, percentile
from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.commands.enrolling import Nobody, found_installation, sign_as_administrator
from hub.commands.founding import Plan
from hub.config import load_config
from hub.desk import Desk
from hub.inbox import Inbox
from hub.ledger.records import NewEntry
from hub.link.post import Post
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.spine import Spine
from hub.starting import Opened, open_hub
from keys.file import FileSigner, generate
from messages.entries import KeyEntry
from messages.log.tree import leaf_hash
from messages.reading import Reading, sign_reading

ROOT = Path(__file__).parent.parent
MICROGRID = "bench"
NODE = "dep1"
SLOT_MS = 900_000
START_MS = 1_750_000_500_000
BATCH = 5_000
READING_BYTES = 175
REAL_SLOTS = 20
METERS = 500
RUNS = 5
WAIT_S = 60.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Build a ledger, restart its hub, and say how long that took."""
    entries = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, entries, METERS)
        opens, replayed = time_opening(folder)
        processes = [time_process(folder) for _ in range(RUNS)]
    name = f"restart of a hub with {entries:,} entries"
    yield Figure(
        f"{name}, process start to serving",
        max(processes),
        "s",
        None if quick else Target("at most", 3.0),
        f"worst of {RUNS}; {METERS} meters, {replayed:,} entries replayed",
    )
    yield Figure(f"{name}, ledger and state open", percentile(opens, 50), "s")


def build(folder: Path, entries: int, meters: int) -> None:
    """Make the ledger; says on standard error how far it is."""
    policy = read_policy(EXAMPLE, "example", 0, CONTRACTS, POLICIES)
    plan = Plan(MICROGRID, SLOT_MS, 30_000, "open", simulation=False, policy=policy)
    found_installation(folder, plan, START_MS)
    opened = open_hub(load_config(folder / "hub.toml"))
    spine = Spine(opened.recorder, opened.pen, Post(Nobody(), opened.pen, MICROGRID), opened.rules)
    signers = enrol(folder, opened, spine, meters)
    store = opened.recorder.store
    real = (REAL_SLOTS + 1) * meters + REAL_SLOTS * 2
    for filler in fillers(entries - store.size - real):
        store.append(filler)
        print(f"\r{store.size} entries", end="", file=sys.stderr)
    closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 600_000))
    for slot in range(REAL_SLOTS + 1):
        at_ms = START_MS + slot * SLOT_MS
        spine.record([entry_of(signer, meter, slot, at_ms) for meter, signer in signers.items()])
        if slot:
            closer.close(at_ms - SLOT_MS, COMPLETE, at_ms)
    spine.sign_checkpoint()
    print(f"\r{store.size} entries", file=sys.stderr)
    opened.close()


def enrol(folder: Path, opened: Opened, spine: Spine, meters: int) -> dict[str, FileSigner]:
    """Enrol one node and its meters; return the meters' signers."""
    node = generate(folder / "node.pem")
    signers = {f"m{n}": generate(folder / "meters" / f"{n}.pem") for n in range(meters)}
    entries = [KeyEntry("enrol", "node", NODE, node.public.cose_key, member="alice")]
    entries += [
        KeyEntry(
            "enrol",
            "meter",
            meter,
            signer.public.cose_key,
            node=NODE,
            member=f"member{n // 2}",
            purpose="generation" if n % 2 else "consumption",
            model="sdm120",
            rated_mw=5_000_000,
        )
        for n, (meter, signer) in enumerate(signers.items())
    ]
    desk = Desk(Inbox(folder), spine, CONTRACTS, POLICIES)
    for raw in sign_as_administrator(opened.config, entries):
        reason = desk.append(raw)
        if reason:
            raise SystemExit(reason)
    return signers


def fillers(count: int) -> Iterator[list[NewEntry]]:
    """Yield batches of entries of a reading's size that no key signed."""
    for start in range(0, count, BATCH):
        batch = []
        for number in range(start, min(start + BATCH, count)):
            raw = number.to_bytes(8, "big") + os.urandom(READING_BYTES - 8)
            kid = (number % 1_000).to_bytes(8, "big")
            batch.append(
                NewEntry(raw, leaf_hash(raw), kid, "reading", "register", number // 1_000 + 1)
            )
        yield batch


def entry_of(signer: FileSigner, meter: str, slot: int, at_ms: int) -> NewEntry:
    """Return a signed register reading."""
    total = slot * 1_000_000
    reading = Reading(MICROGRID, meter, slot + 1, at_ms, total, total)
    raw = sign_reading(signer, reading)
    return NewEntry(raw, leaf_hash(raw), signer.public.kid, "reading", "register", slot + 1)


def time_opening(folder: Path) -> tuple[list[float], int]:
    """Return the seconds that opening ledger and state takes, and how much is replayed."""
    config = load_config(folder / "hub.toml")
    opens = []
    for _ in range(RUNS):
        start_s = time.monotonic()
        opened = open_hub(config)
        opens.append(time.monotonic() - start_s)
        replayed = opened.recorder.store.size - opened.recorder.replayed_from
        opened.close()
    return opens, replayed


def time_process(folder: Path) -> float:
    """Return the seconds from the start of a process until its health file is there."""
    command = [sys.executable, "-m", "hub.cli", "run", "-c", str(folder / "hub.toml")]
    start_s = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not _serves(folder, process.pid):
            if time.monotonic() - start_s > WAIT_S or process.poll() is not None:
                raise SystemExit("the hub did not start")
            time.sleep(0.005)
        took_s = time.monotonic() - start_s
        process.send_signal(signal.SIGKILL)
    return took_s


def _serves(folder: Path, pid: int) -> bool:
    try:
        return bool(json.loads((folder / "health.json").read_text())["pid"] == pid)
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    for figure in run(quick="--quick" in sys.argv):
        print(figure.line)
