"""Somebody from outside, without any key: connections that say nothing, never end, or lie."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from hardware.mock.wires.loop import LoopThread
from hub.joining.acl import HUB
from testbed.switchboard.packets import connect

LOOPBACK: Final = "127.0.0.1"
IDLE_SOCKETS: Final = 100
SLOW_REQUESTS: Final = 50
EVERY_S: Final = 1.0
ANSWER_BYTES: Final = 64
ANSWER_S: Final = 2.0

Act = Callable[[int], Coroutine[Any, Any, None]]
"""What somebody does to a port, until it is cancelled."""


@dataclass(slots=True)
class Stranger:
    """Somebody at work on a port, in the thread of the wires."""

    loop: LoopThread
    act: Act
    port: int
    _work: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether he is at work."""
        return self._work is not None

    def turn(self, on: bool) -> None:
        """Begin, or leave."""
        self.loop.call(self._begin() if on else self._leave())

    async def _begin(self) -> None:
        self._work = asyncio.get_running_loop().create_task(self.act(self.port))

    async def _leave(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def idle_sockets(port: int) -> None:
    """Hold many connections, say nothing, and connect again where they are ended."""
    await asyncio.gather(*(_hold(port, b"") for _ in range(IDLE_SOCKETS)))


async def slow_requests(port: int) -> None:
    """Send many requests, a byte a second each, and never come to an end."""
    await asyncio.gather(*(_hold(port, b"GET / HTTP/1.1\r\nX: ") for _ in range(SLOW_REQUESTS)))


async def impostor(port: int) -> None:
    """Connect as the hub once a second, each time with another guess at its password."""
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(connect(HUB, secrets.token_urlsafe(12)))
                await asyncio.wait_for(reader.read(ANSWER_BYTES), ANSWER_S)
            finally:
                writer.close()
        await asyncio.sleep(EVERY_S)


async def _hold(port: int, words: bytes) -> None:
    """Hold one connection and say these words, a byte a second; then the last byte for ever."""
    while True:
        with contextlib.suppress(OSError):
            await _hold_once(port, words)
        await asyncio.sleep(EVERY_S)


async def _hold_once(port: int, words: bytes) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    ended = asyncio.ensure_future(reader.read())
    try:
        place = 0
        while not ended.done():
            await asyncio.wait((ended,), timeout=EVERY_S)
            if words and not ended.done():
                writer.write(words[place : place + 1] or b"x")
                place += 1
    finally:
        ended.cancel()
        writer.close()
