"""Bad input, each with its sentence: through the real command lines, and over a real broker.

The sentences are asserted as a person reads them: what is wrong, where, and what to do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from keys.file import load
from messages import cose, topics
from messages.entries import Ack, content_type, parse_as, sign_entry
from messages.publickey import Signer
from messages.reading import Reading, sign_reading
from messages.receipt import Receipt, Refusal
from messages.trust import parse_trust
from testbed.clock import Pace
from testbed.installation import Installation
from testbed.stage import HUB, Stage
from tests.faults.whole import hub_alone, installation, running, scenario
from tests.support.edge_node import wait_until
from tests.support.signers import ed25519

SOCKETS = shutil.ignore_patterns("*.sock", "logs", "*.ballast")
POWERS_W = ((50, 20, 60, 10), (60, 60, 40, 60))
ROOT = Path(__file__).parents[2]
ADVICE = re.compile(
    r"[Dd]o not sign on.*(full file|good copy) back|signing on would fork.*newest copy back"
    r"|full file back; do not sign on"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said. The word about simulation is left out."""

    code: int
    out: str
    err: str


def run(module: str, *arguments: object) -> Ended:
    """Run a program as a person would, and wait for its end."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=40,
        cwd=ROOT,
        check=False,
    )
    said = [line for line in ended.stderr.splitlines() if "SIMULATION" not in line]
    assert "Traceback" not in ended.stderr, ended.stderr
    return Ended(ended.returncode, ended.stdout.strip(), "\n".join(said).strip())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four slots: the folder that a hub and three edges left behind."""
    made = installation(
        tmp_path_factory.mktemp("played") / "bench", scenario(2, *POWERS_W, slots=4)
    )
    with running(made, "embedded") as stage:
        stage.play(Pace(None), lambda at_ms: None).run()
    return made.folder


@pytest.fixture
def copy(played: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(played, tmp_path / "copy", ignore=SOCKETS))


# --- configuration -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lines:
    """Where a text stands in a file, as messages name it."""

    file: Path

    def __call__(self, text: str, occurrence: int = 0) -> str:
        return f"{self.file}:{self.number(text, occurrence)}"

    def number(self, text: str, occurrence: int = 0) -> int:
        lines = self.file.read_text().splitlines()
        return [at for at, line in enumerate(lines, 1) if line.startswith(text)][occurrence]


def change(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text)


@pytest.mark.parametrize("command", ["check-config", "run", "guard"])
def test_every_finding_in_an_edge_configuration_at_once(copy: Path, command: str) -> None:
    file = copy / "edge-dep1.toml"
    change(
        file,
        ("sample_ms", "sample"),
        ("[outbox]", '[outbox]\ncolour = "green"'),
        ("rated_w = 120", 'rated_w = "120"'),
        ("address = 0x41", "address = 0x40"),
        ('deenergised = "fed"\n', ""),
    )
    ended = run("edge", command, "--config", file)
    assert ended.code == os.EX_CONFIG
    assert ended.out == ""
    at = Lines(file)
    assert ended.err.splitlines() == [
        f'{at("sample = ")}: sampling: unknown key "sample": it has no unit; '
        'did you mean "sample_ms"?',
        f'{at("colour")}: outbox: unknown key "colour"',
        f"{at('rated_w')}: meter 1 (dep1-generation): rated_w must be a whole number, "
        'got the text "120"; take off the quotes',
        f"{at('address = 0x40', 1)}: meter 2 (dep1-consumption): address 0x40 on bus "
        f'"i2c1" is that of meter 1, line {at.number("address = 0x40")}',
        f'{at("[[relay]]")}: relay 1 (dep1-fan-relay): missing key "deenergised": what its load '
        'gets while the coil is off, "fed" or "cut"',
    ]


@pytest.mark.parametrize("command", ["check-config", "run", "web", "verify"])
def test_every_finding_in_a_hub_configuration_at_once(copy: Path, command: str) -> None:
    file = copy / "hub.toml"
    change(file, ("slot_ms", "slot"), ("port", "prot"), ('hub = "keys/hub.pem"', "hub = 7"))
    ended = run("hub", command, "--config", file)
    assert ended.code == os.EX_CONFIG
    at = Lines(file)
    assert ended.err.splitlines() == [
        f"{at('hub = 7')}: keys: hub must be text, got 7",
        f'{at("prot = ")}: broker: unknown key "prot": did you mean "port"?',
        f'{at("slot = ")}: slots: unknown key "slot": it has no unit; did you mean "slot_ms"?',
    ]


