"""The Modbus bus, over TCP or a serial line, through pymodbus' synchronous clients.

One bus object serves many devices and threads, one request at a time. RTU frames carry no
number, so a reply that comes after its timeout would be taken for the next one, and every later
reply with it: after a timeout the port is left alone until that reply must be over, then reopened.

Source: Modbus application protocol 1.1b3; Modbus over serial line 1.02, sections 2.3 and 2.5.
Known limits: a reply later than twice the timeout, of the same device and length, is not noticed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from pymodbus import FramerType, ModbusException
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from hardware.buses.modbus_options import ModbusRtuOptions, ModbusTcpOptions
from hardware.errors import (
    BadChecksum,
    BusTimeout,
    BusUnavailable,
    DeviceAbsent,
    DeviceBusy,
    DeviceRefused,
    HardwareError,
    UnexpectedReply,
)
from hardware.ports import Manners

_EXCEPTIONS: Mapping[int, str] = {
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
Value = TypeVar("Value", int, bool)
_BUSY, _SILENT = (5, 6), (10, 11)
_FRAME_OVERHEAD = 9
_IDENTIFICATION_BYTES = 250
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a request may take and what must lie between two.

    Attributes:
        wait_s: from the end of a request's bytes to the whole reply, without bytes on the wire.
        byte_s: one byte on the wire; 0 on TCP.
        pause_s: rest between a reply and the next request.
        settle: rest after a timeout, as a multiple of the request's own timeout.
    """

    wait_s: float
    byte_s: float
    pause_s: float
    settle: float

    def timeout_s(self, reply_bytes: int) -> float:
        """Return the timeout of a request whose reply has so many bytes. [s]"""
        return self.wait_s + (reply_bytes + _FRAME_OVERHEAD) * self.byte_s


class ModbusBus:
    """One Modbus line or connection, shared by its devices.

    It connects on first use, and again after each failure.
    """

    def __init__(
        self,
        client: ModbusTcpClient | ModbusSerialClient,
        name: str,
        timing: Timing,
        received: bytearray,
        trouble: Callable[[], str],
    ) -> None:
        """Use `open_tcp` or `open_rtu`; `trouble` says why it cannot be opened."""
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # the caller tells, once
        client.transaction.count_until_disconnect = _NEVER  # closing is decided here
        client.set_max_no_responses(_NEVER)
        self._client = client
        self._name = name
        self._timing = timing
        self._received = received
        self._trouble = trouble
        self._rest_until = 0.0
        self._manners: dict[int, Manners] = {}
        self._lock = threading.Lock()

    def heed(self, device: int, manners: Manners) -> None:
        """Keep to what this device asks of the line, from now on."""
        self._manners[device] = manners

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Read `count` holding (function 3) or input (function 4) registers.

        Raises:
            BusTimeout, BadChecksum, UnexpectedReply, BusUnavailable: try again later.
            DeviceBusy, DeviceAbsent: it, or the gateway for it, said so.
            DeviceRefused: it answered with an exception.
        """
        read = {
            3: self._client.read_holding_registers,
            4: self._client.read_input_registers,
        }[function]
        what = f"device {device}: read {count} words at 0x{address:04X} with function {function}"
        reply = self._ask(lambda: read(address, count=count, device_id=device), what, 2 * count)
        return tuple(self._checked(reply.registers, count, reply, function, what))

    def read_bits(self, device: int, function: int, address: int, count: int) -> tuple[bool, ...]:
        """Read `count` coils (function 1) or discrete inputs (function 2); raises likewise."""
        read = {1: self._client.read_coils, 2: self._client.read_discrete_inputs}[function]
        what = f"device {device}: read {count} bits at 0x{address:04X} with function {function}"
        reply = self._ask(lambda: read(address, count=count, device_id=device), what, count // 8)
        padded = (count + 7) // 8 * 8
        return tuple(self._checked(reply.bits, padded, reply, function, what)[:count])

    def write_bit(self, device: int, address: int, energised: bool) -> None:
        """Write one coil (function 5); raises likewise."""
        what = f"device {device}: write coil 0x{address:04X}"
        reply = self._ask(
            lambda: self._client.write_coil(address, energised, device_id=device), what, 4
        )
        self._checked(reply.bits[:1], 1, reply, 5, what)

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        """Write consecutive holding registers (function 16); raises likewise."""
        what = f"device {device}: write {len(words)} words at 0x{address:04X}"
        reply = self._ask(
            lambda: self._client.write_registers(address, list(words), device_id=device),
            what,
            2 * len(words),
        )
        self._checked([], 0, reply, 16, what)

    def identify(self, device: int) -> Mapping[int, str]:
        """Read the basic identification objects (function 43 / 14); raises likewise."""
        what = f"device {device}: read its identification"
        reply = self._ask(
            lambda: self._client.read_device_information(
                read_code=1, object_id=0, device_id=device
            ),
            what,
            _IDENTIFICATION_BYTES,
        )
        self._checked([], 0, reply, 0x2B, what)
        objects = cast("Mapping[int, bytes]", getattr(reply, "information", {}))
        return {key: bytes(value).decode("latin-1") for key, value in objects.items()}

    def close(self) -> None:
        """Close the port; the next request opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def _ask(self, call: Callable[[], object], what: str, reply_bytes: int) -> ModbusPDU:
        """Make one request under the lock, at rest from the last one, with its own timeout."""
        with self._lock:
            self._rest()
            timeout_s = self._timing.timeout_s(reply_bytes)
            self._client.comm_params.timeout_connect = timeout_s
            self._client.transaction.comm_params.timeout_connect = timeout_s
            self._received.clear()
            try:
                reply = cast("ModbusPDU", call())
            except (ModbusException, OSError) as error:
                raise self._failure(error, what, timeout_s) from error
            self._rest_until = time.monotonic() + self._timing.pause_s
        if reply.isError():
            raise self._refusal(reply.exception_code, what)
        return reply

    def _rest(self) -> None:
        left = self._rest_until - time.monotonic()
        if left > 0:
            time.sleep(left)

    def _failure(self, error: Exception, what: str, timeout_s: float) -> HardwareError:
        """Close the port, so that nothing late is read as an answer, and name the failure."""
        self._close()
        if isinstance(error, ModbusIOException):
            self._rest_until = time.monotonic() + timeout_s * self._timing.settle
            got = bytes(self._received)
            if got:
                return BadChecksum(
                    f"{self._name}, {what}: {len(got)} bytes but no valid reply: {got.hex(' ')}"
                )
            return BusTimeout(f"{self._name}, {what}: no reply in {timeout_s * 1000:.0f} ms")
        self._rest_until = time.monotonic() + self._timing.pause_s
        if isinstance(error, ConnectionException):
            return BusUnavailable(f"{self._name}: {self._trouble()}")
        return BusUnavailable(f"{self._name}: {error}")

    def _refusal(self, code: int, what: str) -> HardwareError:
        message = f"{self._name}, {what}: exception {code}, {_EXCEPTIONS.get(code, 'unknown')}"
        if code in _BUSY:
            return DeviceBusy(message)
        if code in _SILENT:
            return DeviceAbsent(message)
        return DeviceRefused(message, code)

    def _checked(
        self, values: Sequence[Value], count: int, reply: ModbusPDU, function: int, what: str
    ) -> Sequence[Value]:
        """Return the values if the reply has this request's function and length."""
        if reply.function_code == function and len(values) == count:
            return values
        with self._lock:
            self._close()
        raise UnexpectedReply(
            f"{self._name}, {what}: got function {reply.function_code} with {len(values)} values"
        )


