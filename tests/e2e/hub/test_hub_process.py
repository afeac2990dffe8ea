"""The hub as a process on a real broker, and a node that signs by itself: nothing lost, ever."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.config import load_config
from hub.ledger.store import Store
from hub.link.arrivals import Arrival
from hub.starting import read_trust
from messages.entries import sign_entry
from messages.log.checkpoint import open_checkpoint
from messages.log.note import parse_vkey
from messages.log.tree import check_many, leaf_hash
from messages.receipt import Receipt
from messages.status import Beacon, Hello
from tests.support.brokers import KINDS, RunningBroker, running_broker
from tests.support.hub_bench import MICROGRID, NODE, START_MS, Bench
from tests.support.hub_process import Hub, Node, command


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(request.param, tmp_path / "broker", MICROGRID, (NODE,)) as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, broker: RunningBroker) -> Bench:
    made = Bench(tmp_path / "hub")
    toml = made.folder / "hub.toml"
    text = toml.read_text().replace("port = 1883", f"port = {broker.port}")
    toml.write_text(text)
    shutil.copy(broker.password_file("hub"), made.folder / "hub.password")
    opened = made.open()
    assert made.enrol(made.spine(opened)) == ["", "", "", ""]
    opened.close()
    return made


@pytest.fixture
def hub(bench: Bench) -> Iterator[Hub]:
    made = Hub(bench.folder)
    made.wait_health(lambda health: bool(health["broker_connected"]))
    yield made
    if made.process.poll() is None:
        made.kill()
    made.log.close()


@pytest.fixture
def node(bench: Bench, broker: RunningBroker) -> Iterator[Node]:
    made = Node(broker, read_trust(bench.folder / "trust.toml"))
    yield made
    made.close()


def registers(bench: Bench, count: int, first: int = 0) -> list[Arrival]:
    return [
        bench.reading("pv", START_MS - (100 - first - n) * 60_000, (first + n) * 10)
        for n in range(count)
    ]


def ledger_of(bench: Bench, kind: str = "register") -> list[bytes]:
    with Store.open(load_config(bench.folder / "hub.toml").database, read_only=True) as store:
        return [entry.raw for entry in store.entries() if entry.stream == kind]


def test_readings_go_in_and_a_proof_comes_out(bench: Bench, hub: Hub, node: Node) -> None:
    kid = bench.meters["pv"].public.kid
    sent = registers(bench, 5)
    node.publish(*sent)
    node.wait(lambda: True if node.final_up_to(kid) >= 5 else None)
    receipt = next(r for r in reversed(node.received) if isinstance(r, Receipt))
    head = open_checkpoint(receipt.checkpoint, parse_vkey(node.trust.log_vkey))
    (line,) = [line for line in receipt.streams if line.indices]
    raws = sent[line.from_sequence - 1 :]
    wanted = {
        index: leaf_hash(arrival.raw) for index, arrival in zip(line.indices, raws, strict=True)
    }
    check_many(wanted, head.size, receipt.hashes, head.root)
    assert node.wait(lambda: next((b for b in node.received if isinstance(b, Beacon)), None))


def test_replays_and_duplicates_change_nothing(bench: Bench, hub: Hub, node: Node) -> None:
    kid = bench.meters["pv"].public.kid
    sent = registers(bench, 10)
    node.publish(*sent, *reversed(sent), *sent)
    node.wait(lambda: True if node.final_up_to(kid) >= 10 else None)
    node.publish(*sent)
    more = registers(bench, 1, first=10)
    node.publish(*more)
    node.wait(lambda: True if node.final_up_to(kid) >= 11 else None)
    assert ledger_of(bench) == [arrival.raw for arrival in (*sent, *more)]


def test_sigterm_ends_it_with_a_checkpoint_over_everything(
    bench: Bench, hub: Hub, node: Node
) -> None:
    kid = bench.meters["pv"].public.kid
    node.send_until_final(registers(bench, 3), kid)
    assert hub.stop() == 0
    with Store.open(load_config(bench.folder / "hub.toml").database, read_only=True) as store:
        newest = store.newest_checkpoint()
        assert newest is not None
        assert newest.size == store.size


def test_a_second_hub_is_told_who_has_the_ledger(bench: Bench, hub: Hub) -> None:
    ended = command("run", "-c", str(bench.folder / "hub.toml"))
    assert ended.returncode == 69
    assert f"process {hub.process.pid}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_enrolment_reaches_a_running_hub(bench: Bench, hub: Hub, node: Node) -> None:
    from tests.support.signers import ed25519

    key = ed25519("new").public
    body = {
        "format": "gridtally-enrol-1",
        "microgrid": MICROGRID,
        "node": "dep9",
        "member": "bob",
        "node_key": key.cose_key.hex(),
        "meters": [],
        "relays": [],
    }
    file = bench.folder / "enrol-dep9.json"
    file.write_text(json.dumps(body))
    config = str(bench.folder / "hub.toml")
    ended = command("enrol", str(file), "--yes", "-c", config)
    assert ended.returncode == 0, ended.stderr
    assert key.fingerprint in ended.stderr
    assert ended.stdout == "node dep9: enrolled\n"
    hub.wait_health(lambda health: "dep9" in [each["node"] for each in health["nodes"]])
    again = command("enrol", str(file), "--yes", "-c", config)
    assert again.returncode == 0, "the same entry, signed again, is there already"
    other = json.dumps({**body, "node_key": ed25519("other").public.cose_key.hex()})
    file.write_text(other)
    refused = command("enrol", str(file), "--yes", "-c", config)
    assert refused.returncode == 65
    assert "node dep9 has a key" in refused.stdout


def copy_ledger(bench: Bench, name: str) -> None:
    """Copy the ledger as a backup tool should: through SQLite."""
    source = sqlite3.connect(bench.folder / "ledger.db")
    target = sqlite3.connect(bench.folder / name)
    with target:
        source.backup(target)
    source.close()
    target.close()


def restore(bench: Bench, name: str) -> None:
    for suffix in ("-wal", "-shm"):
        (bench.folder / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.move(bench.folder / name, bench.folder / "ledger.db")


def test_an_old_backup_is_refused_at_the_start(bench: Bench, hub: Hub, node: Node) -> None:
    copy_ledger(bench, "old.db")
    node.send_until_final(registers(bench, 3), bench.meters["pv"].public.kid)
    hub.stop()
    restore(bench, "old.db")
    ended = command("run", "-c", str(bench.folder / "hub.toml"))
    assert ended.returncode == 65
    assert "old copy" in ended.stderr
    assert "Put the newest copy back" in ended.stderr


def test_an_old_backup_is_found_by_a_node_s_receipt(bench: Bench, hub: Hub, node: Node) -> None:
    copy_ledger(bench, "old.db")
    node.send_until_final(registers(bench, 3), bench.meters["pv"].public.kid)
    receipt = next(r for r in reversed(node.received) if isinstance(r, Receipt))
    hub.stop()
    restore(bench, "old.db")
    (bench.folder / "ledger.db.newest").unlink()
    hub.restart()
    hub.wait_health(lambda health: bool(health["broker_connected"]) and health["accepting"])
    with Store.open(load_config(bench.folder / "hub.toml").database, read_only=True) as store:
        size = store.size
    hello = Hello(NODE, b"b" * 16, receipt.checkpoint, (), 0, "test")
    raw = sign_entry(bench.node, hello, node.trust.network_id)
    node.publish(Arrival(NODE, "hello", raw))
    health = hub.wait_health(lambda health: not health["accepting"])
    assert "node dep1 shows a checkpoint over" in health["alarms"][0]
    node.received.clear()
    node.publish(*registers(bench, 1, first=3))
    later_ms = health["written_ms"] + 2_000
    hub.wait_health(lambda health: health["written_ms"] > later_ms)
    assert not any(isinstance(message, Receipt) for message in node.received)
    with Store.open(load_config(bench.folder / "hub.toml").database, read_only=True) as store:
        assert store.size == size
