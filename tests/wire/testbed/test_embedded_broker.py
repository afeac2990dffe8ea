"""The embedded broker gives nobody what another one said before, asked for or not."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from messages import topics
from tests.support.brokers import HOST, RunningBroker, running_broker

MICROGRID = "bench"
WAIT_S = 20.0
Heard = queue.Queue[tuple[str, bytes]]


@contextmanager
def client(broker: RunningBroker, user: str, *filters: str) -> Iterator[tuple[mqtt.Client, Heard]]:
    """Yield a client that is connected and has asked for its filters, and what it hears."""
    link = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user)
    link.username_pw_set(user, broker.password_file(user).read_text().strip())
    answers: queue.Queue[str] = queue.Queue()
    heard: Heard = queue.Queue()
    link.on_connect = lambda *_: answers.put("connected")
    link.on_subscribe = lambda *_: answers.put("answered")
    link.on_message = lambda _link, _own, message: heard.put(
        (message.topic, bytes(message.payload))
    )
    link.connect(HOST, broker.port)
    link.loop_start()
    try:
        assert answers.get(timeout=WAIT_S) == "connected"
        for each in filters:
            link.subscribe(each, 1)
            assert answers.get(timeout=WAIT_S) == "answered"
        yield link, heard
    finally:
        link.disconnect()
        link.loop_stop()


def test_what_was_retained_goes_to_who_may_read_it(tmp_path: Path) -> None:
    status = topics.up(MICROGRID, "dep2", "status")
    receipt = topics.down(MICROGRID, "dep1", "receipt")
    with (
        running_broker("embedded", tmp_path, MICROGRID, ("dep1", "dep2")) as broker,
        client(broker, "hub", topics.all_up(MICROGRID)) as (hub, hub_heard),
        client(broker, "dep2") as (dep2, _),
    ):
        dep2.publish(status, b"at home", qos=1, retain=True)
        assert hub_heard.get(timeout=WAIT_S) == (status, b"at home")
        wanted = ("#", status, topics.all_down(MICROGRID, "dep1"))
        with client(broker, "dep1", *wanted) as (_, heard):
            hub.publish(receipt, b"yours", qos=1)
            assert heard.get(timeout=WAIT_S) == (receipt, b"yours")
        with client(broker, "web", topics.all_up(MICROGRID)) as (_, heard):
            assert heard.get(timeout=WAIT_S) == (status, b"at home")


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("password", ["a guess", ""])
def test_who_only_claims_a_name_is_refused_and_ends_nobody_s_session(
    tmp_path: Path, password: str, clean: bool
) -> None:
    status = topics.up(MICROGRID, "dep1", "status")
    with (
        running_broker("embedded", tmp_path, MICROGRID, ("dep1",)) as broker,
        client(broker, "hub", topics.all_up(MICROGRID)) as (_, heard),
        client(broker, "dep1") as (dep1, _),
    ):
        answers: queue.Queue[bool] = queue.Queue()
        impostor = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="hub", clean_session=clean)
        impostor.username_pw_set("hub", password)
        impostor.on_connect = lambda _l, _o, _f, reason, _p: answers.put(reason.is_failure)
        impostor.connect(HOST, broker.port)
        impostor.loop_start()
        assert answers.get(timeout=WAIT_S)
        impostor.disconnect()
        impostor.loop_stop()
        dep1.publish(status, b"still heard", qos=1)
        assert heard.get(timeout=WAIT_S) == (status, b"still heard")
