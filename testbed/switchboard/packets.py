"""MQTT 3.1.1 packets in a stream of bytes, as much of them as somebody on the line needs. Pure.

Source: MQTT 3.1.1, sections 2.2 (fixed header), 3.1 (CONNECT), 3.3 (PUBLISH), 3.4 (PUBACK).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CONNECT: Final = 0x10
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
LENGTH_BYTES_MAX: Final = 4
KEEPALIVE_S: Final = 20


@dataclass(frozen=True, slots=True)
class Publish:
    """One published message; `packet_id` is None where nobody acknowledges it (QoS 0)."""

    topic: str
    payload: bytes
    packet_id: int | None = None

    @property
    def leaf(self) -> str:
        """The last word of the topic."""
        return self.topic.rpartition("/")[2]


@dataclass(slots=True)
class Packets:
    """Cuts one direction of a connection into whole packets."""

    _rest: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield each packet that is whole now."""
        self._rest += chunk
        while (size := _size(self._rest)) is not None and size <= len(self._rest):
            packet, self._rest = self._rest[:size], self._rest[size:]
            yield packet


def parse_publish(packet: bytes) -> Publish | None:
    """Return what a packet publishes, None for a packet of another kind."""
    if packet[0] & 0xF0 != PUBLISH:
        return None
    body = packet[_size_of_head(packet) :]
    end = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:end].decode("utf-8", "replace")
    if not packet[0] & 0b110:
        return Publish(topic, body[end:])
    return Publish(topic, body[end + 2 :], int.from_bytes(body[end : end + 2], "big"))


def publish(topic: str, payload: bytes) -> bytes:
    """Return a packet that publishes without being acknowledged: it fits in anywhere."""
    return _packet(PUBLISH, _text(topic) + payload)


def puback(packet_id: int) -> bytes:
    """Return the acknowledgement of a published message."""
    return _packet(PUBACK, packet_id.to_bytes(2, "big"))


def connect(client_id: str, password: str) -> bytes:
    """Return a CONNECT with a clean session, under the client's id as user name."""
    flags = 0b1100_0010  # user name, password, clean session
    head = _text("MQTT") + bytes((4, flags)) + KEEPALIVE_S.to_bytes(2, "big")
    return _packet(CONNECT, head + _text(client_id) * 2 + _text(password))


def _packet(kind: int, body: bytes) -> bytes:
    left, length = len(body), b""
    while True:
        left, digit = left >> 7, left & 0x7F
        length += bytes((digit | 0x80 if left else digit,))
        if not left:
            return bytes((kind,)) + length + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def _size_of_head(packet: bytes) -> int:
    return 2 + next(i for i, byte in enumerate(packet[1:]) if not byte & 0x80)


def _size(received: bytes) -> int | None:
    """Return how long the first packet is, head included; None if that is not known yet."""
    length = 0
    for place, byte in enumerate(received[1 : 1 + LENGTH_BYTES_MAX]):
        length |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return 2 + place + length
    return None
