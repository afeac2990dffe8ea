"""VE.Direct ports that any program may open: a pseudo-terminal, or a serial server on TCP.

The device reports each second by itself, and at once when `emit` is called. HEX is answered as
soon as a frame is whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from hardware.mock.vedirect.device import VeDirectDevice
from hardware.mock.wires.loop import LoopServer, LoopThread
from hardware.mock.wires.pty_line import PtyLine

PERIOD_S = 1.0
"""A device talks each second. [s]"""


class _Voice:
    """The seconds of one device: its report, again and again."""

    def __init__(
        self,
        twin: VeDirectDevice,
        say: Callable[[bytes], object],
        loop: asyncio.AbstractEventLoop,
        period_s: float | None,
    ) -> None:
        self._twin = twin
        self._say = say
        self._loop = loop
        self._period_s = period_s
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Report each period from now on, inside the loop."""
        if self._period_s is not None:
            self._next = self._loop.call_later(self._period_s, self._tick)

    def end(self) -> None:
        """Fall silent, inside the loop."""
        if self._next is not None:
            self._next.cancel()

    async def emit(self) -> bytes:
        """Report now, and return what was said."""
        said = self._twin.report()
        self._say(said)
        return said

    def _tick(self) -> None:
        self.begin()
        self._say(self._twin.report())


class VeDirectPty(PtyLine):
    """One VE.Direct device on a pseudo-terminal, for programs that want a serial port."""

    def __init__(
        self,
        twin: VeDirectDevice,
        *,
        link: Path | None = None,
        period_s: float | None = PERIOD_S,
        loop: LoopThread | None = None,
    ) -> None:
        """Begin to talk.

        Args:
            twin: the simulated device.
            link: a symbolic link to make to the port, for a name that lasts.
            period_s: how often it reports; None: only when `emit` is called. [s]
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(link, loop)
        self._twin = twin
        self._voice = _Voice(twin, self.send, self._thread.loop, period_s)
        self._thread.call(self._listen())

    def emit(self) -> bytes:
        """Let the device report now, and return the bytes, which are on the line by then."""
        return self._thread.call(self._voice.emit())

    def take(self, data: bytes) -> None:
        """Answer HEX."""
        self.send(self._twin.hear(data))

    async def _listen(self) -> None:
        await super()._listen()
        self._voice.begin()

    async def _stop(self) -> None:
        self._voice.end()
        await super()._stop()


class _Client(asyncio.Protocol):
    """One client of a TCP port."""

    def __init__(self, twin: VeDirectDevice, clients: set[_Client]) -> None:
        self._twin = twin
        self._clients = clients
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.discard(self)

    def data_received(self, data: bytes) -> None:
        """Put what a client sends on the one wire, whose answers all hear."""
        answers = self._twin.hear(data)
        for client in tuple(self._clients):
            client.send(answers)

    def send(self, content: bytes) -> None:
        """Send bytes, if the client is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)

    def end(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class VeDirectTcp(LoopServer):
    """One VE.Direct device behind a serial server: its bytes, to every client that connects."""

    def __init__(
        self,
        twin: VeDirectDevice,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        period_s: float | None = PERIOD_S,
        loop: LoopThread | None = None,
    ) -> None:
        """Listen and begin to talk.

        Args:
            twin: the simulated device.
            host: the address to listen on.
            port: 0 lets the system choose; `self.port` tells.
            period_s: how often it reports; None: only when `emit` is called. [s]
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(loop)
        self._twin = twin
        self._clients: set[_Client] = set()
        self._voice = _Voice(twin, self._say, self._thread.loop, period_s)
        self._listener = self._thread.call(self._listen(host, port))
        self.port: int = self._listener.sockets[0].getsockname()[1]

    def emit(self) -> bytes:
        """Let the device report now, and return the bytes."""
        return self._thread.call(self._voice.emit())

    def _say(self, content: bytes) -> None:
        for client in tuple(self._clients):
            client.send(content)

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        self._voice.begin()
        return await self._thread.loop.create_server(
            lambda: _Client(self._twin, self._clients), host, port
        )

    async def _stop(self) -> None:
        self._voice.end()
        self._listener.close()
        for client in tuple(self._clients):
            client.end()
        await self._listener.wait_closed()
