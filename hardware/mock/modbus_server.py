"""Modbus servers that any client may use: TCP on a socket, RTU on a pseudo-terminal.

Framing and the faults of a line live here; what a device answers is its image's business. One
loop thread serves many servers: a reply costs some tens of microseconds.

Source: Modbus messaging on TCP/IP 1.0b, 3.1; Modbus over serial line 1.02, 2.5.1.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import and_
from pathlib import Path

from hardware.mock.loop import LoopServer, LoopThread
from hardware.mock.modbus_pdu import ModbusDevice, answer

_FRAME_MAX = 260
_FIXED_RTU_BYTES = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 0x2B: 7}
_COUNTED_RTU = (0x0F, 0x10)
_SILENCE_S = 0.05
_SPLIT_S = 0.03
_REBOOT_S = 2.0
_BROADCAST = 0


def crc16(frame: bytes) -> bytes:
    """Return the two check bytes of an RTU frame, low byte first.

    >>> crc16(bytes.fromhex("010400000002")).hex()
    '71cb'
    """
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class _Devices:
    """The devices behind one line, and the faults between them and the wire."""

    def __init__(
        self, devices: Mapping[int, ModbusDevice], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._devices = tuple(devices.values())
        for device_id, device in devices.items():
            device.device_id = device_id
        self._loop = loop
        self._replied_at: dict[ModbusDevice, float] = {}
        self._down_until: dict[ModbusDevice, float] = {}

    def ask(
        self,
        asked_id: int,
        request: bytes,
        frame: Callable[[bytes], bytes],
        send: Callable[[bytes], object],
        echo: bytes = b"",
    ) -> None:
        """Let who hears this id answer; `frame` wraps a reply, `send` puts bytes on the wire.

        Nobody answers a broadcast, and where two answer at once nobody is understood.
        """
        hearing = [device for device in self._devices if device.hears(asked_id)]
        answered = [(device, self._answer(device, request)) for device in hearing if request]
        replies = [(device, frame(reply)) for device, reply in answered if reply]
        if asked_id == _BROADCAST or not replies:
            return
        if len(replies) > 1:
            send(_collided([reply for _device, reply in replies]))
            return
        self._put(*replies[0], send, echo)

    def _answer(self, device: ModbusDevice, request: bytes) -> bytes:
        return b"" if self._is_down(device) else answer(device, request)

    def _put(
        self, device: ModbusDevice, reply: bytes, send: Callable[[bytes], object], echo: bytes
    ) -> None:
        """Put one reply on the wire, as its faults have it."""
        if echo:
            reply = _line_faults(device, echo, reply)
        if "cut" in device.faults:
            reply = reply[:-1]
        delay_s = device.delay_s if "late" in device.faults else 0.0
        if "split" in device.faults:
            half = len(reply) // 2
            self._send_later(delay_s, send, reply[:half])
            self._send_later(delay_s + _SPLIT_S, send, reply[half:])
        elif delay_s:
            self._send_later(delay_s, send, reply)
        else:
            send(reply)

    def _is_down(self, device: ModbusDevice) -> bool:
        now = self._loop.time()
        if "reboots" in device.faults:
            if now - self._replied_at.get(device, 0.0) < device.haste_s:
                self._down_until[device] = now + _REBOOT_S
            self._replied_at[device] = now
        return now < self._down_until.get(device, 0.0)

    def _send_later(self, delay_s: float, send: Callable[[bytes], object], part: bytes) -> None:
        self._loop.call_later(delay_s, send, part)


def _collided(replies: Sequence[bytes]) -> bytes:
    """Return what a line makes of several replies at once: one that pulls it down wins."""
    return bytes(reduce(and_, together) for together in zip(*replies, strict=False))


def _line_faults(device: ModbusDevice, request: bytes, reply: bytes) -> bytes:
    """Return what a serial line makes of a reply."""
    if "bad_crc" in device.faults:
        reply = reply[:-1] + bytes([reply[-1] ^ 0x10])
    if "stray_zero" in device.faults:
        reply = b"\0" + reply
    return request + reply if "echo" in device.faults else reply


class ModbusTcpServer(LoopServer):
    """Modbus TCP devices by unit id on one port."""

    def __init__(
        self,
        devices: Mapping[int, ModbusDevice],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        loop: LoopThread | None = None,
    ) -> None:
        """Listen at once.

        Args:
            devices: unit id -> device; ids that none of them hears get no reply.
            host: the address to listen on.
            port: 0 lets the system choose; `self.port` tells.
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(loop)
        self._devices = _Devices(devices, self._thread.loop)
        self._sessions: set[_TcpSession] = set()
        self._listener = self._thread.call(self._listen(host, port))
        self.port: int = self._listener.sockets[0].getsockname()[1]

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        return await self._thread.loop.create_server(
            lambda: _TcpSession(self._devices, self._sessions), host, port
        )

    async def _stop(self) -> None:
        self._listener.close()
        for session in tuple(self._sessions):
            session.end()
        await self._listener.wait_closed()


