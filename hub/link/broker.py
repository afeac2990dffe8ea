"""The hub's link to the broker: bytes in, bytes out, and a thread of its own.

Callbacks only put into `Arrivals`. Each connection is a fresh client with a clean session: what the
broker held or paho queued for an older one is worth nothing, since edges send again until they
hold a receipt. A broker that is away is said once, tried again with full jitter, and said once
when it is back.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hub.config import BrokerSettings
from hub.link.arrivals import Arrival, Arrivals
from messages import topics
from messages.errors import MessageError

BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 30.0
KEEPALIVE_S = 20
ANSWER_WAIT_S = 10.0
QUEUED_MAX = 5_000
INFLIGHT_MAX = 200  # a lease does not wait for acknowledgements of receipts
STOP_LOOK_S = 0.2
URGENT = frozenset({"live", "ack", "hello", "status"})

log = logging.getLogger("hub.link.broker")


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether the broker is there; if not, why, and after how many tries."""

    connected: bool
    attempts: int = 0
    reason: str = ""


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


class BrokerLink:
    """A connection that comes back by itself. `publish` is for the loop's thread."""

    def __init__(
        self,
        settings: BrokerSettings,
        microgrid: str,
        arrivals: Arrivals,
        *,
        subscriptions: tuple[str, ...] = (),
        backoff_max_s: float = BACKOFF_MAX_S,
        on_connected: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._subscriptions = subscriptions or (topics.all_up(microgrid),)
        self._arrivals = arrivals
        self._backoff_max_s = backoff_max_s
        self._on_connected = on_connected
        self._stopping = threading.Event()
        self._client: mqtt.Client | None = None
        self._complained = False
        self._state = LinkState(connected=False, reason="not tried yet")
        self._thread = threading.Thread(target=self._keep_connected, name="broker", daemon=True)

    @property
    def state(self) -> LinkState:
        """The link as it is now."""
        return self._state

    @property
    def is_open(self) -> bool:
        """Whether the broker is there."""
        return self._state.connected

    def start(self) -> None:
        """Begin to connect, and return at once: a hub without a broker still runs."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued, disconnect, end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        """Hand one message to the broker; False, and nothing kept, while the broker is away."""
        client = self._client
        if client is None or not self._state.connected:
            return False
        return client.publish(topic, raw, qos=qos).rc == mqtt.MQTT_ERR_SUCCESS

    def _keep_connected(self) -> None:
        attempts = 0
        while not self._stopping.is_set():
            connection = self._connect()
            attempts = 1 if connection.accepted else attempts + 1
            self._say_gone(attempts, connection.reason)
            longest_s = min(self._backoff_max_s, BACKOFF_MIN_S * 2 ** min(attempts, 10))
            pause_s = random.uniform(min(BACKOFF_MIN_S, longest_s), longest_s)  # noqa: S311 jitter
            self._stopping.wait(pause_s)

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
        self._client = client
        if not connection.answered.wait(ANSWER_WAIT_S):
            connection.end("no answer to the connect")
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
            client_id=settings.user,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.max_queued_messages_set(QUEUED_MAX)
        client.max_inflight_messages_set(INFLIGHT_MAX)
        if settings.password_file is not None:
            password = Path(settings.password_file).read_text(encoding="utf-8").strip()
            client.username_pw_set(settings.user, password)
        if settings.tls is not None:
            client.tls_set(
                ca_certs=settings.tls.ca,
                certfile=settings.tls.cert,
                keyfile=settings.tls.key,
            )
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
                connection.end(f"the broker refused the hub: {code}")
                return
            client.subscribe([(topic, 1) for topic in self._subscriptions])

        def on_subscribe(
            _: mqtt.Client,
            userdata: object,
            number: int,
            codes: list[ReasonCode],
            properties: Properties | None,
        ) -> None:
            if any(code.is_failure for code in codes):
                connection.end("the broker refused what the hub subscribes to")
                return
            connection.accepted = True
            connection.answered.set()
            self._say_back()

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
        client.on_subscribe = on_subscribe  # before that it would not hear what is sent to it
        client.on_disconnect = on_disconnect
        client.on_message = on_message

    def _take_in(self, topic: str, raw: bytes) -> None:
        try:
            address = topics.parse(topic)
        except MessageError:
            return  # not ours: the subscription is wider than the topics we know
        urgent = address.leaf in URGENT
        self._arrivals.put(Arrival(address.node, address.leaf, raw), urgent=urgent)

    def _say_back(self) -> None:
        self._state = LinkState(connected=True)
        self._complained = False
        log.info("broker %s:%d is there", self._settings.host, self._settings.port)
        if self._on_connected is not None:
            self._on_connected()

    def _say_gone(self, attempts: int, reason: str) -> None:
        self._state = LinkState(connected=False, attempts=attempts, reason=reason)
        if self._complained or self._stopping.is_set():
            return
        self._complained = True
        where = f"{self._settings.host}:{self._settings.port}"
        log.warning("broker %s is away: %s; trying again until it is back", where, reason)
