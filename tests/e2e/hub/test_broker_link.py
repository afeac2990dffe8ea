"""The hub's link to a real broker: two lanes in, bytes out, and back by itself after a kill."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from hub.config import BrokerSettings
from hub.link.arrivals import Arrival, Arrivals
from hub.link.broker import BrokerLink
from messages import topics
from tests.support.brokers import KINDS, RunningBroker, running_broker

MICROGRID = "bench"
DEADLINE_S = 20.0


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(request.param, tmp_path / "broker", MICROGRID, ("dep1",)) as running:
        yield running


class Hub:
    def __init__(self, broker: RunningBroker) -> None:
        self.arrivals = Arrivals(linger_s=0.0, clock_s=time.monotonic)
        self.connected = threading.Semaphore(0)
        settings = BrokerSettings(port=broker.port, password_file=str(broker.password_file("hub")))
        self.link = BrokerLink(
            settings,
            MICROGRID,
            self.arrivals,
            backoff_max_s=0.5,
            on_connected=lambda: (self.connected.release(), None)[1],
        )

    def wait_connected(self) -> None:
        assert self.connected.acquire(timeout=DEADLINE_S), self.link.state

    def take(self) -> tuple[tuple[Arrival, ...], tuple[Arrival, ...]]:
        batch = self.arrivals.take(DEADLINE_S)
        return batch.urgent, batch.bulk


@pytest.fixture
def hub(broker: RunningBroker) -> Iterator[Hub]:
    made = Hub(broker)
    made.link.start()
    yield made
    made.link.stop()


@pytest.fixture
def node(broker: RunningBroker) -> Iterator[mqtt.Client]:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="dep1")
    client.username_pw_set("dep1", broker.password_file("dep1").read_text().strip())
    client.reconnect_delay_set(0.2, 0.5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def subscribe(client: mqtt.Client, topic: str) -> Callable[[], bytes]:
    """Subscribe, and return a function that waits for the next message."""
    inbox: list[bytes] = []
    changed = threading.Condition()
    granted = threading.Event()

    def on_message(_c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        with changed:
            inbox.append(bytes(message.payload))
            changed.notify()

    def on_subscribe(*_arguments: object) -> None:
        granted.set()

    client.on_message = on_message
    client.on_subscribe = on_subscribe
    client.subscribe(topic, qos=1)
    assert granted.wait(DEADLINE_S)

    def wait() -> bytes:
        with changed:
            assert changed.wait_for(lambda: inbox, DEADLINE_S)
            return inbox.pop(0)

    return wait


def test_messages_come_in_two_lanes(hub: Hub, node: mqtt.Client) -> None:
    hub.wait_connected()
    node.publish(topics.up(MICROGRID, "dep1", "register"), b"r", qos=1).wait_for_publish(10)
    assert hub.take() == ((), (Arrival("dep1", "register", b"r"),))
    node.publish(topics.up(MICROGRID, "dep1", "live"), b"l", qos=0).wait_for_publish(10)
    assert hub.take() == ((Arrival("dep1", "live", b"l"),), ())


def test_what_the_hub_publishes_reaches_the_node(hub: Hub, node: mqtt.Client) -> None:
    hub.wait_connected()
    wait = subscribe(node, topics.all_down(MICROGRID, "dep1"))
    assert hub.link.publish(topics.down(MICROGRID, "dep1", "receipt"), b"receipt")
    assert wait() == b"receipt"


def test_topics_that_are_none_of_ours_are_passed_over(hub: Hub, node: mqtt.Client) -> None:
    hub.wait_connected()
    node.publish(f"gridtally/{MICROGRID}/dep1/up/gossip", b"x", qos=1).wait_for_publish(10)
    node.publish(topics.up(MICROGRID, "dep1", "hello"), b"h", qos=1).wait_for_publish(10)
    assert hub.take() == ((Arrival("dep1", "hello", b"h"),), ())


def test_a_killed_broker_is_said_once_and_the_link_comes_back(
    hub: Hub, broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hub.link.broker")
    hub.wait_connected()
    caplog.clear()
    broker.kill()
    deadline_s = time.monotonic() + DEADLINE_S
    while hub.link.state.connected or hub.link.state.attempts < 3:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert not hub.link.publish(topics.down(MICROGRID, "dep1", "lease"), b"x")
    assert [r.levelname for r in caplog.records if "is away" in r.message] == ["WARNING"]
    broker.restart()
    hub.wait_connected()
    assert [r.levelname for r in caplog.records if "is there" in r.message] == ["INFO"]


def test_a_refused_password_is_the_reason(broker: RunningBroker, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.password"
    wrong.write_text("guess")
    arrivals = Arrivals(linger_s=0.0, clock_s=time.monotonic)
    settings = BrokerSettings(port=broker.port, password_file=str(wrong))
    link = BrokerLink(settings, MICROGRID, arrivals, backoff_max_s=0.2)
    link.start()
    try:
        deadline_s = time.monotonic() + DEADLINE_S
        while link.state.attempts < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        assert "refused" in link.state.reason
    finally:
        link.stop()
