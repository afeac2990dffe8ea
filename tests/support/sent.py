"""What a recorded process handed to the broker, read back from the sends of its record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.crash_states import Record

PUBLISH = 3


@dataclass(frozen=True, slots=True)
class Sent:
    """One MQTT PUBLISH whose last byte was handed to the kernel by record number `at`."""

    at: int
    topic: str
    payload: bytes


def published(records: list[Record]) -> Iterator[Sent]:
    """Yield every PUBLISH of the record, in order (MQTT 3.1.1, section 3.3)."""
    streams: dict[int, bytearray] = {}
    for at, record in enumerate(records, 1):
        if record.op != "N":
            continue
        stream = streams.setdefault(record.offset, bytearray())
        if record.content[:1] == b"\x10" and b"MQTT" in record.content[:12]:
            stream.clear()  # a CONNECT: the number names a new socket
        stream += record.content
        while (packet := _take_packet(stream)) is not None:
            if packet[0] >> 4 == PUBLISH:
                yield _parse(at, packet[0], packet[1:])


def _take_packet(stream: bytearray) -> bytes | None:
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


def _parse(at: int, flags: int, body: bytes) -> Sent:
    end = 2 + int.from_bytes(body[:2], "big")
    start = end + 2 if flags & 0x06 else end
    return Sent(at, body[2:end].decode(), body[start:])
