"""What agent and guard say to each other: frames of 4 bytes length, big-endian, and a CBOR map.

From the guard to the agent:
    {"nonce": 16 bytes, "boottime_ms": when it was made}, once a second, and at once on connect
    {"relays": [{relay, energised, lease_left_ms, reason, unavailable}, ...],
     "nonce_every_ms": the pace it has use for}, with each nonce and each change
    {"ack": {relay, sequence, energised, outcome, reason, boottime_ms}}
From the agent to the guard:
    {"lease": signed bytes}
    {"alive": true}, at least twice a second; with "hold" no relay may move, and why

The thread of a bus that has relays is spoken to in the same frames, as values, but that the nonces
go to it: the agent passes on those of the guard, or makes them where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from messages import cbor
from messages.errors import MalformedMessage

FRAME_BYTES_MAX: Final = 65_535
LENGTH_BYTES: Final = 4


def encode_frame(message: dict[str, Any]) -> bytes:
    """Return a message as one frame."""
    body = cbor.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


@dataclass(slots=True)
class FrameReader:
    """Puts a stream of bytes back together."""

    _rest: bytes = b""

    def take(self, received: bytes) -> Iterator[dict[str, Any]]:
        """Yield every message that is whole now.

        Raises:
            MalformedMessage: a frame is too long or holds no map; the connection is worthless.
        """
        self._rest += received
        while len(self._rest) >= LENGTH_BYTES:
            length = int.from_bytes(self._rest[:LENGTH_BYTES], "big")
            if length > FRAME_BYTES_MAX:
                raise MalformedMessage(f"a frame of {length} bytes, at most {FRAME_BYTES_MAX}")
            end = LENGTH_BYTES + length
            if len(self._rest) < end:
                return
            message = cbor.decode(self._rest[LENGTH_BYTES:end])
            self._rest = self._rest[end:]
            if not isinstance(message, dict):
                raise MalformedMessage("a frame holds a map")
            yield message
