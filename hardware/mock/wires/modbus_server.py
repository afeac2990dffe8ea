"""Modbus servers that any client may use: TCP, RTU on a pseudo-terminal, RTU frames over TCP.

What a device answers is its image's business, what a line makes of it that of `modbus_line` and
`modbus_rtu`. One loop thread serves many servers: a reply costs some tens of microseconds.

Source: Modbus messaging on TCP/IP 1.0b, 3.1; Modbus over serial line 1.02, 2.5.1.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from hardware.mock.wires.loop import LoopServer, LoopThread
from hardware.mock.wires.modbus_line import Line, Part, Reply
from hardware.mock.wires.modbus_pdu import ModbusDevice
from hardware.mock.wires.modbus_rtu import RtuSide
from hardware.mock.wires.pty_line import PtyLine

_FRAME_MAX = 260


class _Session(asyncio.Protocol):
    """One client of a TCP server, and the faults of a connection."""

    def __init__(self, server: _TcpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._hangs = False
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            return
        self._transport = transport
        if self._server.line.has("second_client"):
            self.end()
        else:
            self._server.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a connection that hung once hangs for ever."""
        self._hangs = self._hangs or self._server.line.has("half_open")
        if not self._hangs:
            self._server.take(self, data)

    def send(self, content: bytes) -> None:
        """Send bytes, if the client is still there."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and not self._hangs:
            transport.write(content)

    def end(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class _TcpServer(LoopServer):
    """A port that many clients may connect to."""

    line: Line
    port: int

    def __init__(self, loop: LoopThread | None) -> None:
        super().__init__(loop)
        self.sessions: set[_Session] = set()

    @abstractmethod
    def take(self, session: _Session, data: bytes) -> None:
        """Take what one client sent."""

    def _open(self, host: str, port: int) -> None:
        self._listener = self._thread.call(self._listen(host, port))
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        return await self._thread.loop.create_server(lambda: _Session(self), host, port)

    async def _stop(self) -> None:
        self._listener.close()
        for session in tuple(self.sessions):
            session.end()
        await self._listener.wait_closed()


class ModbusTcpServer(_TcpServer):
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
        self.line = Line(devices, self._thread.loop.time, is_serial=False)
        self._open(host, port)

    def take(self, session: _Session, data: bytes) -> None:
        """Serve frames of `tid(2) 0(2) length(2) unit(1) pdu`; hang up on anything else."""
        session.buffer += data
        while len(session.buffer) >= 8:
            size = 6 + int.from_bytes(session.buffer[4:6], "big")
            if session.buffer[2:4] != b"\0\0" or not 8 <= size <= _FRAME_MAX:
                session.end()
                return
            if len(session.buffer) < size:
                return
            frame, session.buffer = session.buffer[:size], session.buffer[size:]
            self._serve(session, frame)

    def _serve(self, session: _Session, request: bytes) -> None:
        tid, unit = request[:2], request[6]

        def frame(own_id: int, reply: bytes) -> bytes:
            return tid + b"\0\0" + (len(reply) + 1).to_bytes(2, "big") + bytes([own_id]) + reply

        reply = self.line.ask(unit, request[7:], frame)
        if reply is not None:
            self._say(session, reply, reply.parts)

    def _say(self, session: _Session, reply: Reply, left: tuple[Part, ...]) -> None:
        """Send the parts that are left, each in its time."""
        if not left:
            self.line.has_replied(reply.devices)
        elif left[0].after_s:
            now = Part(0.0, left[0].content)
            loop = self._thread.loop
            loop.call_later(left[0].after_s, self._say, session, reply, (now, *left[1:]))
        else:
            session.send(left[0].content)
            self._say(session, reply, left[1:])


class ModbusRtuTcpServer(_TcpServer):
    """A serial server: RTU frames over TCP. What the line says goes to every client."""

    def __init__(
        self,
        devices: Mapping[int, ModbusDevice],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        baud: int | None = None,
        loop: LoopThread | None = None,
    ) -> None:
        """Listen at once; `baud` is the pace of the line, the rest as in `ModbusTcpServer`."""
        super().__init__(loop)
        self._side = RtuSide(devices, self._thread.loop, self._write, baud)
        self.line = self._side.line
        self._open(host, port)

    def take(self, session: _Session, data: bytes) -> None:
        """Put a client's bytes on the line."""
        self._side.receive(data)

    def _write(self, content: bytes) -> None:
        for session in tuple(self.sessions):
            session.send(content)

    async def _stop(self) -> None:
        self._side.stop()
        await super()._stop()


class ModbusRtuServer(PtyLine):
    """Modbus RTU devices by id on one pseudo-terminal."""

    def __init__(
        self,
        devices: Mapping[int, ModbusDevice],
        *,
        link: Path | None = None,
        baud: int | None = None,
        loop: LoopThread | None = None,
    ) -> None:
        """Open the terminal at once.

        Args:
            devices: id -> device; ids that none of them hears, and id 0, get no reply.
            link: a symbolic link to make to the port, for a name that lasts.
            baud: the pace of the line, 11 bits a character; without it bytes take no time.
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(link, loop)
        self._side = RtuSide(devices, self._thread.loop, self.send, baud)
        self._thread.call(self._listen())

    def take(self, data: bytes) -> None:
        """Put the master's bytes on the line."""
        self._side.receive(data)

    async def _stop(self) -> None:
        self._side.stop()
        await super()._stop()
