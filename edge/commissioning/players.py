"""Buses made of a trace: a driver reads from them as it would from the wire.

Requests are answered from the trace in its order, each from the next frame that holds what is
asked for. What the trace does not have is `TraceEnded`, never an invented answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge.commissioning import frames
from edge.commissioning.errors import BadFrame
from edge.commissioning.exchanges import identification, unpack_bits, unpack_words
from edge.commissioning.frames import Message
from edge.trace import RECEIVED, SENT, Frame, Trace
from hardware.buses.modbus_frames import EXCEPTIONS
from hardware.errors import (
    BadChecksum,
    BusTimeout,
    DeviceAbsent,
    DeviceBusy,
    DeviceRefused,
    HardwareError,
)
from hardware.ports import Manners

_BUSY, _SILENT = (5, 6), (10, 11)


class TraceEnded(HardwareError):
    """The trace has nothing more that answers this."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of a trace, and what came back: a reply, or why there is none."""

    at_us: int
    request: Message
    reply: Message | None
    fault: str

    def holds(self, unit: int, function: int, address: int, count: int) -> bool:
        """Whether it is a read of at least these."""
        if (self.request.unit, self.request.function) != (unit, function):
            return False
        first, held = self.request.pair
        return first <= address and address + count <= first + held


def exchanges_of(trace: Trace) -> tuple[Exchange, ...]:
    """Return the Modbus exchanges in a trace, in order; a request that is none is left out."""
    found: list[Exchange] = []
    for sent, received, at_us in _turns(trace.frames):
        try:
            request = frames.parse_request(sent)
        except BadFrame:
            continue
        reply, fault = None, ""
        if received:
            try:
                reply, fault = frames.parse_reply(_without_echo(sent, received), request), ""
            except BadFrame as error:
                fault = str(error)
        found.append(Exchange(at_us, request, reply, fault))
    return tuple(found)


def _turns(rows: Sequence[Frame]) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield what was sent, all that came until the next sending, and when."""
    sent: Frame | None = None
    received, at_us = b"", 0
    for row in rows:
        if row.direction == SENT:
            if sent is not None:
                yield sent.raw, received, at_us
            sent, received, at_us = row, b"", row.at_us
        elif row.direction == RECEIVED:
            received, at_us = received + row.raw, row.at_us
    if sent is not None:
        yield sent.raw, received, at_us


def _without_echo(sent: bytes, received: bytes) -> bytes:
    """Return a reply without the request that some adapters send back first."""
    bare = received.lstrip(b"\0")
    return bare[len(sent) :] if bare.startswith(sent) and len(bare) > len(sent) else received


class ModbusPlayer:
    """A `ModbusPort` that answers from a trace."""

    def __init__(self, trace: Trace, constants: frozenset[tuple[int, int]] = frozenset()) -> None:
        """Read the exchanges.

        Args:
            trace: what went over the bus.
            constants: function and address of what never changes, as a serial number: it may be
                answered again from earlier in the trace.
        """
        self.exchanges = exchanges_of(trace)
        self.at_us = 0
        self._constants = constants
        self._next = 0
        self._given: set[int] = set()

    @property
    def units(self) -> tuple[int, ...]:
        """The ids that were asked, in order of their first question."""
        found = dict.fromkeys(each.request.unit for each in self.exchanges)
        return tuple(unit for unit in found if unit is not None)

    @property
    def position(self) -> int:
        """How far it has played."""
        return self._next

    def turn(self) -> None:
        """Nothing comes by itself."""

    def heed(self, device: int, manners: Manners) -> None:
        """Nothing waits here."""

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Answer from the next read that holds these registers."""
        exchange, reply = self._found(device, function, address, count)
        skipped = address - exchange.request.pair[0]
        return unpack_words(reply.body[1:])[skipped : skipped + count]

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Answer from the next read that holds these bits."""
        exchange, reply = self._found(device, function, address, count)
        first, held = exchange.request.pair
        bits = unpack_bits(reply.body[1:], held)[address - first :]
        return tuple(bool(bit) for bit in bits[:count])

    def identify(self, device: int) -> Mapping[int, str]:
        """Answer from any identification in the trace."""
        for exchange in self.exchanges:
            reply = exchange.reply
            if reply and (reply.unit, reply.function) == (device, frames.IDENTIFY):
                return identification(reply.body)
        raise DeviceRefused(f"device {device}: the trace has no identification", 1)

    def write_bit(self, device: int, address: int, energised: bool) -> None:
        """Take it: a replay writes nowhere."""

    def write_bits(self, device: int, address: int, bits: tuple[bool, ...]) -> None:
        """Take it: a replay writes nowhere."""

    def write_word(self, device: int, address: int, word: int) -> None:
        """Take it: a replay writes nowhere."""

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        """Take it: a replay writes nowhere."""

    def call(self, device: int, function: int, body: bytes, reply_bytes: int) -> bytes:
        """Answer from the next exchange of this vendor's function."""
        for place in range(self._next, len(self.exchanges)):
            request = self.exchanges[place].request
            if (request.unit, request.function, request.body) == (device, function, body):
                return self._taken(place).body
        raise TraceEnded(f"device {device}: no more of function 0x{function:02X}")

    def close(self) -> None:
        """Nothing to close."""

    def _found(
        self, device: int, function: int, address: int, count: int
    ) -> tuple[Exchange, Message]:
        """Return the next read that holds all of these; the last one may be given out in parts."""
        asked = set(range(address, address + count))
        last = self._next - 1
        if last >= 0 and self.exchanges[last].holds(device, function, address, count):
            reply = self.exchanges[last].reply
            is_good = reply is not None and not reply.function & frames.EXCEPTION_BIT
            if reply is not None and is_good and not asked & self._given:
                self._given |= asked
                return self.exchanges[last], reply
        for place in self._places(function, address):
            if self.exchanges[place].holds(device, function, address, count):
                reply = self._taken(place)
                self._given = asked
                return self.exchanges[place], reply
        what = f"{count} at 0x{address:04X} with function {function}"
        raise TraceEnded(f"device {device}: the trace has no more read of {what}")

    def _places(self, function: int, address: int) -> Iterator[int]:
        yield from range(self._next, len(self.exchanges))
        if (function, address) in self._constants:
            yield from range(self._next)

    def _taken(self, place: int) -> Message:
        """Move on to an exchange and return its reply; raises what the driver then met."""
        exchange = self.exchanges[place]
        if place >= self._next:
            self._next = place + 1
            self.at_us = exchange.at_us
        reply = exchange.reply
        if reply is None:
            raise BadChecksum(exchange.fault) if exchange.fault else BusTimeout("no reply")
        if reply.function & frames.EXCEPTION_BIT:
            raise _refusal(reply.body[0])
        return reply


