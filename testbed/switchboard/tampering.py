"""What faults make of the messages between one node and the broker. Pure: time comes from outside.

Whoever sits on the line sees signed bytes. He can lose, repeat, hold back and alter them, and send
what he likes; he cannot sign. Only `clone` can, with keys that somebody copied from the node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from messages import topics
from testbed.switchboard.packets import Publish, parse_publish, puback, publish

REMEMBERED: Final = 50
FLOOD: Final = 50
ORDERED: Final = ("register", "telemetry", "ack")
SWALLOWED_EVERY: Final = 2
OVERSIZED_BYTES: Final = 40_000
DEEP: Final = 5_000


@dataclass(slots=True)
class Sent:
    """Packets that go on, by their direction."""

    to_broker: list[bytes] = field(default_factory=list)
    to_node: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Tampering:
    """Owns which faults are on for one node's line, and what went over it lately."""

    microgrid: str
    node: str
    copied: Callable[[], tuple[bytes, ...]]
    on: set[str] = field(default_factory=set)
    _readings: deque[Publish] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _leases: deque[Publish] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _held: list[bytes] = field(default_factory=list)
    _turn: int = 0
    _swallowed: int = 0

    def upward(self, packet: bytes) -> Sent:
        """Return what becomes of a packet from the node to the broker."""
        found = parse_publish(packet)
        if found is None:
            return Sent([packet])
        if found.leaf in ORDERED:
            self._readings.append(found)
        if "lossy" in self.on and found.packet_id is not None:
            self._swallowed += 1
            if self._swallowed % SWALLOWED_EVERY == 0:
                return Sent([], [puback(found.packet_id)])
        copy = publish(found.topic, found.payload)
        more = [copy] * (("duplicate" in self.on) + FLOOD * ("flood" in self.on))
        if "reorder" not in self.on:
            return Sent([packet, *more])
        first, self._held = self._held, [] if self._held else [packet]
        return Sent([packet, *more, *first] if first else more)

    def downward(self, packet: bytes) -> Sent:
        """Return what becomes of a packet from the broker to the node."""
        found = parse_publish(packet)
        if found is not None and found.leaf == "lease":
            self._leases.append(found)
        return Sent([], [packet])

    def each_second(self) -> Sent:
        """Return what is sent once a second besides."""
        self._turn += 1
        sent = Sent(self._held)
        self._held = []
        sent.to_broker += [publish(each.topic, each.payload) for each in self._hostile()]
        if "old_leases" in self.on:
            # All but the newest: each was superseded by a later one, or has run out.
            sent.to_node += [publish(each.topic, each.payload) for each in [*self._leases][:-1]]
        return sent

    def _hostile(self) -> Iterator[Publish]:
        register = topics.up(self.microgrid, self.node, "register")
        if "replay" in self.on and self._readings:
            yield self._readings[self._turn % len(self._readings)]
        if "forged" in self.on and self._readings:
            true = self._readings[self._turn % len(self._readings)]
            yield Publish(true.topic, true.payload[:-1] + bytes((true.payload[-1] ^ 1,)))
        if "malformed" in self.on:
            yield Publish(register, RUBBISH[self._turn % len(RUBBISH)])
        if "clone" in self.on:
            stolen = self.copied()
            yield Publish(register, stolen[self._turn % len(stolen)])


RUBBISH: Final = (
    b"",
    b"\xff" * 64,
    b'{"power_mw": NaN}',
    b"\x81" * DEEP,  # arrays in arrays
    bytes(OVERSIZED_BYTES),
    b"\xd2\x84\x43\xa1\x01\x27",  # the beginning of a signed message
)
"""Nothing of it is a message of ours: empty, no CBOR, JSON, nested, over 32 KiB, cut off."""