def open_tcp(given: ModbusTcpOptions) -> ModbusBus:
    """Return the bus behind a Modbus TCP server or gateway; nothing is connected yet."""
    received = bytearray()
    client = ModbusTcpClient(
        given.host,
        port=given.port,
        timeout=given.timeout_ms / 1000,
        retries=0,
        trace_packet=_recorder(received, is_serial=False),
    )
    timing = Timing(given.timeout_ms / 1000, 0.0, given.pause_ms / 1000, settle=0.0)
    name = f"modbus_tcp {given.host}:{given.port}"
    return ModbusBus(client, name, timing, received, _tcp_trouble)


def open_rtu(given: ModbusRtuOptions) -> ModbusBus:
    """Return the bus on a serial port; nothing is opened yet.

    A request's timeout follows from the line speed, its length and the latency.
    """
    received = bytearray()
    client = ModbusSerialClient(
        given.device,
        framer=FramerType.RTU,
        baudrate=given.baud,
        parity=given.parity,
        stopbits=given.stopbits,
        handle_local_echo=given.local_echo,
        timeout=given.latency_ms / 1000,
        retries=0,
        trace_packet=_recorder(received, is_serial=True),
    )
    byte_s = (9 + given.stopbits + (given.parity != "N")) / given.baud
    timing = Timing(given.latency_ms / 1000, byte_s, given.pause_ms / 1000, settle=1.0)
    name = f"modbus_rtu {given.device}"
    return ModbusBus(client, name, timing, received, lambda: _port_trouble(given.device))


def _tcp_trouble() -> str:
    return "cannot connect, or the connection broke; check host, port and that nobody else holds it"


def _port_trouble(device: str) -> str:
    """Return what a person can see of a serial port that does not open."""
    if not Path(device).exists():
        return "no such port; is the adapter plugged in?"
    if not os.access(device, os.R_OK | os.W_OK):
        return "no permission; join the group dialout"
    return "cannot open, or the connection broke; does another program hold it?"


def _recorder(received: bytearray, *, is_serial: bool) -> Callable[[bool, bytes], bytes]:
    """Return a packet hook that keeps what came in and, on a serial line, strips leading zeros.

    The turn-around of many RS-485 adapters yields a zero byte before the reply; no device has
    id 0, so a frame never begins with one.
    """

    def packet(sending: bool, data: bytes) -> bytes:
        if sending:
            return data
        received[:] = data
        return data.lstrip(b"\0") if is_serial else data

    return packet
