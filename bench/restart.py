"""How long a hub with a long ledger takes from its start until it serves.

Builds a ledger whose bulk is unsigned filler (a start verifies no signatures; `verify` does) and
whose end is real: meters enrolled, registers signed, slots closed, headers, snapshots. Then starts
`gridtally-hub run` as a process, kills it, and starts it again, RUNS times.

    python bench/restart.py [--entries N] [--meters N] [--runs N] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from hub.balancing.catalog import POLICIES
from hub.closing import COMPLETE, Closer, CloseRule
from hub.config import load_config
from hub.desk import Desk
from hub.enrolling import Nobody, found_installation, sign_as_administrator
from hub.founding import Plan
from hub.inbox import Inbox
from hub.ledger.records import NewEntry
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.post import Post
from hub.spine import Spine
from hub.starting import Opened, open_hub
from keys.file import FileSigner, generate
from messages.entries import KeyEntry
from messages.log.tree import leaf_hash
from messages.reading import Reading, sign_reading

MICROGRID = "bench"
NODE = "dep1"
SLOT_MS = 900_000
START_MS = 1_750_000_500_000
BATCH = 5_000
READING_BYTES = 175
REAL_SLOTS = 20
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured; times are medians over all runs. [s]"""

    entries: int
    meters: int
    replayed: int
    process_s: float
    open_s: float
    worst_process_s: float


def main(arguments: list[str]) -> int:
    """Build, restart, print."""
    parser = argparse.ArgumentParser(prog="python bench/restart.py", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--meters", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        build(folder, given.entries, given.meters)
        result = measure(folder, given.meters, given.runs)
    if given.json:
        print(json.dumps(asdict(result)))
    else:
        print(f"entries {result.entries}, meters {result.meters}, replayed {result.replayed}")
        print(f"ledger and state open: {result.open_s:.2f} s")
        print(
            f"process start to serving: {result.process_s:.2f} s, worst {result.worst_process_s:.2f} s"
        )
    return 0


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


def measure(folder: Path, meters: int, runs: int) -> Result:
    """Start the hub's process and kill it, several times."""
    config = load_config(folder / "hub.toml")
    opens = []
    for _ in range(runs):
        start_s = time.monotonic()
        opened = open_hub(config)
        opens.append(time.monotonic() - start_s)
        size = opened.recorder.store.size
        replayed = size - opened.recorder.replayed_from
        opened.close()
    processes = sorted(time_process(folder) for _ in range(runs))
    return Result(
        entries=size,
        meters=meters,
        replayed=replayed,
        process_s=processes[len(processes) // 2],
        open_s=sorted(opens)[len(opens) // 2],
        worst_process_s=processes[-1],
    )


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
    raise SystemExit(main(sys.argv[1:]))
