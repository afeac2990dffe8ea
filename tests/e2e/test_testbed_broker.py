"""The broker of a laptop, embedded amqtt and Mosquitto alike: one rule, asked on the wire."""

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from testbed.broker import Users, mosquitto_program, write_mosquitto_config
from testbed.errors import BrokerRefused
from testbed.supervisor import Program, Supervisor, free_port, is_listening, python
from tests.support.needs import needs

MICROGRID = "bench"
USERS = Users(MICROGRID, ("dep1", "dep2"))
HOST = "127.0.0.1"


@dataclass
class Bench:
    """A running broker and where its passwords lie."""

    folder: Path
    port: int


@dataclass
class Client:
    """A paho client with its inbox; events instead of sleeping."""

    link: mqtt.Client
    inbox: list[tuple[str, bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int, seconds: float = 5.0) -> list[tuple[str, bytes]]:
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.inbox) >= count, seconds)
        return list(self.inbox)


@pytest.fixture(scope="module", params=["embedded", "mosquitto"])
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder, port = tmp_path_factory.mktemp("broker"), free_port()
    users = USERS.write(folder)
    if request.param == "mosquitto":
        needs("mosquitto")
        config = write_mosquitto_config(folder, HOST, port, USERS)
        command: tuple[str, ...] = (mosquitto_program(), "-c", str(config))
    else:
        options = ("--port", str(port), "--users", str(users), "--microgrid", MICROGRID)
        command = python("testbed.broker", *options)
    with Supervisor(folder / "logs") as supervisor:
        supervisor.start(Program("broker", command, folder, ready=lambda: is_listening(port)))
        supervisor.wait_ready(["broker"], 30)
        yield Bench(folder, port)


