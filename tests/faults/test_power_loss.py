"""The power goes: what the disk may hold then still keeps every promise that was sent before.

A recorder under the real code keeps each write, sync, send and receive. From that record states are
rebuilt in which everything synced is there and of the rest any sectors may have arrived. Each is
opened as hub or edge would open it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.clock import Pace
from tests.faults.promises import LedgerPromises, OutboxPromises
from tests.faults.recording import (
    build_shim,
    fast_folder,
    recorded_environment,
    records_of,
    run_recorded,
)
from tests.faults.whole import installation, running, scenario
from tests.support.crash_states import Record, below, crash_states, read_records, write_folder

SEED = 20_261_121
DRIVER = "tests.faults.drivers.hub_and_edge"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


def cut(
    records: list[Record],
    before: dict[str, bytes],
    check: Callable[[int, Path], None],
    states: int,
    seed: int,
) -> None:
    """Cut the power at `states` places of a record, and check each folder that is left."""
    with fast_folder() as scratch:
        for played, state in crash_states(records, states, seed, before):
            folder = scratch / "cut"
            folder.mkdir()
            write_folder(folder, state)
            check(played, folder)
            shutil.rmtree(folder)


def try_ledger(
    records: list[Record], whole: Path, states: int, seed: int, before: dict[str, bytes]
) -> LedgerPromises:
    """Cut the hub's power and say what came of it. `whole`: the ledger it ended with."""
    promises = LedgerPromises(records, whole)
    cut(
        records,
        before,
        lambda played, folder: promises.check(played, folder / "ledger.db"),
        states,
        seed,
    )
    print(
        f"seed {seed}: {promises.checked} states of a ledger of {min(promises.sizes)} to "
        f"{max(promises.sizes)} entries, {len(promises.receipts)} receipts sent, "
        f"{promises.refused} states before anything was founded; 0 promises broken"
    )
    return promises


def try_outbox(
    records: list[Record], counterless: frozenset[str], states: int, seed: int
) -> OutboxPromises:
    """Cut an edge's power and say what came of it."""
    promises = OutboxPromises(records, counterless)
    cut(records, {}, promises.check, states, seed)
    print(
        f"seed {seed}: {promises.checked} states of an outbox, {promises.messages} messages sent, "
        f"{promises.receipts} receipts received, {promises.refused} states before anything was "
        "sent; 0 promises broken"
    )
    return promises


# --- spine and posting in one process: restarts, lost messages, a log that is moved often --------


def try_spine_and_posting(shim: Path, rounds: int, states: int, seed: int) -> None:
    with fast_folder() as folder:
        disk = run_recorded(shim, folder, DRIVER, "DISK", str(seed), str(rounds))
        (records,) = records_of(folder)
        ledger = try_ledger(
            below(records, "hub/"), disk / "hub" / "ledger.db", states // 2, seed, {}
        )
        outbox = try_outbox(below(records, "edge/"), frozenset({"m1"}), states // 2, seed)
    assert len(ledger.receipts) > rounds // 4
    assert outbox.messages > rounds // 2
    assert outbox.receipts > rounds // 4


def test_spine_and_posting_keep_their_promises(shim: Path) -> None:
    try_spine_and_posting(shim, 600, 500, SEED)


# --- hub and edges as they are started in an installation ----------------------------------------


def try_whole(shim: Path, slots: int, states: int, seed: int) -> None:
    """Play some slots with recorded hub and edges; half of the states are the hub's."""
    wanted_w = tuple((60, 40, 20)[n % 3] for n in range(slots))
    made_w = tuple((20, 50, 70, 10)[n % 4] for n in range(slots))
    with fast_folder() as folder:
        made = installation(folder / "bench", scenario(2, made_w, wanted_w, slots=slots))
        before = {name: (made.folder / name).read_bytes() for name in ("ledger.db",)}
        environment = recorded_environment(shim, made.folder, folder / "log")
        with running(made, "embedded", environment) as stage:
            stage.play(Pace(None), lambda at_ms: None).run()
            children = stage.supervisor.children
            logs = {name: folder / f"log.{each.process.pid}" for name, each in children.items()}
        records = read_records(logs["hub"])
        ledger = try_ledger(records, made.folder / "ledger.db", states // 2, seed, before)
        nodes = made.layout.nodes
        for node in nodes:
            records = below(read_records(logs[f"edge-{node.node}"]), f"state-{node.node}/")
            counterless = frozenset(meter.meter_id for meter in node.meters)
            share = states // 2 // len(nodes) + 1
            outbox = try_outbox(records, counterless, share, seed)
            assert outbox.messages > 2 * slots
            assert outbox.receipts > slots
    assert len(ledger.receipts) > 3 * slots
    assert ledger.refused == 0


def test_hub_and_edges_keep_their_promises(shim: Path) -> None:
    try_whole(shim, 8, 500, SEED)


# --- the long version ----------------------------------------------------------------------------


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1, 6))
def test_spine_and_posting_through_many_cuts(shim: Path, seed: int) -> None:
    try_spine_and_posting(shim, 3_000, 2_000, seed)


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_hub_and_edges_through_many_cuts(shim: Path) -> None:
    try_whole(shim, 40, 2_000, SEED + 1)
