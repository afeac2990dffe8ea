"""The hub as a process on a real broker, and a node that signs by itself: nothing lost, ever."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from hub.arrivals import Arrival
from hub.config import load_config
from hub.ledger.store import Store
from hub.starting import read_trust
from messages import cose, topics
from messages.entries import content_type, network_aad, parse_as, sign_entry
from messages.log.checkpoint import open_checkpoint
from messages.log.note import parse_vkey
from messages.log.tree import check_many, leaf_hash
from messages.receipt import Receipt, Refusal
from messages.status import Beacon, Hello
from messages.trust import Trust
from tests.support.brokers import KINDS, RunningBroker, running_broker
from tests.support.hub_bench import MICROGRID, NODE, START_MS, Bench

DEADLINE_S = 20.0
ROOT = Path(__file__).parents[3]


class Node:
    """A scripted node: it publishes what the bench signed and keeps what the hub answers."""

    def __init__(self, broker: RunningBroker, trust: Trust) -> None:
        self.trust = trust
        self.changed = threading.Condition()
        self.received: list[Any] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=NODE)
        self.client.username_pw_set(NODE, broker.password_file(NODE).read_text().strip())
        self.client.reconnect_delay_set(1, 1)
        self.client.on_message = self._keep
        self.client.on_connect = self._subscribe
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _subscribe(self, *_arguments: object) -> None:
        self.client.subscribe(topics.all_down(MICROGRID, NODE), qos=1)

    def _keep(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        envelope = cose.parse(bytes(message.payload))
        cose.verify(envelope, self.trust.hub_key, network_aad(self.trust.network_id))
        for kind in (Receipt, Refusal, Beacon):
            if envelope.content_type == content_type(kind.KIND):
                with self.changed:
                    self.received.append(parse_as(kind, envelope))
                    self.changed.notify_all()

    def publish(self, *arrivals: Arrival) -> None:
        for arrival in arrivals:
            topic = topics.up(MICROGRID, arrival.node, arrival.channel)
            self.client.publish(topic, arrival.raw, qos=1)

    def wait(self, what: Callable[[], Any], seconds: float = DEADLINE_S) -> Any:
        """Wait until `what` says something of all that was received."""
        with self.changed:
            assert self.changed.wait_for(lambda: what() is not None, seconds), self.received
            return what()

    def final_up_to(self, kid: bytes, stream: str = "register") -> int:
        """What is proven of a stream, by receipts whose proofs hold."""
        lines = [
            line
            for receipt in self.received
            if isinstance(receipt, Receipt)
            for line in receipt.streams
        ]
        return max((x.final_up_to for x in lines if (x.kid, x.stream) == (kid, stream)), default=0)

    def send_until_final(self, arrivals: list[Arrival], kid: bytes) -> None:
        """Send as an edge does: again and again, until all of it is proven."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self.final_up_to(kid) < len(arrivals):
            assert time.monotonic() < deadline_s, self.received
            self.publish(*arrivals[self.final_up_to(kid) :])
            with self.changed:
                self.changed.wait_for(lambda: self.final_up_to(kid) >= len(arrivals), 1.0)


class Hub:
    """The hub's process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = (folder / "hub.log").open("ab")
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hub.cli", "run", "-c", str(self.folder / "hub.toml")]
        return subprocess.Popen(command, cwd=ROOT, stderr=self.log, stdout=self.log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def restart(self) -> None:
        self.process = self._start()

    def log_text(self) -> str:
        return (self.folder / "hub.log").read_text()

    def wait_health(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            path = self.folder / "health.json"
            health = json.loads(path.read_text()) if path.exists() else {}
            if health.get("pid") == self.process.pid and what(health):
                assert isinstance(health, dict)
                return health
            assert self.process.poll() is None, self.log_text()
            assert time.monotonic() < deadline_s, (health, self.log_text())
            time.sleep(0.05)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "hub.cli", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


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


def test_nothing_is_lost_or_doubled_when_the_hub_is_killed(
    bench: Bench, hub: Hub, node: Node
) -> None:
    kid = bench.meters["pv"].public.kid
    sent = registers(bench, 60)
    for start in range(0, 60, 20):
        node.publish(*sent[start : start + 20])
        hub.kill()
        hub.restart()
    node.send_until_final(sent, kid)
    assert ledger_of(bench) == [arrival.raw for arrival in sent]
    assert command("verify", "-c", str(bench.folder / "hub.toml")).returncode == 0
    assert command("audit", "-c", str(bench.folder / "hub.toml")).returncode == 0


def test_nothing_is_lost_when_the_broker_is_killed(
    bench: Bench, hub: Hub, node: Node, broker: RunningBroker
) -> None:
    kid = bench.meters["pv"].public.kid
    sent = registers(bench, 40)
    node.publish(*sent[:20])
    broker.kill()
    hub.wait_health(lambda health: not health["broker_connected"])
    broker.restart()
    node.send_until_final(sent, kid)
    assert ledger_of(bench) == [arrival.raw for arrival in sent]
    assert hub.process.poll() is None


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
