"""Modbus frames as they were caught on a wire: RTU, TCP or bare PDU, told apart and checked.

Nothing is repaired but one thing: zero bytes before a complete RTU frame, which the turn-around
of RS-485 adapters makes, are dropped. A frame that lacks its last byte is refused.

Source: Modbus application protocol 1.1b3, chapter 6; Modbus over serial line 1.02, 2.5.1;
Modbus messaging on TCP/IP 1.0b, 3.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from edge.commissioning.errors import BadFrame
from hardware.buses.modbus_frames import crc

RTU: Final = "RTU"
TCP: Final = "Modbus TCP"
PDU: Final = "bare PDU"
EXCEPTION_BIT: Final = 0x80
READ_BITS: Final = (1, 2)
READ_WORDS: Final = (3, 4)
WRITE_BIT, WRITE_WORD, WRITE_BITS, WRITE_WORDS = 5, 6, 15, 16
IDENTIFY: Final = 0x2B
RESET_ENERGY: Final = 0x42
"""PZEM: back to zero, without data. Source: Peacefair PZEM-016 data sheet, 2.7."""

_MBAP_BYTES: Final = 7
_SHORTEST_RTU: Final = 4
_READS: Final = (*READ_BITS, *READ_WORDS)
_WRITES: Final = (WRITE_BIT, WRITE_WORD, WRITE_BITS, WRITE_WORDS)


@dataclass(frozen=True, slots=True)
class Message:
    """One request or reply, without its framing.

    Attributes:
        framing: RTU, TCP or PDU.
        unit: the id of the device; None in a bare PDU.
        function: the function code, with bit 7 set in an exception.
        body: what follows the function code.
        stray: zero bytes that came before the frame.
        transaction: the number of a Modbus TCP frame.
    """

    framing: str
    unit: int | None
    function: int
    body: bytes
    stray: int = 0
    transaction: int | None = None

    @property
    def pair(self) -> tuple[int, int]:
        """The first two words of the body: address and count, or address and value."""
        return int.from_bytes(self.body[:2], "big"), int.from_bytes(self.body[2:4], "big")


def parse_hex(text: str, what: str) -> bytes:
    """Return the bytes of a hex text; blanks, commas, colons and 0x between bytes are allowed.

    >>> parse_hex("01 04,0x00", "request").hex()
    '010400'

    Raises:
        BadFrame: a character is no hex digit, or half a byte is left over.
    """
    digits = re.sub(r"0[xX]|[\s,:]", "", text)
    wrong = re.search(r"[^0-9a-fA-F]", digits)
    if wrong is not None:
        raise BadFrame(f"{what}: {wrong[0]!r} is no hex digit; want bytes as in 01 04 00 00")
    if not digits or len(digits) % 2:
        raise BadFrame(f"{what}: {len(digits)} hex digits, want two for each byte")
    return bytes.fromhex(digits)


def parse_request(raw: bytes) -> Message:
    """Return a checked request; raises BadFrame."""
    return _parse(raw, "request", _request_bytes)


def parse_reply(raw: bytes, request: Message | None = None) -> Message:
    """Return a checked reply, which must answer this request if one is given.

    Raises:
        BadFrame: framing, CRC, length, id, function or echo is wrong; the text says which.
    """
    if request is None:
        return _parse(raw, "reply", _reply_bytes)
    reply = _parse(raw, "reply", _reply_bytes, request)
    if reply.unit != request.unit:
        raise BadFrame(f"reply: is from id {reply.unit}, want {request.unit} as in the request")
    if reply.transaction != request.transaction:
        raise BadFrame(
            f"reply: has transaction {reply.transaction}, want {request.transaction} "
            "as in the request"
        )
    if reply.function & ~EXCEPTION_BIT != request.function:
        raise BadFrame(
            f"reply: has function {_code(reply.function)}, want {_code(request.function)} "
            "as in the request"
        )
    if not reply.function & EXCEPTION_BIT:
        _check_content(request, reply)
    return reply


def _check_content(request: Message, reply: Message) -> None:
    """Compare what a reply must repeat of its request, or how much it must hold."""
    if request.function in _READS:
        want = _held_bytes(request)
        unit = "registers" if request.function in READ_WORDS else "bits"
        if reply.body[0] != want:
            raise BadFrame(
                f"reply: length: holds {reply.body[0]} bytes, want {want} for the "
                f"{request.pair[1]} {unit} of the request"
            )
    elif request.function in _WRITES and reply.body != request.body[:4]:
        raise BadFrame(
            f"reply: repeats {reply.body.hex(' ').upper()}, want the "
            f"{request.body[:4].hex(' ').upper()} of the request: it answers another one"
        )


def _held_bytes(request: Message) -> int:
    """Return how many bytes the answer to a read holds."""
    count = request.pair[1]
    return 2 * count if request.function in READ_WORDS else (count + 7) // 8


# --- framing -------------------------------------------------------------------------------------


def _parse(
    raw: bytes, what: str, size: Callable[[bytes], int | None], request: Message | None = None
) -> Message:
    """Return the message in a frame; `size` gives the bytes that a PDU must have."""
    found = list(_framings(raw, size))
    want = request.framing if request else None
    for message in found:
        if want in (None, message.framing):
            _check_size(message, what, size)
            return message
    if found:
        framing = found[0].framing
        raise BadFrame(f"{what}: is framed as {framing}, want {want} as in the request")
    if request is not None and request.function in _READS and not _is_exception(raw, want):
        asked = 2 + _held_bytes(request)
        raise BadFrame(f"{what}: {_complaint(raw, lambda _pdu: asked, want)}")
    raise BadFrame(f"{what}: {_complaint(raw, size, want)}")


def _is_exception(raw: bytes, framing: str | None) -> bool:
    at = {RTU: 1, TCP: _MBAP_BYTES, PDU: 0}[framing or RTU]
    raw = raw.lstrip(b"\0") if framing == RTU else raw
    return len(raw) > at and bool(raw[at] & EXCEPTION_BIT)


def _framings(raw: bytes, size: Callable[[bytes], int | None]) -> Iterator[Message]:
    """Yield the message in each framing whose own checks it passes, the surest first."""
    bare = raw.lstrip(b"\0")
    for candidate in dict.fromkeys((raw, bare)):
        if len(candidate) >= _SHORTEST_RTU and crc(candidate[:-2]) == candidate[-2:]:
            stray = len(raw) - len(candidate)
            yield Message(RTU, candidate[0], candidate[1], candidate[2:-2], stray)
    if _is_tcp(raw) and int.from_bytes(raw[4:6], "big") == len(raw) - 6:
        transaction = int.from_bytes(raw[:2], "big")
        yield Message(TCP, raw[6], raw[7], raw[8:], transaction=transaction)
    if raw and size(raw) == len(raw):
        yield Message(PDU, None, raw[0], raw[1:])


def _is_tcp(raw: bytes) -> bool:
    """Whether this begins like a Modbus TCP frame of a function that is in use."""
    return (
        len(raw) > _MBAP_BYTES
        and raw[2:4] == b"\0\0"
        and raw[7] & ~EXCEPTION_BIT in _FUNCTIONS
        and raw[4] in (0, 1)
    )


def _check_size(message: Message, what: str, size: Callable[[bytes], int | None]) -> None:
    pdu = bytes([message.function]) + message.body
    want = size(pdu)
    if want is not None and len(pdu) != want:
        raise BadFrame(
            f"{what}: length: {len(pdu)} bytes from the function code on, want {want} for "
            f"function {_code(message.function)}"
        )


def _complaint(raw: bytes, size: Callable[[bytes], int | None], want: str | None) -> str:
    """Say what is wrong with bytes that are no frame at all."""
    if want == TCP or (want is None and _is_tcp(raw)):
        return _tcp_complaint(raw)
    if want == PDU:
        length = size(raw)
        return f"length: {len(raw)} bytes, want {length or 'more'} for a bare PDU"
    bare = raw.lstrip(b"\0")
    stray = len(raw) - len(bare)
    behind = f" after {stray} stray zero byte{'s' if stray > 1 else ''}" if stray else ""
    pdu_bytes = size(bare[1:]) if len(bare) > 1 else None
    length = None if pdu_bytes is None else pdu_bytes + 3
    if len(bare) < (length or _SHORTEST_RTU):
        return (
            f"length: {len(bare)} bytes{behind}, want {length or _SHORTEST_RTU}: its end is missing"
        )
    if length is not None and len(bare) > length:
        return f"length: {len(bare)} bytes{behind}, want {length}"
    got, right = bare[-2:], crc(bare[:-2])
    return f"CRC is {got.hex(' ').upper()}, want {right.hex(' ').upper()}"


def _tcp_complaint(raw: bytes) -> str:
    if len(raw) <= _MBAP_BYTES or raw[2:4] != b"\0\0":
        return "is no Modbus TCP frame: want protocol 00 00 in its bytes 3 and 4"
    told = int.from_bytes(raw[4:6], "big")
    return f"length: the header says {told} bytes, {len(raw) - 6} follow"


# --- how long a PDU is ---------------------------------------------------------------------------


def _request_bytes(pdu: bytes) -> int | None:
    """Return how many bytes a request must have, from its function code; None if unknown."""
    function = pdu[0]
    if function in (*_READS, WRITE_BIT, WRITE_WORD):
        return 5
    if function in (WRITE_BITS, WRITE_WORDS):
        return _counted_write_bytes(pdu)
    return _FIXED_REQUESTS.get(function)


def _counted_write_bytes(pdu: bytes) -> int:
    if len(pdu) < 6:
        return 6
    count = int.from_bytes(pdu[3:5], "big")
    return 6 + (2 * count if pdu[0] == WRITE_WORDS else (count + 7) // 8)


def _reply_bytes(pdu: bytes) -> int | None:
    """Return how many bytes a reply must have, as its first bytes tell; None if unknown."""
    function = pdu[0]
    if function & EXCEPTION_BIT:
        return 2
    if function in _COUNTED_REPLIES:
        return 2 + pdu[1] if len(pdu) > 1 else 2
    if function == IDENTIFY:
        return _identification_bytes(pdu)
    return _FIXED_REPLIES.get(function)


def _identification_bytes(pdu: bytes) -> int:
    """Return the length of an identification reply: its objects are `id, length, text`."""
    end = 7
    for _ in range(pdu[6] if len(pdu) > 6 else 0):
        if len(pdu) < end + 2:
            return end + 2
        end += 2 + pdu[end + 1]
    return end


_FIXED_REQUESTS: Final[Mapping[int, int]] = {7: 1, 0x11: 1, IDENTIFY: 4, RESET_ENERGY: 1}
_FIXED_REPLIES: Final[Mapping[int, int]] = {
    WRITE_BIT: 5,
    WRITE_WORD: 5,
    7: 2,
    WRITE_BITS: 5,
    WRITE_WORDS: 5,
    RESET_ENERGY: 1,
}
_COUNTED_REPLIES: Final = (*_READS, 0x11, 0x17)
_FUNCTIONS: Final = frozenset((*_FIXED_REQUESTS, *_FIXED_REPLIES, *_COUNTED_REPLIES))


def _code(function: int) -> str:
    return f"0x{function:02X}"
