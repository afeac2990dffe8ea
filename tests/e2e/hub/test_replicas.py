"""A hub, its page and four replicas as processes over loopback TCP.

One replica dies and comes back, one is late, one lies; the quorum is three of four.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.commands.enrolling import sign_as_administrator
from hub.desk import Desk
from hub.inbox import Inbox
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.starting import read_trust
from tests.support.brokers import RunningBroker, running_broker
from tests.support.hub_bench import METERS, MICROGRID, NODE, SLOT_MS, START_MS, Bench
from tests.support.hub_process import Hub, Node
from tests.support.replica_process import Process, ReplicaProcess, web_process

MEMBERS = ("alice", "bob", "carol", "dave")
ROUND_MS = 2_000


class Street:
    """The microgrid under test: its hub and page, a node that says what is due, and replicas."""

    def __init__(self, folder: Path, broker: RunningBroker) -> None:
        self.bench = Bench(folder / "hub")
        self.toml = self.bench.folder / "hub.toml"
        self.toml.write_text(self.toml.read_text().replace("port = 1883", f"port = {broker.port}"))
        shutil.copy(broker.password_file("hub"), self.bench.folder / "hub.password")
        shutil.copy(broker.password_file("web"), self.bench.folder / "web.password")
        opened = self.bench.open()
        spine = self.bench.spine(opened)
        rules = EXAMPLE.replace("round_ms = 10_000", f"round_ms = {ROUND_MS}")
        policy = read_policy(rules, "test", SLOT_MS, CONTRACTS, POLICIES)
        desk = Desk(Inbox(self.bench.folder), spine, CONTRACTS, POLICIES)
        signed = sign_as_administrator(self.bench.config, [policy, *self.bench.key_entries()])
        assert [desk.append(raw) for raw in signed] == [""] * len(signed)
        opened.close()
        self.web: Process = web_process(self.bench.folder)
        self.broker = broker
        self.folder = folder
        self.slot = 0
        self.replicas: list[ReplicaProcess] = []

    @property
    def trust(self) -> Path:
        return self.bench.folder / "trust.toml"

    def add(self, name: str, *options: str, module: str = "") -> ReplicaProcess:
        made = ReplicaProcess(
            self.folder / name, name, self.trust, self.web.url, *options, module=module
        )
        self.replicas.append(made)
        return made

    def open(self) -> None:
        self.web.start()
        self.hub = Hub(self.bench.folder)
        self.hub.wait_health(lambda health: bool(health["broker_connected"]))
        self.node = Node(self.broker, read_trust(self.trust))

    def close(self) -> None:
        for process in (*self.replicas, self.web):
            process.kill()
        if hasattr(self, "hub"):
            self.hub.kill()
            self.hub.log.close()
        if hasattr(self, "node"):
            self.node.close()

    def live(self, slots: int = 1) -> None:
        """Let the node read all meters at the ends of slots."""
        for _ in range(slots):
            at_ms, used = START_MS + self.slot * SLOT_MS, 1_000 * self.slot
            self.node.publish(*(self.bench.reading(meter, at_ms, used) for meter in METERS))
            self.slot += 1

    def wait_final(self, size: int) -> int:
        found = self.hub.wait_health(lambda health: int(health["final_size"] or 0) >= size)
        return int(found["final_size"])

    def logs(self) -> str:
        return "\n".join(f"--- {r.folder.name}\n{r.log_text()}" for r in self.replicas)


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    with running_broker("embedded", tmp_path / "broker", MICROGRID, (NODE,)) as broker:
        made = Street(tmp_path, broker)
        try:
            yield made
        finally:
            made.close()


def test_one_replica_follows_executes_cosigns_and_resumes(street: Street) -> None:
    replica = street.add("alice")
    replica.enrol(street.toml)
    street.open()
    replica.start()
    street.live(3)
    found = street.wait_final(12)
    replica.wait(lambda status: status["executed"] >= found)
    replica.kill()
    street.live(2)
    replica.start()
    size = street.wait_final(found + 6)
    status = replica.wait(lambda status: status["cosigned"] >= size)
    assert status["finding"] == ""
    assert status["executed"] == status["mirrored"] >= size
