"""The Modbus bus, over TCP, a serial line, or a serial line behind a TCP server.

One bus object serves many devices and threads, one request at a time. RTU frames carry no
number: after a timeout the port is reopened, and the device is left alone until its reply must be
over. A late reply of another device is known by its id and passed over.

There is no library under it, on purpose. pymodbus 3.16 throws away a good reply that follows the
late one of another device, or noise; it needs a class for each vendor function; and with its
polling, short requests at 9600 baud got 0.72 of what the wire allows (measured; here 0.90).

Source: Modbus application protocol 1.1b3; Modbus over serial line 1.02, sections 2.3 and 2.5.
Known limits: not noticed are a reply later than twice the timeout, and one that comes late behind
bytes that look like a damaged one, both of the same device, function and length as the next.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hardware.buses.modbus_frames import (
    EXCEPTIONS,
    IDENTIFY,
    Framing,
    Request,
    RtuFraming,
    TcpFraming,
    is_exception,
)
from hardware.buses.modbus_lines import MONOTONIC, Clock, Line, SerialLine, SocketLine
from hardware.buses.modbus_options import ModbusRtuOptions, ModbusRtuTcpOptions, ModbusTcpOptions
from hardware.errors import (
    BadChecksum,
    BusTimeout,
    DeviceAbsent,
    DeviceBusy,
    DeviceRefused,
    HardwareError,
    UnexpectedReply,
)
from hardware.health import DeviceHealth
from hardware.ports import Manners, Trace

_BUSY, _SILENT = (5, 6), (10, 11)
_FRAME_OVERHEAD = 4
_QUIET_S = 0.06
_HANDS = 4
_BASIC, _IDENTIFICATION_PARTS_MAX = 1, 16
_BITS, _SILENT_CHARACTERS = 11, 3.5
_FAST_BAUD, _FAST_SILENCE_S = 19_200, 0.001_75
_LATENCY_S, _PAUSE_S = 0.5, 0.1
_CONNECT_S = 3.0
_ADAPTER_MARGIN_S, _NETWORK_MARGIN_S, _GATEWAY_MARGIN_S = 0.06, 0.25, 0.5


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a request may take and what must lie between two.

    Attributes:
        latency_s: from the end of a request to its reply, where neither bus nor device says so.
        margin_s: what adapters and networks add.
        byte_s: one byte on the wire; 0 on TCP.
        silence_s: between any two frames on the wire.
        pause_s: between a reply and the next request to that device, where neither says so.
        settle: rest of a device after a timeout, as a multiple of that timeout.
        given_latency_s: overrides what devices ask for.
        given_pause_s: overrides what devices ask for.
    """

    latency_s: float
    margin_s: float
    byte_s: float
    silence_s: float
    pause_s: float
    settle: float
    given_latency_s: float | None = None
    given_pause_s: float | None = None

    def timeout_s(self, manners: Manners | None, wire_bytes: int) -> float:
        """Return the timeout of a request that takes so many bytes, there and back. [s]"""
        asked_s = manners.latency_ms / 1000 if manners and manners.latency_ms else self.latency_s
        latency_s = asked_s if self.given_latency_s is None else self.given_latency_s
        return latency_s + wire_bytes * self.byte_s + self.margin_s

    def rest_s(self, manners: Manners | None) -> float:
        """Return the rest between a reply of a device and the next request to it. [s]"""
        asked_s = manners.pause_ms / 1000 if manners else self.pause_s
        return asked_s if self.given_pause_s is None else self.given_pause_s