def connect(
    bench: Bench,
    user: str,
    *,
    password: str | None = None,
    client_id: str | None = None,
    clean: bool = True,
) -> tuple[Client, str]:
    """Connect; return the client and the broker's answer in words."""
    link = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=client_id or user, clean_session=clean
    )
    client, answered, words = Client(link), threading.Event(), [""]
    secret = password or USERS.password_file(bench.folder, user).read_text().strip()
    link.username_pw_set(user, secret)

    def on_connect(
        _client: object, _data: object, _flags: object, code: object, _p: object
    ) -> None:
        words[0] = str(code)
        answered.set()

    def on_message(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with client.arrived:
            client.inbox.append((message.topic, message.payload))
            client.arrived.notify_all()

    link.on_connect = on_connect
    link.on_message = on_message
    link.connect(HOST, bench.port)
    link.loop_start()
    assert answered.wait(10)
    return client, words[0]


def leave(*clients: Client) -> None:
    for client in clients:
        client.link.disconnect()
        client.link.loop_stop()


def subscribe(client: Client, topic: str) -> str:
    done, words = threading.Event(), [""]

    def on_subscribe(_c: object, _d: object, _mid: object, codes: list[object], _p: object) -> None:
        words[0] = str(codes[0])
        done.set()

    client.link.on_subscribe = on_subscribe
    client.link.subscribe(topic, 1)
    assert done.wait(10)
    return words[0]


def test_readings_go_up_and_commands_come_down(bench: Bench) -> None:
    hub, _ = connect(bench, "hub")
    node, answer = connect(bench, "dep1")
    assert answer == "Success"
    assert subscribe(hub, f"gridtally/{MICROGRID}/+/up/#") == "Granted QoS 1"
    assert subscribe(node, f"gridtally/{MICROGRID}/dep1/down/#") == "Granted QoS 1"
    node.link.publish(f"gridtally/{MICROGRID}/dep1/up/register", b"reading", qos=1)
    hub.link.publish(f"gridtally/{MICROGRID}/dep1/down/lease", b"lease", qos=1)
    assert hub.wait(1) == [(f"gridtally/{MICROGRID}/dep1/up/register", b"reading")]
    assert node.wait(1) == [(f"gridtally/{MICROGRID}/dep1/down/lease", b"lease")]
    leave(hub, node)


def test_what_is_not_ones_own_reaches_nobody(bench: Bench) -> None:
    """Spoofed readings and commands are dropped; the honest message sent last comes alone."""
    hub, _ = connect(bench, "hub")
    liar, _ = connect(bench, "dep2")
    victim, _ = connect(bench, "dep1")
    subscribe(hub, f"gridtally/{MICROGRID}/+/up/#")
    subscribe(victim, f"gridtally/{MICROGRID}/dep1/down/#")
    liar.link.publish(f"gridtally/{MICROGRID}/dep1/up/register", b"forged", qos=1)
    liar.link.publish(f"gridtally/{MICROGRID}/dep1/down/lease", b"forged", qos=1)
    liar.link.publish(f"gridtally/{MICROGRID}/dep2/down/lease", b"to myself", qos=1)
    liar.link.publish(f"gridtally/{MICROGRID}/dep2/up/live", b"honest", qos=1)
    assert hub.wait(1) == [(f"gridtally/{MICROGRID}/dep2/up/live", b"honest")]
    hub.link.publish(f"gridtally/{MICROGRID}/dep1/down/beacon", b"honest", qos=1)
    assert victim.wait(1) == [(f"gridtally/{MICROGRID}/dep1/down/beacon", b"honest")]
    leave(hub, liar, victim)


def test_a_forbidden_filter_brings_nothing(bench: Bench) -> None:
    node, _ = connect(bench, "dep1")
    spy, _ = connect(bench, "dep2")
    for topic in ("#", "gridtally/#", f"gridtally/{MICROGRID}/dep1/up/#", "$SYS/#"):
        subscribe(spy, topic)
    subscribe(spy, f"gridtally/{MICROGRID}/dep2/down/#")
    hub, _ = connect(bench, "hub")
    node.link.publish(
        f"gridtally/{MICROGRID}/dep1/up/register", b"private", qos=1
    ).wait_for_publish(5)
    hub.link.publish(f"gridtally/{MICROGRID}/dep2/down/receipt", b"mine", qos=1)
    assert spy.wait(1) == [(f"gridtally/{MICROGRID}/dep2/down/receipt", b"mine")]
    leave(node, spy, hub)


def test_a_wrong_password_is_refused(bench: Bench) -> None:
    client, answer = connect(bench, "dep1", password="guessed")
    leave(client)
    assert answer in ("Not authorized", "Bad user name or password")


def test_a_name_of_somebody_else_is_not_taken(bench: Bench) -> None:
    """The embedded broker refuses; Mosquitto gives the client its user name for an id instead."""
    victim, _ = connect(bench, "dep1")
    other, answer = connect(bench, "dep2", client_id="dep1")
    hub, _ = connect(bench, "hub")
    if answer == "Success":
        subscribe(victim, f"gridtally/{MICROGRID}/dep1/down/#")
        hub.link.publish(f"gridtally/{MICROGRID}/dep1/down/lease", b"still here", qos=1)
        assert victim.wait(1) == [(f"gridtally/{MICROGRID}/dep1/down/lease", b"still here")]
    else:
        assert answer in ("Not authorized", "Bad user name or password")
    leave(victim, other, hub)


def test_passwords_are_private_and_each_another(bench: Bench) -> None:
    files = [USERS.password_file(bench.folder, user) for user in USERS.names]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert len({path.read_text() for path in files}) == len(files)
    listing = (bench.folder / "broker-users.json").read_text()
    assert not any(path.read_text().strip() in listing for path in files)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_the_embedded_broker_refuses_any_other_address(tmp_path: Path, host: str) -> None:
    users = USERS.write(tmp_path)
    command = python(
        "testbed.broker", "--host", host, "--port", "1", "--users", str(users), "--microgrid", "m"
    )
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        command, check=False, cwd=root, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 78
    assert f"not {host}: for a network install Mosquitto (apt install mosquitto)" in ended.stderr


def test_mosquitto_is_refused_on_other_addresses_too(tmp_path: Path) -> None:
    with pytest.raises(BrokerRefused, match=r"127\.0\.0\.1 only"):
        write_mosquitto_config(tmp_path, "0.0.0.0", 1, USERS)


def test_only_clean_sessions(tmp_path: Path) -> None:
    users, port = USERS.write(tmp_path), free_port()
    options = ("--port", str(port), "--users", str(users), "--microgrid", MICROGRID)
    command = python("testbed.broker", *options)
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(Program("broker", command, tmp_path, ready=lambda: is_listening(port)))
        supervisor.wait_ready(["broker"], 30)
        client, answer = connect(Bench(tmp_path, port), "dep1", clean=False)
        leave(client)
    assert answer in ("Not authorized", "Bad user name or password")
    assert "only clean sessions" in (tmp_path / "logs" / "broker.log").read_text()
