"""Modbus frames without a wire: a request into bytes, and its one reply out of what was heard.

On a serial line anything may stand before a reply: an echo, a stray zero, noise, the late reply of
another device. So a reply is not what comes first but what fits: id, function, length and checksum.
What fits nothing is named, so that a person knows where to look.

RTU:  id(1) function(1) body(n) crc(2, low byte first)
TCP:  transaction(2) 0(2) length(2) id(1) function(1) body(n)

Source: Modbus application protocol 1.1b3; over serial line 1.02, 2.5.1; on TCP/IP 1.0b, 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from hardware.errors import BadChecksum, HardwareError, UnexpectedReply

IDENTIFY = 0x2B
EXCEPTIONS: Final[Mapping[int, str]] = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "busy",
    8: "memory parity",
    10: "gateway path unavailable",
    11: "gateway target silent",
}
"""Exception code -> what a device means by it. Source: application protocol 1.1b3, chapter 7."""

_EXCEPTION = 0x80
_READS = (1, 2, 3, 4)
_WRITES = (5, 6, 15, 16)
_ECHOED_WHOLE = (5, 6)
_RTU_OVERHEAD, _RTU_SHORTEST = 4, 5
_TCP_HEAD, _TCP_MOST = 7, 260
_OBJECTS_AT, _OBJECTS_MOST = 6, 252
_SHOWN = 24


def _crc_table() -> tuple[int, ...]:
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ 0xA001 if entry & 1 else entry >> 1  # noqa: PLW2901
        table.append(entry)
    return tuple(table)


_CRC = _crc_table()


def crc(frame: bytes) -> bytes:
    """Return the two check bytes of an RTU frame, low byte first.

    >>> crc(bytes.fromhex("01 04 00 00 00 02")).hex()
    '71cb'
    """
    rest = 0xFFFF
    for byte in frame:
        rest = rest >> 8 ^ _CRC[(rest ^ byte) & 0xFF]
    return rest.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one device, and what its answer must look like.

    Attributes:
        device: the Modbus id.
        function: the function code.
        body: what follows it.
        reply_bytes: what follows it in the reply; None: a list of identification objects.
        begins: what must follow it first: a byte count, or the address and values of a write.
        what: in words, for a message.
    """

    device: int
    function: int
    body: bytes
    reply_bytes: int | None
    begins: bytes
    what: str

    @property
    def pdu(self) -> bytes:
        """The function code and what follows it."""
        return bytes([self.function]) + self.body

    @property
    def most_bytes(self) -> int:
        """The length of its longest reply, without the function code."""
        return _OBJECTS_MOST if self.reply_bytes is None else self.reply_bytes

    def reply_size(self, body: bytes) -> int:
        """Return how much follows the function code, going by as much as has come of it."""
        return _objects_size(body) if self.reply_bytes is None else self.reply_bytes

    def is_answered_by(self, pdu: bytes) -> bool:
        """Whether this is a whole reply to it, good or an exception; `pdu` begins with the code."""
        if pdu[:1] == bytes([self.function | _EXCEPTION]):
            return len(pdu) == 2
        is_whole = len(pdu) == 1 + self.reply_size(pdu[1:])
        return pdu[:1] == bytes([self.function]) and is_whole and pdu[1:].startswith(self.begins)


def is_exception(pdu: bytes) -> bool:
    """Whether a reply is an exception; its code is the second byte."""
    return bool(pdu[0] & _EXCEPTION)


class Framing(Protocol):
    """How requests and replies lie on a wire. It may remember what it learned of the wire."""

    def frame(self, request: Request) -> bytes:
        """Return the bytes of a request."""

    def find(self, request: Request, heard: bytes) -> bytes | None:
        """Return the reply, from its function code on, if it has come.

        Raises:
            UnexpectedReply: what came is for this request, but does not answer it.
        """

    def is_spoilt(self, request: Request, heard: bytes) -> bool:
        """Whether so much came that the reply must be among it, and yet it is not."""

    def failure(self, request: Request, heard: bytes) -> HardwareError:
        """Name what came instead of the reply; `heard` is not empty."""


@dataclass(slots=True)
class RtuFraming:
    """Frames with a checksum on a serial line.

    Attributes:
        echoes: whether the adapter sends back what is sent. It is learned from each read; before
            the first the echo of a write (functions 5 and 6) would pass for its reply.
    """

    echoes: bool = False

    def frame(self, request: Request) -> bytes:
        """Return the bytes of a request."""
        head = bytes([request.device]) + request.pdu
        return head + crc(head)

    def find(self, request: Request, heard: bytes) -> bytes | None:
        """Return the reply wherever it begins."""
        sent = self.frame(request)
        is_echoed = sent in heard
        heard = heard.replace(sent, b"", 1) if self.echoes else heard
        for pdu in _candidates(request, heard):
            if request.is_answered_by(pdu):
                if request.function not in _ECHOED_WHOLE:
                    self.echoes = is_echoed
                return pdu
        return None

    def is_spoilt(self, request: Request, heard: bytes) -> bool:
        """Whether, behind an echo and others' frames, something as long begins like the reply.

        Noise is not enough: the reply may follow it, and late be taken for that to a next request.
        """
        ours = heard.replace(self.frame(request), b"", 1)
        for frame in _frames(ours):
            ours = ours.replace(frame, b"", 1)
        begins = ours.find(bytes([request.device, request.function]) + request.begins[:1])
        return 0 <= begins <= len(ours) - _RTU_OVERHEAD - request.most_bytes

    def failure(self, request: Request, heard: bytes) -> HardwareError:
        """Name a good frame that answers something else, or bytes that are no frame."""
        others = [frame for frame in _frames(heard) if frame != self.frame(request)]
        if others:
            return UnexpectedReply(_difference(request, others[0][0], others[0][1:-2]))
        if heard == self.frame(request):
            return BadChecksum(
                f"only the request came back: the adapter echoes, or the device is silent: "
                f"{shown(heard)}"
            )
        return BadChecksum(f"{len(heard)} bytes but no valid reply: {shown(heard)}")