def test_a_key_that_others_can_read(copy: Path) -> None:
    for module, config, key in (
        ("hub", "hub.toml", "hub.pem"),
        ("edge", "edge-dep1.toml", "dep1-fan.pem"),
    ):
        path = copy / "keys" / key
        path.chmod(0o640)
        ended = run(module, "run", "--config", copy / config)
        assert ended.code == os.EX_CONFIG
        assert ended.err.endswith(
            f"{path}: mode 0640 lets others read the key; want 0600: chmod 600 {path}"
        )


# --- ledger --------------------------------------------------------------------------------------


def flip_a_bit(folder: Path) -> None:
    """Flip one bit in the middle of entry 30, wherever in the file it stands."""
    path = folder / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        (raw,) = connection.execute('SELECT raw FROM entry WHERE "index" = 30').fetchone()
    content = bytearray(path.read_bytes())
    content[content.index(raw) + len(raw) // 2] ^= 0x04
    path.write_bytes(content)


def forge(folder: Path, *statements: str) -> None:
    """Change the ledger as somebody who owns the file can: past the triggers, and put them back."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        triggers = found.fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, text in triggers:
            connection.execute(text)
        connection.commit()


def delete_a_row(folder: Path) -> None:
    forge(folder, 'DELETE FROM entry WHERE "index" = 40')


def cut_the_tail(folder: Path) -> None:
    forge(folder, 'DELETE FROM entry WHERE "index" >= 60')


def cut_the_tail_carefully(folder: Path) -> None:
    """Cut entries, nodes, checkpoints and the count: a file that does not contradict itself."""
    forge(
        folder,
        'DELETE FROM entry WHERE "index" >= 60',
        'DELETE FROM node WHERE (("index" + 1) << level) > 60',
        "DELETE FROM checkpoint WHERE size > 60",
        "UPDATE ledger SET number = 60 WHERE name = 'size'",
    )


@pytest.mark.parametrize(
    ("tamper", "sentence"),
    [
        (flip_a_bit, "entry 30 is not the one that was hashed into the log: it or its hash was"),
        (delete_a_row, "entry 40 is missing from the ledger"),
        (cut_the_tail, "the ledger holds 60 entries, fewer than the"),
        (
            cut_the_tail_carefully,
            "this ledger holds 60 entries, but ledger.db.newest says this hub",
        ),
    ],
)
def test_a_tampered_ledger(copy: Path, tamper: Callable[[Path], None], sentence: str) -> None:
    tamper(copy)
    verified = run("hub", "verify", "--config", copy / "hub.toml")
    assert verified.code == os.EX_DATAERR
    first, *_ = verified.out.splitlines()
    assert first.startswith(f"NOT verified: {sentence}")
    assert "keep this file as evidence, and let no hub sign on with it" in verified.out
    started = run("hub", "run", "--config", copy / "hub.toml")
    assert started.code == os.EX_DATAERR
    assert started.err.startswith(sentence)
    assert ADVICE.search(started.err), started.err


@pytest.mark.parametrize("command", ["verify", "run", "audit"])
def test_half_a_file(copy: Path, command: str) -> None:
    path = copy / "ledger.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    ended = run("hub", command, "--config", copy / "hub.toml")
    assert ended.code == os.EX_DATAERR
    assert ended.err == (
        f"{path}: the database file is damaged (database disk image is malformed). Do not sign on "
        "with it: keep it as evidence, and put the newest good copy back."
    )


def test_an_untouched_ledger_is_verified(copy: Path) -> None:
    verified = run("hub", "verify", "--config", copy / "hub.toml")
    assert (verified.code, verified.out[:15]) == (0, "ledger verified")


def test_an_old_backup_is_found_by_the_receipts_of_the_edges(tmp_path: Path) -> None:
    """Database and the file beside it are put back together: only the edges know better."""
    made = installation(tmp_path / "bench", scenario(2, *POWERS_W, slots=4))
    backup = tmp_path / "backup"
    with running(made, "embedded") as stage:
        stage.clock.idle = lambda: None
        layout = made.layout
        play = stage.play(Pace(None), lambda at_ms: None)
        instants = list(range(layout.start_ms, layout.end_ms, layout.instant_ms))
        pass_instants(stage, play, instants[:13])
        end_hub(stage)
        backup.mkdir()
        for file in made.folder.glob("ledger.db*"):
            shutil.copy2(file, backup / file.name)
        start_hub(stage)
        pass_instants(stage, play, instants[13:])
        end_hub(stage)
        newest = status(made)["ledger"]["checkpoint"]
        for file in made.folder.glob("ledger.db*"):
            file.unlink()
        for file in backup.glob("ledger.db*"):
            shutil.copy2(file, made.folder / file.name)
        old = status(made)["ledger"]
        assert old["checkpoint"] < newest
        start_hub(stage)
        wait_until(
            lambda: not (status(made)["hub"] or {"accepting": True})["accepting"], 20, "alarm"
        )
        found = status(made)
        assert found["ledger"] == old, "nothing more was appended or signed"
        (alarm,) = [text for text in found["hub"]["alarms"] if "old copy" in text]
        assert f"this ledger holds {old['entries']} entries, but node d" in alarm
        assert f"shows a checkpoint over {newest}: it is an old copy" in alarm
        assert "Put the newest copy back." in alarm
        assert "ALARM: " in run("hub", "status", "--config", made.hub_toml).out


def pass_instants(stage: Stage, play: Any, instants: list[int]) -> None:
    for at_ms in instants:
        if at_ms > stage.installation.layout.start_ms:
            stage.devices.run(lambda world, at=at_ms: world.advance(at))
        play.instant(at_ms)


def end_hub(stage: Stage) -> None:
    """End the hub as an operator would."""
    process = stage.supervisor.children[HUB].process
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def start_hub(stage: Stage) -> None:
    child = stage.supervisor.restart(HUB)
    assert child.program.ready is not None
    wait_until(child.program.ready, 30, "the hub is at the barrier")


def status(made: Installation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run("hub", "status", "--json", "--config", made.hub_toml).out
    )
    return found


# --- ports, locks, homes -------------------------------------------------------------------------


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_port_of_the_page_is_taken(copy: Path) -> None:
    with taken_port() as port:
        head, _, _ = (copy / "hub.toml").read_text().partition("[web]")
        simulation = '[simulation]\nclock = "unix:clock.sock"\n'
        (copy / "hub.toml").write_text(f"{head}[web]\nport = {port}\n{simulation}")
        ended = run("hub", "web", "--config", copy / "hub.toml")
    assert ended.code == os.EX_UNAVAILABLE
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in ended.err
    assert "set another `port` under [web] in hub.toml" in ended.err


def test_the_port_of_the_demo_is_taken(tmp_path: Path) -> None:
    with taken_port() as port:
        ended = run("testbed.cli", "demo", "--exit", "--port", port, "--state", tmp_path / "state")
    assert ended.code == os.EX_UNAVAILABLE
    assert ended.err == (
        f"port {port} is taken by another program: end it, or give --port another number"
    )


HOMES = """\
home,slot,interval_min,consumption_kwh,generation_kwh
A,1,60,1.5,0.25
A,2,60,0.5,0
B,1,60,1,2
B,2,60,1,2
"""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("slot,interval_min", "slot,minutes", ":1: column interval_min is missing"),
        ("0.5,0\n", "-0.5,0\n", ":3: consumption_kwh is -0.5, wanted kWh of 0 or more"),
        ("A,2,60", "A,3,60", ":3: gap: home A has slot 3 here, not 2"),
        ("B,2,60,1,2\n", "", ": gap: home B ends after 1 slots, others have 2"),
        ("1.5", "much", ":2: consumption_kwh is 'much', wanted kWh as a number"),
    ],
)
def test_a_wrong_file_of_homes(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    file = tmp_path / "homes.csv"
    assert old in HOMES
    file.write_text(HOMES.replace(old, new, 1))
    ended = run("testbed.cli", "demo", "--scenario", "homes", "--homes", file, "--exit", "--json")
    assert ended.code == os.EX_DATAERR
    assert ended.out == ""
    assert ended.err == f"{file}{sentence}"


# --- messages to a running hub -------------------------------------------------------------------


@dataclass
class Client:
    """A node's place at the broker, taken by the test: it sends bytes and keeps the answers."""

    made: Installation
    node: str
    told: list[Refusal | Receipt] = field(default_factory=list)

    def __post_init__(self) -> None:
        password = (self.made.folder / f"{self.node}.password").read_text().strip()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.node)
        self._client.username_pw_set(self.node, password)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe(
            topics.all_down("bench", self.node), qos=1
        )
        self._client.connect("127.0.0.1", self.made.broker_port)
        self._client.loop_start()
        wait_until(self._client.is_connected, 10, "the broker")

    def send(self, leaf: str, raw: bytes) -> None:
        self._client.publish(topics.up("bench", self.node, leaf), raw, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def refusals(self) -> list[Refusal]:
        return [each for each in self.told if isinstance(each, Refusal)]

    def receipts(self) -> list[Receipt]:
        return [each for each in self.told if isinstance(each, Receipt)]

    def _hear(self, client: Any, userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/receipt"):
            envelope = cose.parse(message.payload, limit=65_535)
            kind = Refusal if envelope.content_type == content_type(Refusal.KIND) else Receipt
            self.told.append(parse_as(kind, envelope))


@dataclass
class Injection:
    """A running hub without edges: the test speaks for every node, with every key."""

    made: Installation
    clients: dict[str, Client]

    @property
    def start_ms(self) -> int:
        return self.made.layout.start_ms

    def key(self, name: str) -> Signer:
        return load(self.made.folder / "keys" / f"{name}.pem")

    def reading(self, meter: str, sequence: int, **changes: Any) -> Reading:
        at_ms = self.start_ms + (sequence - 1) * 60_000
        return replace(Reading("bench", meter, sequence, at_ms, 1_000, 0), **changes)

    def ack(self, node: str) -> Ack:
        relay = f"{node}-fan-relay"
        return Ack(1, node, relay, 1, True, "applied", "", self.start_ms, bytes(16), 1)

    def health(self) -> dict[str, Any]:
        """Return what the hub last wrote of itself; `gridtally-hub status` shows the same."""
        found: dict[str, Any] = json.loads((self.made.folder / "health.json").read_text())
        return found

    def refused(self, reason: str) -> int:
        return int(self.health()["refused"].get(reason, 0))

    @property
    def entries(self) -> int:
        return int(self.health()["tree_size"])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injection]:
    made = installation(tmp_path_factory.mktemp("hub") / "bench", scenario(5, *POWERS_W, slots=4))
    with hub_alone(made, "embedded"):
        clients = {node.node: Client(made, node.node) for node in made.layout.nodes}
        wait_until((made.folder / "health.json").exists, 10, "the hub's health")
        yield Injection(made, clients)
        for client in clients.values():
            client.close()


def truncated(hub: Injection) -> bytes:
    return sign_reading(hub.key("dep1-fan"), hub.reading("dep1-fan", 1))[:-7]


def trailing(hub: Injection) -> bytes:
    return sign_reading(hub.key("dep2-fan"), hub.reading("dep2-fan", 1)) + b"\x00"


def non_canonical(hub: Injection) -> bytes:
    """The same array with a longer head than it needs (RFC 8949 section 4.2.1)."""
    raw = sign_reading(hub.key("dep3-fan"), hub.reading("dep3-fan", 1))
    assert raw[:2] == b"\xd2\x84"
    return b"\xd2\x98\x04" + raw[2:]


def with_payload(signer: Signer, payload: bytes) -> bytes:
    return cose.sign1(signer, 112, payload)


def floating(hub: Injection) -> bytes:
    """A reading whose energy is a binary float: signed, and still nobody's business."""
    raw = sign_reading(hub.key("dep4-fan"), hub.reading("dep4-fan", 1))
    records = cose.parse(raw).payload
    energy, half_float = b"\xc4\x82\x25\x19\x03\xe8", b"\xf9\x3c\x00"  # 4([-6, 1000]); 1.0
    assert records.count(energy) == 1
    return with_payload(hub.key("dep4-fan"), records.replace(energy, half_float))


def extra_record(hub: Injection) -> bytes:
    """A reading with one record more than a reading has."""
    raw = sign_reading(hub.key("dep5-fan"), hub.reading("dep5-fan", 1))
    records = bytearray(cose.parse(raw).payload)
    records[0] += 1
    price = b"\xa3\x00\x65price\x01\x62Wh\x02\xc4\x82\x25\x01"
    return with_payload(hub.key("dep5-fan"), bytes(records) + price)


def oversized(hub: Injection) -> bytes:
    return with_payload(hub.key("dep1-fan"), b"\x59\x90\x00" + bytes(0x9000))


def unknown_key(hub: Injection) -> bytes:
    return sign_reading(ed25519("nobody"), hub.reading("dep1-fan", 1))


def bad_signature(hub: Injection) -> bytes:
    raw = bytearray(sign_reading(hub.key("dep1-fan"), hub.reading("dep1-fan", 1)))
    raw[-1] ^= 0x01
    return bytes(raw)


def of_another_network(hub: Injection) -> bytes:
    return sign_entry(hub.key("dep2"), hub.ack("dep2"), b"n" * 32)


def wrong_node(hub: Injection) -> bytes:
    return sign_reading(hub.key("dep2-fan"), hub.reading("dep2-fan", 1))


def wrong_signer(hub: Injection) -> bytes:
    trust = parse_trust((hub.made.folder / "trust.toml").read_text())
    return sign_entry(hub.key("dep1-fan"), hub.ack("dep1"), trust.network_id)


def wrong_channel(hub: Injection) -> bytes:
    return sign_reading(hub.key("dep1-fan"), hub.reading("dep1-fan", 1))


def from_the_future(hub: Injection) -> bytes:
    at_ms = (time.time_ns() // 1_000_000 + 2 * 86_400_000) // 60_000 * 60_000
    return sign_reading(hub.key("dep1-fan"), hub.reading("dep1-fan", 1, at_ms=at_ms))


@pytest.mark.parametrize(
    ("node", "leaf", "make", "reason", "sentence"),
    [
        ("dep1", "register", truncated, "malformed", ""),
        ("dep2", "register", trailing, "malformed", ""),
        ("dep3", "register", non_canonical, "malformed", ""),
        ("dep4", "register", floating, "malformed", ""),
        ("dep5", "register", extra_record, "malformed", ""),
        ("dep1", "register", oversized, "too-large", "bytes are too many: a message has at most"),
        ("dep1", "register", unknown_key, "unknown-key", "is enrolled here: run `gridtally-hub"),
        ("dep1", "register", bad_signature, "bad-signature", ""),
        ("dep2", "ack", of_another_network, "bad-signature", ""),
        ("dep1", "register", wrong_node, "wrong-node", "belongs to node dep2, not dep1"),
        (
            "dep1",
            "ack",
            wrong_signer,
            "wrong-signer",
            "ack is for a node's key to sign, this is a meter's",
        ),
        ("dep1", "telemetry", wrong_channel, "wrong-channel", "does not belong on the channel"),
        ("dep1", "register", from_the_future, "from-the-future", "s ahead of the hub's clock"),
    ],
)
def test_a_bad_message_is_refused_told_and_counted(
    hub: Injection,
    node: str,
    leaf: str,
    make: Callable[[Injection], bytes],
    reason: str,
    sentence: str,
) -> None:
    client, before, entries = hub.clients[node], hub.refused(reason), hub.entries
    told = len(client.refusals())
    client.send(leaf, make(hub))
    wait_until(lambda: len(client.refusals()) > told, 10, "a refusal")
    refusal = client.refusals()[-1]
    print(refusal.reason)
    assert refusal.reason.startswith(f"{reason}: ")
    assert sentence in refusal.reason
    assert (refusal.kid, refusal.stream, refusal.sequence, refusal.gap_index) == (b"", "", 0, None)
    wait_until(lambda: hub.refused(reason) == before + 1, 10, "it is counted")
    assert hub.entries == entries, "a refused message is no entry"
    assert (
        f"refused: {reason} {before + 1}"
        in run("hub", "status", "--config", hub.made.hub_toml).out.splitlines()
    )


@pytest.mark.parametrize(
    ("key", "changes", "reason", "sentence"),
    [
        (
            "dep1-consumption",
            {"meter_id": "dep1-generation"},
            "wrong-meter",
            "the key is of meter dep1-consumption, the message of dep1-generation",
        ),
        (
            "dep2-consumption",
            {"microgrid": "north"},
            "wrong-microgrid",
            "it is of microgrid north, this is bench",
        ),
        (
            "dep3-consumption",
            {"at_ms": 1_782_000_000_001},
            "off-slot-edge",
            "1782000000001 is no edge of a slot of 60000 ms",
        ),
    ],
)
def test_what_can_never_be_admitted_leaves_a_gap_and_the_next_goes_on(
    hub: Injection, key: str, changes: dict[str, Any], reason: str, sentence: str
) -> None:
    signer, client = hub.key(key), hub.clients[key.partition("-")[0]]
    before, entries, told = hub.refused(reason), hub.entries, len(client.refusals())
    client.send("register", sign_reading(signer, hub.reading(key, 1, **changes)))
    wait_until(lambda: len(client.refusals()) > told, 10, "a refusal")
    refusal = client.refusals()[-1]
    assert refusal == Refusal(
        refusal.node, signer.public.kid, "register", 1, entries, f"{reason}: {sentence}"
    )
    client.send("register", sign_reading(signer, hub.reading(key, 2)))
    wait_until(lambda: stored(client, signer) == 2, 10, "a receipt for the next")
    wait_until(lambda: hub.entries == entries + 2, 10, "one gap, one reading")
    wait_until(lambda: hub.refused(reason) == before + 1, 10, "it is counted")


def stored(client: Client, signer: Signer) -> int:
    """Return up to where receipts say that registers of a key are stored."""
    lines = [line for receipt in list(client.receipts()) for line in receipt.streams]
    marks = [line.stored_up_to for line in lines if line.kid == signer.public.kid]
    return max(marks, default=0)


def test_a_replay_is_answered_with_the_receipt_and_changes_nothing(hub: Injection) -> None:
    client, signer = hub.clients["dep4"], hub.key("dep4-heater")
    readings = [sign_reading(signer, hub.reading("dep4-heater", n)) for n in (1, 2, 3)]
    entries, refused = hub.entries, hub.health()["refused"]
    for raw in readings:
        client.send("register", raw)
    wait_until(lambda: stored(client, signer) == 3, 10, "three are stored")
    wait_until(lambda: hub.entries == entries + 3, 10, "three entries")
    for raw in reversed(readings):
        receipts = len(client.receipts())
        client.send("register", raw)
        wait_until(lambda n=receipts: len(client.receipts()) > n, 10, "the receipt again")
        line = client.receipts()[-1].streams[0]
        assert (line.kid, line.stored_up_to) == (signer.public.kid, 3)
    assert hub.entries == entries + 3
    assert hub.health()["refused"] == refused


def test_two_contents_for_one_place_are_kept_as_evidence(hub: Injection) -> None:
    client, signer = hub.clients["dep5"], hub.key("dep5-heater")
    client.send("register", sign_reading(signer, hub.reading("dep5-heater", 1)))
    wait_until(lambda: stored(client, signer) == 1, 10, "the first is stored")
    told = len(client.refusals())
    other = hub.reading("dep5-heater", 1, import_uwh=2_000)
    client.send("register", sign_reading(signer, other))
    wait_until(lambda: len(client.refusals()) > told, 10, "a refusal")
    assert client.refusals()[-1].reason == (
        "equivocation: dep5-heater signed two contents for register 1: its key is used twice, or "
        "its counter went back. Both are kept as evidence; give the meter a new key."
    )
    wait_until(lambda: hub.refused("equivocation") == 1, 10, "it is counted")
    shown = run("hub", "status", "--config", hub.made.hub_toml).out
    assert "EVIDENCE: 1 places with two contents under one key" in shown
    assert "ALARM: dep5-heater signed two contents for register 1: its key is used twice" in shown