@dataclass(slots=True)
class _Station:
    """One device on the line: what it asks for, when it may be asked again, how it fares."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    manners: Manners | None = None
    ready_at_s: float = 0.0
    asked: int = 0
    answered: int = 0
    timeouts: int = 0
    bad_checksums: int = 0
    unexpected: int = 0

    def note(self, error: HardwareError) -> None:
        """Count a failure."""
        self.timeouts += isinstance(error, BusTimeout)
        self.bad_checksums += isinstance(error, BadChecksum)
        self.unexpected += isinstance(error, UnexpectedReply)

    @property
    def health(self) -> DeviceHealth:
        """The counters as they are now."""
        return DeviceHealth(
            self.asked, self.answered, self.timeouts, self.bad_checksums, self.unexpected
        )


class ModbusBus:
    """One Modbus line or connection, shared by its devices.

    It connects on first use, and again after each failure. While one device has its pause, others
    are asked.
    """

    def __init__(
        self, line: Line, framing: Framing, timing: Timing, clock: Clock = MONOTONIC
    ) -> None:
        """Use `open_tcp`, `open_rtu` or `open_rtu_tcp`."""
        self.trace: Trace | None = None
        self._line = line
        self._framing = framing
        self._timing = timing
        self._clock = clock
        self._quiet_at_s = 0.0
        self._stations: dict[int, _Station] = {}
        self._lock = threading.Lock()

    def heed(self, device: int, manners: Manners) -> None:
        """Keep to what this device asks of the line, from now on."""
        self._station(device).manners = manners

    @property
    def hands(self) -> int:
        """How many threads have use for this bus at once: several where devices rest."""
        stations = tuple(self._stations.values())
        rests = any(self._timing.rest_s(station.manners) for station in stations)
        return _HANDS if rests else 1

    def health(self) -> Mapping[int, DeviceHealth]:
        """Return the counters of every device that was asked."""
        return {
            device: station.health
            for device, station in sorted(self._stations.copy().items())
            if station.asked
        }

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Read `count` holding (function 3) or input (function 4) registers.

        Raises:
            BusTimeout, BadChecksum, UnexpectedReply, BusUnavailable: try again later.
            DeviceBusy, DeviceAbsent: it, or the gateway for it, said so.
            DeviceRefused: it answered with an exception.
        """
        body = self._read(device, function, address, count, "words", 2 * count)
        return tuple(int.from_bytes(body[at : at + 2], "big") for at in range(0, 2 * count, 2))

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Read `count` coils (function 1) or discrete inputs (function 2); raises likewise."""
        body = self._read(device, function, address, count, "bits", (count + 7) // 8)
        return tuple(bool(body[place // 8] >> place % 8 & 1) for place in range(count))

    def write_bit(self, device: int, address: int, energised: bool) -> None:
        """Write one coil (function 5); raises likewise."""
        self._write(device, 5, address, b"\xff\0" if energised else b"\0\0", "write coil")

    def write_word(self, device: int, address: int, word: int) -> None:
        """Write one holding register (function 6); raises likewise."""
        self._write(device, 6, address, word.to_bytes(2, "big"), "write word")

    def write_bits(self, device: int, address: int, bits: tuple[bool, ...]) -> None:
        """Write consecutive coils (function 15); raises likewise."""
        number = sum(bit << place for place, bit in enumerate(bits))
        packed = number.to_bytes((len(bits) + 7) // 8, "little")
        body = len(bits).to_bytes(2, "big") + bytes([len(packed)]) + packed
        self._write(device, 15, address, body, f"write {len(bits)} coils")

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        """Write consecutive holding registers (function 16); raises likewise."""
        packed = b"".join(word.to_bytes(2, "big") for word in words)
        body = len(words).to_bytes(2, "big") + bytes([len(packed)]) + packed
        self._write(device, 16, address, body, f"write {len(words)} words")

    def call(self, device: int, function: int, body: bytes, reply_bytes: int) -> bytes:
        """Use a vendor's own function; `reply_bytes` are expected after the function code."""
        what = f"function 0x{function:02X}"
        return self._ask(Request(device, function, body, reply_bytes, b"", what))

    def identify(self, device: int) -> Mapping[int, str]:
        """Read the basic identification objects (function 43 / 14); raises likewise."""
        objects: dict[int, str] = {}
        first = 0
        for _ in range(_IDENTIFICATION_PARTS_MAX):
            body = bytes([0x0E, _BASIC, first])
            what = "read its identification"
            reply = self._ask(Request(device, IDENTIFY, body, None, body[:2], what))
            has_more, first, rest = reply[3], reply[4], reply[6:]
            while rest:
                key, size = rest[0], rest[1]
                objects[key] = rest[2 : 2 + size].decode("latin-1")
                rest = rest[2 + size :]
            if not has_more:
                break
        return objects

    def close(self) -> None:
        """Close the port; the next request opens it again."""
        with self._lock:
            self._line.close()

    def _read(
        self, device: int, function: int, address: int, count: int, things: str, size: int
    ) -> bytes:
        body = address.to_bytes(2, "big") + count.to_bytes(2, "big")
        what = f"read {count} {things} at 0x{address:04X} with function {function}"
        return self._ask(Request(device, function, body, 1 + size, bytes([size]), what))[1:]

    def _write(self, device: int, function: int, address: int, body: bytes, verb: str) -> None:
        body = address.to_bytes(2, "big") + body
        what = f"{verb} at 0x{address:04X}"
        self._ask(Request(device, function, body, 4, body[:4], what))

    def _ask(self, request: Request) -> bytes:
        """Make one request and return what follows the function code of its reply."""
        station = self._station(request.device)
        with station.lock:
            self._clock.wait_until(station.ready_at_s)
            with self._lock:
                pdu = self._exchange(request, station)
        if is_exception(pdu):
            raise self._refusal(request, pdu[1])
        return pdu[1:]

    def _station(self, device: int) -> _Station:
        return self._stations.setdefault(device, _Station())

    def _exchange(self, request: Request, station: _Station) -> bytes:
        """Have the line alone: ask, listen, and leave it so that nothing late is an answer."""
        wire_bytes = 2 * _FRAME_OVERHEAD + len(request.body) + request.most_bytes
        timeout_s = self._timing.timeout_s(station.manners, wire_bytes)
        rest_s = self._timing.rest_s(station.manners)
        self._clock.wait_until(self._quiet_at_s)
        station.asked += 1
        begun_s = self._clock.now_s()
        try:
            pdu = self._listen(request, timeout_s)
        except HardwareError as error:
            self._line.close()
            station.note(error)
            if self._clock.now_s() >= begun_s + timeout_s:
                rest_s = max(rest_s, timeout_s * self._timing.settle)  # more may be on its way
            raise
        finally:
            now_s = self._clock.now_s()
            self._quiet_at_s = now_s + self._timing.silence_s
            station.ready_at_s = now_s + rest_s
        station.answered += 1
        return pdu

    def _listen(self, request: Request, timeout_s: float) -> bytes:
        """Send a request and return its reply, which begins with the function code."""
        self._tell("heard", self._line.ready())
        frame = self._framing.frame(request)
        self._line.send(frame)
        self._tell("sent", frame)
        heard = bytearray()
        try:
            pdu = self._found_in_time(request, self._clock.now_s() + timeout_s, heard)
        finally:
            self._tell("heard", bytes(heard))
        if pdu is not None:
            return pdu
        if not heard:
            raise BusTimeout(self._about(request, f"no reply in {timeout_s * 1000:.0f} ms"))
        failure = self._framing.failure(request, bytes(heard))
        raise type(failure)(self._about(request, str(failure)))

    def _found_in_time(self, request: Request, deadline_s: float, heard: bytearray) -> bytes | None:
        """Hear until the reply is whole, or so much came that it will never be; None: no reply."""
        until_s = deadline_s
        while self._clock.now_s() < until_s and (some := self._line.hear(until_s)):
            heard += some
            try:
                pdu = self._framing.find(request, bytes(heard))
            except UnexpectedReply as error:
                raise UnexpectedReply(self._about(request, str(error))) from error
            if pdu is not None:
                return pdu
            if self._framing.is_spoilt(request, bytes(heard)):
                until_s = min(deadline_s, self._clock.now_s() + _QUIET_S)
        return None

    def _tell(self, direction: Literal["sent", "heard"], content: bytes) -> None:
        if self.trace is not None and content:
            self.trace(direction, content, self._clock.now_s())

    def _about(self, request: Request, what: str) -> str:
        return f"{self._line.name}, device {request.device}: {request.what}: {what}"

    def _refusal(self, request: Request, code: int) -> HardwareError:
        message = self._about(request, f"exception {code}, {EXCEPTIONS.get(code, 'unknown')}")
        if code in _BUSY:
            return DeviceBusy(message)
        if code in _SILENT:
            return DeviceAbsent(message)
        return DeviceRefused(message, code)