@dataclass(slots=True)
class TcpFraming:
    """Frames with a transaction number: a late reply cannot be taken for another."""

    _transaction: int = field(default=0)

    def frame(self, request: Request) -> bytes:
        """Return the bytes of a request, with the next transaction number."""
        self._transaction = self._transaction % 0xFFFF + 1
        length = 2 + len(request.body)
        head = self._transaction.to_bytes(2, "big") + b"\0\0" + length.to_bytes(2, "big")
        return head + bytes([request.device]) + request.pdu

    def find(self, request: Request, heard: bytes) -> bytes | None:
        """Return the reply with the number of the last request."""
        while len(heard) > _TCP_HEAD:
            size = 6 + int.from_bytes(heard[4:6], "big")
            if heard[2:4] != b"\0\0" or not _TCP_HEAD < size <= _TCP_MOST:
                raise UnexpectedReply(f"no Modbus TCP frame: {shown(heard)}")
            if len(heard) < size:
                return None
            frame, heard = heard[:size], heard[size:]
            if int.from_bytes(frame[:2], "big") == self._transaction:
                return self._checked(request, frame)
        return None

    def is_spoilt(self, request: Request, heard: bytes) -> bool:
        """No: TCP delivers whole frames, or none."""
        return False

    def failure(self, request: Request, heard: bytes) -> HardwareError:
        """Name a frame of another request, or a part of one."""
        if len(heard) > _TCP_HEAD and len(heard) >= 6 + int.from_bytes(heard[4:6], "big"):
            got = int.from_bytes(heard[:2], "big")
            return UnexpectedReply(f"a reply to request {got}, want {self._transaction}")
        return BadChecksum(f"{len(heard)} bytes but no valid reply: {shown(heard)}")

    def _checked(self, request: Request, frame: bytes) -> bytes:
        device, pdu = frame[6], frame[7:]
        if device == request.device and request.is_answered_by(pdu):
            return pdu
        raise UnexpectedReply(_difference(request, device, pdu))


def shown(content: bytes) -> str:
    """Return bytes in hex for a message, the end left out where they are many."""
    more = f" and {len(content) - _SHOWN} more" if len(content) > _SHOWN else ""
    return content[:_SHOWN].hex(" ") + more


def _candidates(request: Request, heard: bytes) -> Iterator[bytes]:
    """Yield what has the id, one of the two function codes, the length and a right checksum."""
    wanted = (request.function, request.function | _EXCEPTION)
    for at in range(len(heard) - _RTU_SHORTEST + 2):
        if heard[at] != request.device or heard[at + 1] not in wanted:
            continue
        size = 1 if heard[at + 1] & _EXCEPTION else request.reply_size(heard[at + 2 :])
        frame = heard[at : at + _RTU_OVERHEAD + size]
        if len(frame) == _RTU_OVERHEAD + size and crc(frame[:-2]) == frame[-2:]:
            yield frame[1:-2]


def _frames(heard: bytes) -> Iterator[bytes]:
    """Yield every good reply of any device, to any request, one after another."""
    at = 0
    while at + _RTU_SHORTEST <= len(heard):
        size = _size_of_any(heard[at + 1 :])
        frame = heard[at : at + size]
        if size and len(frame) == size and crc(frame[:-2]) == frame[-2:]:
            yield frame
            at += size
        else:
            at += 1


def _size_of_any(pdu: bytes) -> int:
    """Return the length of the frame of some reply, 0 for a function that is not known."""
    function = pdu[0]
    if function & _EXCEPTION:
        return _RTU_OVERHEAD + 1
    if function in _READS:
        return _RTU_OVERHEAD + 1 + pdu[1]
    if function in _WRITES:
        return _RTU_OVERHEAD + 4
    return _RTU_OVERHEAD + _objects_size(pdu[1:]) if function == IDENTIFY else 0


def _objects_size(body: bytes) -> int:
    """Return the length of a list of identification objects, going by as much as has come.

    `0E, read code, conformity, more, next, number of objects, then: key, length, text`.
    """
    size, objects = _OBJECTS_AT, body[_OBJECTS_AT - 1] if len(body) >= _OBJECTS_AT else 0
    for _ in range(objects):
        size += 2 + (body[size + 1] if len(body) > size + 1 else 0)
    return size


def _difference(request: Request, device: int, pdu: bytes) -> str:
    """Return in which way a good reply is not the one to this request."""
    if device != request.device:
        return f"a reply of device {device}, want one of {request.device}"
    function = pdu[0] & ~_EXCEPTION
    if function != request.function:
        return f"a reply to function {function}, want one to {request.function}"
    if len(pdu) - 1 != request.reply_size(pdu[1:]):
        return f"a reply of {len(pdu) - 1} bytes, want {request.most_bytes}: {shown(pdu)}"
    return f"a reply that repeats another request: {shown(pdu)}"
