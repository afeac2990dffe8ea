"""What a recorded process handed to the broker and got from it, read back from its record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.crash_states import Record

PUBLISH = 3
SENT, RECEIVED, CLOSED = "N", "I", "C"


@dataclass(frozen=True, slots=True)
class Packet:
    """One MQTT PUBLISH whose last byte passed the kernel with record number `at`, counted from 1.

    In the folder that `crash_states` yields for `played` records, it had passed if at <= played.
    """

    at: int
    topic: str
    payload: bytes

    @property
    def leaf(self) -> str:
        """The last word of the topic."""
        return self.topic.rsplit("/", 1)[-1]


def published(records: list[Record]) -> Iterator[Packet]:
    """Yield every PUBLISH that the process sent, in order (MQTT 3.1.1, section 3.3)."""
    return _packets(records, SENT)


def received(records: list[Record]) -> Iterator[Packet]:
    """Yield every PUBLISH that the process received, in order."""
    return _packets(records, RECEIVED)


def _packets(records: list[Record], way: str) -> Iterator[Packet]:
    """Follow the sockets on which the process said CONNECT; others speak other languages."""
    streams: dict[int, bytearray] = {}
    for at, record in enumerate(records, 1):
        if record.op == CLOSED:
            streams.pop(record.offset, None)
        if record.op == SENT and record.content[:1] == b"\x10" and b"MQTT" in record.content[:12]:
            streams[record.offset] = bytearray()
        if record.op != way or record.offset not in streams:
            continue
        stream = streams[record.offset]
        stream += record.content
        while (packet := _take_packet(stream)) is not None:
            if packet[0] >> 4 == PUBLISH:
                yield _parse(at, packet)


def _take_packet(stream: bytearray) -> bytes | None:
    """Take the first whole packet off: its first byte and its body."""
    length, shift, at = 0, 0, 1
    while True:
        if at >= len(stream) or at > 4:
            return None
        length |= (stream[at] & 0x7F) << shift
        shift += 7
        at += 1
        if stream[at - 1] < 0x80:
            break
    if len(stream) < at + length:
        return None
    packet = bytes((stream[0], *stream[at : at + length]))
    del stream[: at + length]
    return packet


def _parse(at: int, packet: bytes) -> Packet:
    end = 3 + int.from_bytes(packet[1:3], "big")
    start = end + 2 if packet[0] & 0x06 else end
    return Packet(at, packet[3:end].decode(), packet[start:])
