"""A hub, three witnesses and a node as processes over loopback TCP: who dies, what may be deleted.

The node's part is the edge's own outbox and posting; the quorum is two of three.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.posting import Posting
from edge.receipts import LogTrust, log_trust
from hub.starting import read_trust
from messages import topics
from messages.entries import sign_entry
from messages.evidence import check_heads, parse_evidence
from messages.log.note import parse_vkey
from messages.reading import Reading, sign_reading
from messages.status import Hello
from tests.support.brokers import RunningBroker
from tests.support.hub_bench import MICROGRID, NODE, SLOT_MS, START_MS, Bench
from tests.support.hub_process import Hub, command
from tests.support.witness_process import WitnessProcess, witness_process

WITHIN_S = 30.0
ROWS_MAX = 10_000


class EdgeNode:
    """A node's outbox on the broker: sends, and deletes what receipts prove."""

    def __init__(self, broker: RunningBroker, bench: Bench, folder: Path) -> None:
        folder.mkdir()
        self.bench = bench
        self.outbox = Outbox(folder, ROWS_MAX)
        trust = log_trust(read_trust(bench.folder / "trust.toml"))
        self.posting = Posting(self.outbox, trust, NODE, self._publish)
        self.count = 0
        self.received: list[bytes] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=NODE)
        self.client.username_pw_set(NODE, broker.password_file(NODE).read_text().strip())
        self.client.on_connect = lambda *_: self.client.subscribe(
            topics.all_down(MICROGRID, NODE), qos=1
        )
        self.client.on_message = self._keep
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def restart(self, trust: LogTrust) -> None:
        """Begin anew with another trust.toml, as an agent does."""
        self.posting = Posting(self.outbox, trust, NODE, self._publish)

    def hello(self) -> Hello:
        """Return what an agent says of itself when it connects."""
        heads = self.posting.stream_heads()
        return Hello(NODE, bytes(16), self.posting.checkpoint, heads, 0, "test")

    def say_hello(self, hello: Hello) -> None:
        network_id = read_trust(self.bench.folder / "trust.toml").network_id
        self._publish("hello", sign_entry(self.bench.node, hello, network_id))

    def _keep(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        if topics.parse(message.topic).leaf == "receipt":
            self.received.append(bytes(message.payload))

    def _publish(self, leaf: str, raw: bytes) -> bool:
        self.client.publish(topics.up(MICROGRID, NODE, leaf), raw, qos=1)
        return True

    def measure(self) -> None:
        """Make one reading durable; it waits to be proven."""
        self.count += 1
        signer, number = self.bench.meters["pv"], self.count
        at_ms = START_MS - 1_000 * SLOT_MS + number * SLOT_MS

        def signed(sequence: int) -> bytes:
            reading = Reading(MICROGRID, "pv", sequence, at_ms, 0, number)
            return sign_reading(signer, reading)

        draft = Draft(signer.public.kid, "register", signed)
        assert self.posting.store(Batch((draft,)))

    def turn(self) -> None:
        self.posting.send(int(time.monotonic() * 1000))
        while self.received:
            self.posting.take(self.received.pop(0))

    def turn_until(self, done: Callable[[], bool], seconds: float = WITHIN_S) -> bool:
        deadline_s = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline_s:
            self.turn()
            time.sleep(0.05)
        return done()

    @property
    def stored(self) -> int:
        return self.outbox.head(self.bench.meters["pv"].public.kid, "register").stored_up_to

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.outbox.close()


@pytest.fixture
def witnesses(tmp_path: Path, bench: Bench) -> Iterator[list[WitnessProcess]]:
    vkey = read_trust(bench.folder / "trust.toml").log_vkey
    made = [f"witness.example/w{n}" for n in range(3)]
    with (
        witness_process(tmp_path / "w0", made[0], (vkey,)) as w0,
        witness_process(tmp_path / "w1", made[1], (vkey,)) as w1,
        witness_process(tmp_path / "w2", made[2], (vkey,)) as w2,
    ):
        running = [w0, w1, w2]
        lines = [witness.policy_line for witness in running]
        names = " ".join(line.split()[1] for line in lines)
        policy = bench.folder / "quorum.policy"
        policy.write_text("\n".join([*lines, f"group g 2 {names}", "quorum g", ""]))
        done = command("quorum", str(policy), "-c", str(bench.folder / "hub.toml"))
        assert done.returncode == 0, done.stderr
        yield running


@pytest.fixture
def hub(bench: Bench, witnesses: list[WitnessProcess]) -> Iterator[Hub]:
    made = Hub(bench.folder)
    made.wait_health(lambda health: bool(health["broker_connected"]))
    yield made
    if made.process.poll() is None:
        made.kill()
    made.log.close()


@pytest.fixture
def node(bench: Bench, broker: RunningBroker, hub: Hub, tmp_path: Path) -> Iterator[EdgeNode]:
    made = EdgeNode(broker, bench, tmp_path / "edge")
    yield made
    made.close()


def test_a_node_deletes_only_what_a_quorum_cosigned(
    hub: Hub, node: EdgeNode, witnesses: list[WitnessProcess]
) -> None:
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()

    witnesses[0].kill()  # two are left: still a quorum
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    hub.wait_health(lambda health: bool(health["witnesses"][0]["reason"]))

    witnesses[1].kill()  # one is left: stored, and kept
    node.measure()
    assert node.turn_until(lambda: node.stored == 3), hub.log_text()
    assert not node.turn_until(lambda: node.outbox.rows == 0, 2.0)
    health = hub.wait_health(lambda health: health["witnesses"][2]["size"] == health["tree_size"])
    assert health["final_size"] == health["tree_size"] - 1
    assert health["accepting"]

    witnesses[1].start()  # late, but back
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    assert node.posting.alarm == ""
    health = hub.wait_health(lambda health: health["final_size"] == health["tree_size"])
    assert not any("final" in alarm for alarm in health["alarms"])


def test_nothing_final_is_lost_when_hub_and_witnesses_are_killed_in_turns(
    hub: Hub, node: EdgeNode, witnesses: list[WitnessProcess], bench: Bench
) -> None:
    for victim in range(3):
        node.measure()
        witnesses[victim].kill()
        hub.kill()
        node.measure()
        hub.restart()
        witnesses[victim].start()
        assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    assert node.posting.alarm == ""
    config = str(bench.folder / "hub.toml")
    verified = command("verify", "-c", config)
    assert verified.returncode == 0, verified.stdout
    assert "a quorum of witnesses cosigned" in verified.stdout


def test_a_restored_backup_is_refused_and_a_forked_one_convicted(
    hub: Hub, node: EdgeNode, witnesses: list[WitnessProcess], bench: Bench
) -> None:
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    assert hub.stop() == 0
    backup(bench.folder / "ledger.db", bench.folder / "old.db")
    hub.restart()
    node.measure()
    assert node.turn_until(lambda: node.outbox.rows == 0), hub.log_text()
    hub.stop()
    restore(bench)
    ended = command("run", "-c", str(bench.folder / "hub.toml"))
    assert ended.returncode == 65
    assert "shows a checkpoint over" in ended.stderr
    assert "Put the newest copy back" in ended.stderr
    assert "Traceback" not in ended.stderr

    opened = bench.open()  # an owner who signs on with it all the same
    spine = bench.spine(opened)
    bench.sequences[bench.meters["pv"].public.kid, "register"] = 1
    for number in range(2):
        spine.take_in([bench.reading("pv", START_MS + number * SLOT_MS, 9_000 + number)], 0, 2**50)
    spine.sign_checkpoint()
    opened.close()
    ended = command("run", "-c", str(bench.folder / "hub.toml"))
    assert ended.returncode == 65
    assert "two histories exist under one key" in ended.stderr
    (file, *_) = sorted((bench.folder / "evidence").glob("heads-*.json"))
    vkey = read_trust(bench.folder / "trust.toml").log_vkey
    check_heads(parse_evidence(file.read_text()), parse_vkey(vkey))  # type: ignore[arg-type]
    assert json.loads(file.read_text())["kind"] == "heads"


def backup(source: Path, target: Path) -> None:
    """Copy a ledger as a backup tool should: through SQLite."""
    one, other = sqlite3.connect(source), sqlite3.connect(target)
    with other:
        one.backup(other)
    one.close()
    other.close()


def restore(bench: Bench) -> None:
    """Put the backup back, without the file beside the ledger that would tell."""
    for name in ("ledger.db-wal", "ledger.db-shm", "ledger.db.newest"):
        (bench.folder / name).unlink(missing_ok=True)
    shutil.move(bench.folder / "old.db", bench.folder / "ledger.db")