def _refusal(code: int) -> HardwareError:
    message = f"exception {code}, {EXCEPTIONS.get(code, 'unknown')}"
    if code in _BUSY:
        return DeviceBusy(message)
    return DeviceAbsent(message) if code in _SILENT else DeviceRefused(message, code)


class I2cPlayer:
    """An `I2cPort` that answers from a trace."""

    def __init__(self, trace: Trace) -> None:
        """Take the transfers."""
        self._frames = trace.frames
        self._next = 0
        self.at_us = 0

    @property
    def position(self) -> int:
        """How far it has played."""
        return self._next

    def turn(self) -> None:
        """Nothing comes by itself."""

    @property
    def addresses(self) -> tuple[int, ...]:
        """The addresses that were used, in order."""
        return tuple(dict.fromkeys(each.raw[0] for each in self._frames if each.raw))

    def read_word(self, address: int, register: int) -> int:
        """Answer from the next read of this register."""
        for place in range(self._next, len(self._frames)):
            row = self._frames[place]
            if (row.direction, row.raw) != (SENT, bytes([address, register])):
                continue
            reply = self._frames[place + 1] if place + 1 < len(self._frames) else None
            if reply is None or reply.direction == SENT:
                continue
            self._next, self.at_us = place + 2, reply.at_us
            if len(reply.raw) < 3:
                raise DeviceAbsent(f"address 0x{address:02X}: no acknowledge")
            return int.from_bytes(reply.raw[1:3], "big")
        raise TraceEnded(f"address 0x{address:02X}: no more read of register 0x{register:02X}")

    def write_word(self, address: int, register: int, word: int) -> None:
        """Take it: a replay writes nowhere."""

    def close(self) -> None:
        """Nothing to close."""


class BytePlayer:
    """A `BytePort` that gives out what came in, piece by piece: one for each `turn`."""

    def __init__(self, trace: Trace) -> None:
        """Take what came in."""
        self._pieces = [each for each in trace.frames if each.direction == RECEIVED]
        self._given = 0
        self._next = 0
        self.at_us = 0

    @property
    def position(self) -> int:
        """How far it has played."""
        return self._next

    def turn(self) -> None:
        """Let the next piece come.

        Raises:
            TraceEnded: there is none.
        """
        if self._next >= len(self._pieces):
            raise TraceEnded("the trace has no more bytes")
        self.at_us = self._pieces[self._next].at_us
        self._next += 1

    def read(self) -> bytes:
        """Return what came since the last call."""
        pieces, self._given = self._pieces[self._given : self._next], self._next
        return b"".join(each.raw for each in pieces)

    def write(self, sent: bytes) -> None:
        """Take it: a replay writes nowhere."""

    def close(self) -> None:
        """Nothing to close."""
