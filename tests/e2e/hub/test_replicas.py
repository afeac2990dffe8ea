"""A hub, its page and four replicas as processes over loopback TCP.

One replica dies and comes back, one is late, one lies; the quorum is three of four.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.balancing.catalog import POLICIES
from hub.commands.enrolling import sign_as_administrator
from hub.core.effects import HeaderFollows
from hub.core.events import read_event
from hub.core.headers import in_turn
from hub.core.state import State
from hub.core.step import step
from hub.desk import Desk
from hub.errors import RecordUnavailable
from hub.inbox import Inbox
from hub.ledger.store import Store
from hub.market.catalog import CONTRACTS
from hub.policyfile import EXAMPLE, read_policy
from hub.starting import read_trust
from hub.vault.desk import RecordDesk
from keys.file import load
from messages.entries import BlockHeader
from tests.support.brokers import RunningBroker, running_broker
from tests.support.hub_bench import METERS, MICROGRID, NODE, SLOT_MS, START_MS, Bench
from tests.support.hub_process import Hub, Node, command
from tests.support.replica_process import WITHIN_S, Process, ReplicaProcess, web_process

pytestmark = pytest.mark.timeout(240)

MEMBERS = ("alice", "bob", "carol", "dave")
ROUND_MS = 2_000


class Street:
    """The microgrid under test: its hub and page, a node that says what is due, and replicas."""

    def __init__(self, folder: Path, broker: RunningBroker) -> None:
        self.bench = Bench(folder / "hub")
        self.toml = self.bench.folder / "hub.toml"
        text = self.toml.read_text().replace("port = 1883", f"port = {broker.port}")
        assert "close_after_ms = 30000" in text
        self.toml.write_text(text.replace("close_after_ms = 30000", "close_after_ms = 86400000"))
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

    def add_all(self, names: tuple[str, ...]) -> list[ReplicaProcess]:
        """Add replicas that show each other what they propose, and enrol them."""
        made = [self.add(name) for name in names]
        for replica in made:
            replica.set(peers=[other.url for other in made if other is not replica])
            replica.enrol(self.toml)
        return made

    def open(self, replicas: list[ReplicaProcess]) -> None:
        """Start the hub, its page and these replicas, all at once."""
        self.hub = Hub(self.bench.folder)
        for process in (self.web, *replicas):
            process.launch()
        for process in (self.web, *replicas):
            process.wait_up()
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

    def headers(self) -> list[tuple[int, BlockHeader, str]]:
        """Return (index, header, who signed it) of every block header that counts."""
        return self._fold()[0]

    def order(self) -> list[str]:
        """Return who may propose the next block, in the order of the rounds."""
        return list(in_turn(self._fold()[1]).values())

    def _fold(self) -> tuple[list[tuple[int, BlockHeader, str]], State]:
        with Store.open(self.bench.config.database, read_only=True) as store:
            state, found = State(), []
            for entry in store.entries():
                event = read_event(entry.index, entry.raw)
                for effect in (outcome := step(state, event)).effects:
                    if isinstance(effect, HeaderFollows):
                        assert isinstance(event.body, BlockHeader)
                        found.append((entry.index, event.body, effect.proposer or "hub"))
                state.apply(outcome.changes)
        return found, state

    def proposers(self) -> list[str]:
        return [who for _, _, who in self.headers()]

    def wait_blocks(self, count: int, *, final: bool = True) -> int:
        """Wait until so many blocks are there, and final; return how many entries that is."""
        deadline_s = time.monotonic() + WITHIN_S
        while len(found := self.headers()) < count:
            assert time.monotonic() < deadline_s, (found, self.logs())
            time.sleep(0.2)
        size = found[count - 1][0] + 1
        return self.wait_final(size) if final else size

    def logs(self) -> str:
        names = "\n".join(f"--- {r.folder.name}\n{r.log_text()}" for r in self.replicas)
        return f"{names}\n--- hub\n{self.hub.log_text()}"


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    with running_broker("embedded", tmp_path / "broker", MICROGRID, (NODE,)) as broker:
        made = Street(tmp_path, broker)
        try:
            yield made
        finally:
            made.close()


def test_one_replica_follows_executes_cosigns_and_goes_on_after_any_restart(
    street: Street,
) -> None:
    replica = street.add("alice")
    replica.enrol(street.toml)
    street.open([replica])
    street.live(3)
    size = street.wait_blocks(2)
    replica.wait(lambda status: status["executed"] >= size)
    replica.kill()
    street.live(2)
    replica.start()
    street.wait_blocks(4)
    street.hub.kill()
    street.hub.restart()
    street.hub.wait_health(lambda health: bool(health["broker_connected"]))
    street.live(2)
    size = street.wait_blocks(6)
    status = replica.wait(lambda status: status["cosigned"] >= size)
    assert status["finding"] == ""
    assert street.proposers() == ["hub", *["alice"] * 5]  # nobody was enrolled at the first draw
    told = command("replica-status", "--config", str(replica.folder / "replica.toml"))
    assert told.returncode == 0, told.stderr
    assert "executed" in told.stdout
    config = str(street.toml)
    assert (
        f"replica {replica.vkey.split('+')[0]}: cosigned" in command("status", "-c", config).stdout
    )


def test_three_of_four_go_on_when_one_dies_and_a_round_falls_to_the_next(street: Street) -> None:
    replicas = street.add_all(MEMBERS)
    street.open(replicas[:3])
    street.live(3)
    size = street.wait_blocks(2)
    replicas[3].start()  # it is late: it has everything to catch up
    replicas[3].wait(lambda status: status["executed"] >= size)

    order = street.order()
    sleeper = next(replica for replica in replicas if replica.member == order[0])
    sleeper.kill()  # whose turn it is now
    blocks = len(street.headers())
    street.live(3)
    size = street.wait_blocks(blocks + 1)
    _, header, who = street.headers()[blocks]
    assert header.round > 0  # not the sleeper's; a round is short, and may pass by another one
    assert who == order[header.round]

    sleeper.start()
    sleeper.wait(lambda status: status["executed"] >= size)
    street.live(2)
    size = street.wait_blocks(blocks + 4)
    for replica in replicas:
        status = replica.wait(lambda status: status["cosigned"] >= size)
        assert (status["finding"], status["notes"]) == ("", [])
    proposers = street.proposers()
    assert proposers[0] == "hub"
    assert len(set(proposers[1:])) >= 2
    assert "hub" not in proposers[1:]


def test_one_of_four_lies_and_nothing_wrong_becomes_final(street: Street) -> None:
    liar = street.add("dave", module="tests.support.lying_replica")
    honest = street.add_all(MEMBERS[:3])
    liar.enrol(street.toml)
    street.open(street.replicas)
    lies: list[str] = []
    while not lies:  # until it was the liar's turn
        street.live(2)
        street.wait_blocks(len(street.headers()) + 1)
        lies = honest[0].status()["notes"]
        assert street.slot < 60, street.logs()
    assert "the replica of dave signed block" in lies[0]
    assert "66" * 32 in lies[0]
    street.live(1)  # the block after the lie may be there already
    size = street.wait_blocks(len(street.headers()) + 1)
    for replica in honest:
        status = replica.wait(lambda status: status["cosigned"] >= size)
        assert status["finding"] == ""
    assert "dave" not in street.proposers()
    assert all(header.state_root != b"\x66" * 32 for _, header, _ in street.headers())
    audited = command("audit", "-c", str(street.toml))
    assert audited.returncode == 0, audited.stdout


def test_a_late_one_begins_behind_a_snapshot_and_gives_back_what_stores_lost(
    street: Street,
) -> None:
    street.open([])
    street.live(20)  # nobody has a replica: the hub proposes, and keeps a snapshot
    street.wait_blocks(19, final=False)
    store = street.bench.folder / "records" / "blobs"
    desk = RecordDesk(street.bench.config, load(street.bench.folder / "keys/administrator.pem"))
    record = desk.put(b"who was at home", "bill", "")
    street.live(2)  # a checkpoint is signed over what the desk took
    street.wait_blocks(21, final=False)
    with Store.open(street.bench.config.database, read_only=True) as ledger:
        size = ledger.find(record).index + 1
    street.hub.wait_health(lambda health: int(health["checkpoint_size"]) >= size)
    late = street.add("bob")
    late.set(join="snapshot", stores=["file:records"])
    late.start()
    status = late.wait(lambda status: status["executed"] >= size and not status["left_out"])
    assert "began after entry" in status["notes"][0]
    assert (status["finding"], status["cosigned"]) == ("", 0)
    deadline_s = time.monotonic() + WITHIN_S
    while not list((late.folder / "records").glob("*")):
        assert time.monotonic() < deadline_s, late.log_text()
        time.sleep(0.1)
    shutil.rmtree(store)
    with pytest.raises(RecordUnavailable):
        desk.get(record)
    done = command("record", "mend", "--from", late.url, "-c", str(street.toml))
    assert (done.returncode, done.stdout.count("mended in file:")) == (0, 1), done.stderr
    assert desk.get(record) == b"who was at home"
    assert late.end() == 0, late.log_text()