def open_tcp(given: ModbusTcpOptions) -> ModbusBus:
    """Return the bus behind a Modbus TCP server or gateway; nothing is connected yet."""
    timeout_s = _seconds(given.timeout_ms)
    timing = Timing(
        latency_s=_LATENCY_S,
        margin_s=_GATEWAY_MARGIN_S if timeout_s is None else 0.0,
        byte_s=0.0,
        silence_s=0.0,
        pause_s=0.0,
        settle=0.0,
        given_latency_s=timeout_s,
        given_pause_s=_seconds(given.pause_ms),
    )
    connect_s = _CONNECT_S if timeout_s is None else timeout_s
    line = SocketLine("modbus_tcp", given.host, given.port, connect_s)
    return ModbusBus(line, TcpFraming(), timing)


def open_rtu(given: ModbusRtuOptions) -> ModbusBus:
    """Return the bus on a serial port; nothing is opened yet.

    A request's timeout follows from the line speed, its length and the device's latency.
    """
    line = SerialLine(given.device, baud=given.baud, parity=given.parity, stopbits=given.stopbits)
    timing = _serial_timing(given, _ADAPTER_MARGIN_S)
    return ModbusBus(line, RtuFraming(given.local_echo), timing)


def open_rtu_tcp(given: ModbusRtuTcpOptions) -> ModbusBus:
    """Return the bus behind a serial server that carries RTU frames over TCP."""
    line = SocketLine("modbus_rtu_tcp", given.host, given.port, _CONNECT_S)
    timing = _serial_timing(given, _NETWORK_MARGIN_S)
    return ModbusBus(line, RtuFraming(given.local_echo), timing)


def _serial_timing(given: ModbusRtuOptions | ModbusRtuTcpOptions, margin_s: float) -> Timing:
    byte_s = _BITS / given.baud
    slow_s = _SILENT_CHARACTERS * byte_s
    return Timing(
        latency_s=_LATENCY_S,
        margin_s=margin_s,
        byte_s=byte_s,
        silence_s=slow_s if given.baud <= _FAST_BAUD else _FAST_SILENCE_S,
        pause_s=_PAUSE_S,
        settle=1.0,
        given_latency_s=_seconds(given.latency_ms),
        given_pause_s=_seconds(given.pause_ms),
    )


def _seconds(given_ms: int | None) -> float | None:
    return None if given_ms is None else given_ms / 1000
