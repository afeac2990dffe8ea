"""The cable between a node and its broker: a proxy that can swallow both directions.

A cut cable closes nothing: each side goes on sending into it, and no answer comes. New connections
are made and are as dead. When it is mended, the connections of the time before are hung up on,
since bytes of them are missing; whoever needs one makes a new one.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from hardware.mock.wires.loop import LoopServer, LoopThread
from testbed.errors import Unplayable

CHUNK_BYTES = 65_536
Write = Callable[[bytes], None]


class Cable(LoopServer):
    """Listens on a port of its own, and carries bytes to a broker's port until it is cut."""

    def __init__(self, broker_port: int, *, loop: LoopThread | None = None) -> None:
        """Listen at once, on loopback.

        Args:
            broker_port: where it leads.
            loop: a loop to share; without one the cable starts its own.
        """
        super().__init__(loop)
        self._broker_port = broker_port
        self._is_cut = False
        self._swallowed = 0
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = self._thread.call(self._listen())
        self.port: int = self._listener.sockets[0].getsockname()[1]

    @property
    def swallowed_bytes(self) -> int:
        """How much was lost in it so far."""
        return self._swallowed

    def cut(self) -> None:
        """Swallow everything from now on, both ways."""
        self._thread.call(self._cut())

    def mend(self) -> None:
        """Carry bytes again; connections that lost some are hung up on."""
        self._thread.call(self._mend())

    async def _cut(self) -> None:
        self._is_cut = True

    async def _mend(self) -> None:
        if self._is_cut:
            self._is_cut = False
            self._hang_up()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._join, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._listener.close()
        self._hang_up()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()

    def _hang_up(self) -> None:
        for end in tuple(self._ends):
            end.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection; a broker that is not there hangs up, as without a cable."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("asyncio runs each connection in a task of its own")
        self._tasks.add(task)
        self._ends.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._broker_port)
            self._ends.add(far)
            up, down = self._ways(writer, far)
            await asyncio.gather(
                self._carry(reader, far, up), self._carry(far_reader, writer, down)
            )
        except (OSError, asyncio.CancelledError):
            pass  # stopping cancels it, and asyncio would print a cancelled connection as a fault
        finally:
            self._tasks.discard(task)
            for end in filter(None, (writer, far)):
                self._ends.discard(end)
                end.close()

    def _ways(
        self, node: asyncio.StreamWriter, broker: asyncio.StreamWriter
    ) -> tuple[Write, Write]:
        """Return what takes bytes from the node, and from the broker: whoever tampers says more."""
        return broker.write, node.write

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, write: Write
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self._is_cut:
                    self._swallowed += len(chunk)
                    continue
                write(chunk)
                await writer.drain()
        if not self._is_cut:  # nobody hears of an end beyond a cut
            writer.close()


def lay(cable: Cable, broker_port: int, edge_toml: Path) -> None:
    """Let a node reach its broker through a cable: before its agent starts.

    Raises:
        Unplayable: the configuration names no such port.
    """
    text = edge_toml.read_text("utf-8")
    line = f"\nport = {broker_port}\npassword_file"
    if text.count(line) != 1:
        raise Unplayable(f"{edge_toml}: no broker at port {broker_port} in it")
    edge_toml.write_text(text.replace(line, f"\nport = {cable.port}\npassword_file"), "utf-8")
