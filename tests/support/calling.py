"""Somebody at a broker over TLS: with whatever certificate, user name and client id he likes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt

from tests.support.paired import HOST, wait_until


@dataclass
class Caller:
    """What he heard, in order, as (topic, bytes), and how his connection stands."""

    client: mqtt.Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    granted: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)

    def subscribe(self, *topics: str) -> None:
        for topic in topics:
            self.granted.clear()
            self.client.subscribe(topic, qos=1)
            assert self.granted.wait(10)

    def publish(self, topic: str, raw: bytes) -> None:
        self.client.publish(topic, raw, qos=1).wait_for_publish(10)

    def wait_for(self, topic: str, raw: bytes) -> None:
        wait_until(lambda: (topic, raw) in self.heard, f"{raw!r} on {topic}")


def context_of(authority: Path, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return TLS settings of a client."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


@contextmanager
def calling(
    port: int, context: ssl.SSLContext | None, client_id: str = "", user: str = ""
) -> Iterator[Caller]:
    """Yield a caller that the broker let in.

    Raises:
        OSError: the broker did not.
    """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id or "caller")
    made = Caller(client)
    answered: list[bool] = []
    if user:
        client.username_pw_set(user, "secret")
    if context is not None:
        client.tls_set_context(context)
    client.on_connect = lambda *words: answered.append(not words[3].is_failure)
    client.on_disconnect = lambda *_: made.lost.set()
    client.on_subscribe = lambda *_: made.granted.set()
    client.on_message = lambda _c, _u, message: made.heard.append(
        (message.topic, bytes(message.payload))
    )
    client.connect(HOST, port)
    client.loop_start()
    try:
        wait_until(lambda: answered or made.lost.is_set(), "an answer of the broker", 10)
        if not answered or not answered[0]:
            raise ConnectionRefusedError("the broker refused the connection")
        yield made
    finally:
        client.disconnect()
        client.loop_stop()
