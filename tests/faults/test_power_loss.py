"""The power goes: what the disk may hold then still keeps every promise that was sent before.

A recorder under the real code keeps each write, sync, send and receive. From that record states are
rebuilt in which everything synced is there and of the rest any sectors may have arrived. Each is
opened as hub or edge would open it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.promises import LedgerPromises, OutboxPromises
from tests.faults.recording import build_shim, fast_folder, records_of, run_recorded
from tests.support.crash_states import Record, crash_states, write_folder

SEED = 20_261_121
DRIVER = "tests.faults.drivers.hub_and_edge"


@pytest.fixture(scope="module")
def fast() -> Iterator[Path]:
    with fast_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shim(fast: Path) -> Path:
    return build_shim(fast)


def below(records: list[Record], folder: str) -> list[Record]:
    """Return the record as seen by one folder: its files by their own names, and all sockets."""
    found = []
    for record in records:
        inside = record.path.removeprefix(folder)
        if inside == record.path and record.path:
            inside = "outside.lock"  # keeps its place in the record, touches no file
        found.append(Record(record.op, inside, record.second.removeprefix(folder), *rest(record)))
    return found


def rest(record: Record) -> tuple[int, bytes]:
    return record.offset, record.content


def try_ledger(promises: LedgerPromises, count: int, seed: int, scratch: Path) -> str:
    """Cut the power `count` times; return what came of it."""
    for played, state in crash_states(promises.records, count, seed):
        cut = scratch / "cut"
        cut.mkdir()
        write_folder(cut, state)
        promises.check(played, cut / "ledger.db")
        shutil.rmtree(cut)
    sizes = f"{min(promises.sizes)} to {max(promises.sizes)} entries"
    return (
        f"seed {seed}: {promises.checked} states of a ledger with {sizes}, "
        f"{len(promises.receipts)} receipts sent, {promises.refused} before anything was founded"
    )


def try_outbox(promises: OutboxPromises, count: int, seed: int, scratch: Path) -> str:
    """Cut the power `count` times; return what came of it."""
    for played, state in crash_states(promises.records, count, seed):
        cut = scratch / "cut"
        cut.mkdir()
        write_folder(cut, state)
        promises.check(played, cut)
        shutil.rmtree(cut)
    return (
        f"seed {seed}: {promises.checked} states of an outbox, {promises.messages} messages sent, "
        f"{promises.receipts} receipts received"
    )


def drive(shim: Path, fast: Path, seed: int, rounds: int) -> tuple[Path, list[Record]]:
    folder = fast / f"driver-{seed}-{rounds}"
    folder.mkdir()
    disk = run_recorded(shim, folder, DRIVER, "DISK", str(seed), str(rounds))
    (records,) = records_of(folder)
    return disk, records


def test_spine_and_posting_keep_their_promises(shim: Path, fast: Path) -> None:
    disk, records = drive(shim, fast, SEED, 600)
    ledger = LedgerPromises(below(records, "hub/"), disk / "hub" / "ledger.db")
    print(try_ledger(ledger, 250, SEED, fast))
    outbox = OutboxPromises(below(records, "edge/"), frozenset({"m1"}))
    print(try_outbox(outbox, 250, SEED, fast))
    assert len(ledger.receipts) > 100
    assert outbox.receipts > 100
