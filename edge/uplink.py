"""The agent's link to the broker: bytes in, bytes out, and a thread of its own.

Callbacks only put into the loop's queue. Each connection is a fresh client with a clean session,
since all that matters is resent from the outbox until a receipt comes: a broker's acknowledgement
and what paho kept for it count for nothing. The last will empties the retained status.
"""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import BrokerSettings
from edge.inbound import Connected, Disconnected, FromHub, Put
from messages import topics
from messages.errors import MessageError

BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
SIMULATED_BACKOFF_MAX_S: Final = 2.0
KEEPALIVE_S: Final = 20
ANSWER_WAIT_S: Final = 10.0
STOP_LOOK_S: Final = 0.2
INFLIGHT_MAX: Final = 100
QUEUED_MAX: Final = 2_000

log = logging.getLogger("edge.uplink")


@dataclass(slots=True)
class _Connection:
    """One client from connect to its end."""

    answered: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    accepted: bool = False
    reason: str = ""

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.answered.set()
        self.ended.set()


class Uplink:
    """A connection that comes back by itself. `publish` is for the loop's thread."""

    def __init__(
        self,
        settings: BrokerSettings,
        microgrid: str,
        node: str,
        put: Put,
        *,
        backoff_max_s: float = BACKOFF_MAX_S,
    ) -> None:
        self._settings = settings
        self._microgrid = microgrid
        self._node = node
        self._put = put
        self._backoff_max_s = backoff_max_s
        self._stopping = threading.Event()
        self._client: mqtt.Client | None = None
        self._thread = threading.Thread(target=self._keep_connected, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to connect, and return at once: an edge without a broker still measures."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued, disconnect, end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def publish(self, leaf: str, raw: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Hand one message to the broker; False, and nothing kept, if it is away or behind."""
        client = self._client
        if client is None:
            return False
        topic = topics.up(self._microgrid, self._node, leaf)
        return client.publish(topic, raw, qos=qos, retain=retain).rc == mqtt.MQTT_ERR_SUCCESS

    def _keep_connected(self) -> None:
        attempts = 0
        while not self._stopping.is_set():
            connection = self._connect()
            attempts = 0 if connection.accepted else attempts + 1
            self._put(Disconnected(connection.reason))
            longest_s = min(self._backoff_max_s, BACKOFF_MIN_S * 2 ** min(attempts + 1, 10))
            self._stopping.wait(random.uniform(BACKOFF_MIN_S, longest_s))  # noqa: S311 jitter

    def _connect(self) -> _Connection:
        """Open one connection, stay with it until it ends, and return it for its reason."""
        connection = _Connection()
        try:
            client = self._make_client()
            self._listen(client, connection)
            client.connect(self._settings.host, self._settings.port, keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:
            connection.end(str(error))
            return connection
        client.loop_start()
        if not connection.answered.wait(ANSWER_WAIT_S):
            connection.end("no answer to the connect")
        elif connection.accepted:
            self._client = client
            self._put(Connected())
        while not connection.ended.wait(STOP_LOOK_S):
            if self._stopping.is_set():
                connection.end("stopped")
        self._client = None
        client.disconnect()
        client.loop_stop()
        return connection

    def _make_client(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._node,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.max_queued_messages_set(QUEUED_MAX)
        client.will_set(topics.up(self._microgrid, self._node, "status"), b"", qos=1, retain=True)
        if settings.password_file is not None:
            password = Path(settings.password_file).read_text(encoding="utf-8").strip()
            client.username_pw_set(self._node, password)
        if settings.tls is not None:
            client.tls_set(settings.tls.ca, settings.tls.cert, settings.tls.key)
        return client

    def _listen(self, client: mqtt.Client, connection: _Connection) -> None:
        def on_connect(
            _: mqtt.Client,
            userdata: object,
            flags: mqtt.ConnectFlags,
            code: ReasonCode,
            properties: Properties | None,
        ) -> None:
            if code.is_failure:
                connection.end(f"the broker refused {self._node}: {code}")
                return
            client.subscribe(topics.all_down(self._microgrid, self._node), qos=1)

        def on_subscribe(
            _: mqtt.Client,
            userdata: object,
            mid: int,
            codes: list[ReasonCode],
            properties: Properties | None,
        ) -> None:
            if any(code.is_failure for code in codes):
                connection.end(f"the broker does not let {self._node} read its own topics")
                return
            connection.accepted = True
            connection.answered.set()

        def on_disconnect(
            _: mqtt.Client,
            userdata: object,
            flags: mqtt.DisconnectFlags,
            code: ReasonCode,
            properties: Properties | None,
        ) -> None:
            connection.end(str(code))

        def on_message(_: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
            self._take_in(message.topic, bytes(message.payload))

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_disconnect = on_disconnect
        client.on_message = on_message

    def _take_in(self, topic: str, raw: bytes) -> None:
        try:
            parsed = topics.parse(topic)
        except MessageError:
            return  # not ours: the subscription is wider than the topics we know
        self._put(FromHub(parsed.leaf, raw))