class _TcpSession(asyncio.Protocol):
    """One client: frames of `tid(2) 0(2) length(2) unit(1) pdu`."""

    def __init__(self, devices: _Devices, sessions: set[_TcpSession]) -> None:
        self._devices = devices
        self._sessions = sessions
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            size = 6 + int.from_bytes(self._buffer[4:6], "big")
            if self._buffer[2:4] != b"\0\0" or not 8 <= size <= _FRAME_MAX:
                self.end()
                return
            if len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            self._serve(frame)

    def end(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _serve(self, request: bytes) -> None:
        tid, unit = request[:2], request[6:7]

        def frame(reply: bytes) -> bytes:
            return tid + b"\0\0" + (len(reply) + 1).to_bytes(2, "big") + unit + reply

        self._devices.ask(unit[0], request[7:], frame, self._send)

    def _send(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


class ModbusRtuServer(LoopServer):
    """Modbus RTU devices by id on one pseudo-terminal."""

    def __init__(
        self,
        devices: Mapping[int, ModbusDevice],
        *,
        link: Path | None = None,
        loop: LoopThread | None = None,
    ) -> None:
        """Open the terminal at once.

        Args:
            devices: id -> device; ids that none of them hears, and id 0, get no reply.
            link: a symbolic link to make to the port, for a name that lasts.
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(loop)
        self._line, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._line, False)
        self.device = os.ttyname(self._port)
        self._link = link
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(self.device)
            self.device = str(link)
        self._devices = _Devices(devices, self._thread.loop)
        self._buffer = b""
        self._silence: asyncio.TimerHandle | None = None
        self._thread.call(self._listen())

    async def _listen(self) -> None:
        self._thread.loop.add_reader(self._line, self._receive)

    async def _stop(self) -> None:
        self._thread.loop.remove_reader(self._line)
        if self._silence is not None:
            self._silence.cancel()
        os.close(self._line)
        os.close(self._port)
        self._line = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def _receive(self) -> None:
        """Take bytes; what is no whole request when the line falls silent is forgotten."""
        try:
            self._buffer += os.read(self._line, 4096)
        except BlockingIOError:
            return
        if self._silence is not None:
            self._silence.cancel()
        self._silence = self._thread.loop.call_later(_SILENCE_S, self._forget)
        while size := self._request_bytes():
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            if crc16(request[:-2]) == request[-2:]:
                self._serve(request)
            else:
                self._buffer = b""  # a device is silent on a bad checksum

    def _forget(self) -> None:
        self._buffer = b""

    def _request_bytes(self) -> int:
        """Return the length of the first request, or 0 while it is not whole."""
        if len(self._buffer) < 4:
            return 0
        size = _FIXED_RTU_BYTES.get(self._buffer[1], 0)
        if self._buffer[1] in _COUNTED_RTU and len(self._buffer) > 6:
            size = 9 + self._buffer[6]
        elif not size and self._buffer[1] not in _COUNTED_RTU:
            size = len(self._buffer)
        return size if size and len(self._buffer) >= size else 0

    def _serve(self, request: bytes) -> None:
        device_id = request[:1]

        def frame(reply: bytes) -> bytes:
            return device_id + reply + crc16(device_id + reply)

        self._devices.ask(device_id[0], request[1:-2], frame, self._send, echo=request)

    def _send(self, reply: bytes) -> None:
        if self._line >= 0:
            os.write(self._line, reply)
