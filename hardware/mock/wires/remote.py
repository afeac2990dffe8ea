"""The simulated wire over a Unix socket: I2C transfers and pin levels of another process.

The world serves (`WireServer`); an edge or a guard is the client (`WireLink`, with `RemoteI2c`
for smbus2 and `RemotePins` for gpiozero). One JSON object a line each way, in order:

    {"id": 1, "op": "i2c_write", "bus": "dep1/i2c1", "addr": 64, "bytes": "05a2c4"}
    {"id": 2, "op": "i2c_read", "bus": "dep1/i2c1", "addr": 64, "n": 2}
    {"id": 3, "op": "i2c_write_read", "bus": "dep1/i2c1", "addr": 64, "bytes": "01", "n": 2}
    {"id": 4, "op": "pin", "node": "dep1", "pin": 17, "state": 1}

    {"id": 2, "bytes": "0fa0"}          what was read, "" after a write
    {"id": 4, "state": 1}               the level that the pin reads back
    {"id": 3, "errno": 121, "error": "Remote I/O error"}

A pin's answer comes after the world has followed the pin. A broken link is errno 110 or what the
socket said, as a broken bus would be; the next call connects again.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hardware.mock.wires.i2c_bus import SmbusShape
from hardware.mock.wires.loop import LoopServer, LoopThread

_TIMEOUT_S = 5.0
_LINE_MAX = 65_536

OnPin = Callable[[str, int, bool], "bool | None"]
"""(node, BCM number, level is high) -> the level that reads back, or None for the same."""


class WireLink:
    """The client's end: one connection, shared by the buses and pins of a process."""

    def __init__(self, path: Path | str) -> None:
        """Remember the path, with or without a leading `unix:`; connect on first use."""
        self._path = str(path).removeprefix("unix:")
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._rest = b""
        self._id = 0

    def call(self, op: str, **fields: object) -> dict[str, Any]:
        """Make one request and return its answer.

        Raises:
            OSError: as the far bus raised it, or because the link is broken.
        """
        with self._lock:
            self._id += 1
            try:
                answer = self._exchange({"id": self._id, "op": op, **fields})
            except (OSError, ValueError) as error:
                self._drop()
                raise self._broken(error) from error
        if "errno" in answer:
            raise OSError(answer["errno"], answer.get("error", ""))
        return answer

    def close(self) -> None:
        """Hang up; the next call connects again."""
        with self._lock:
            self._drop()

    def _exchange(self, request: dict[str, object]) -> dict[str, Any]:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(_TIMEOUT_S)
            self._socket.connect(self._path)
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while b"\n" not in self._rest:
            got = self._socket.recv(_LINE_MAX)
            if not got:
                raise ConnectionResetError(errno.ECONNRESET, "the simulated wire hung up")
            self._rest += got
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        if answer.get("id") != request["id"]:
            raise ValueError(f"answer {answer.get('id')} to request {request['id']}")
        return answer

    def _drop(self) -> None:
        self._rest = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _broken(self, error: Exception) -> OSError:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.ETIMEDOUT
        return OSError(number, f"simulated wire {self._path}: {error}")


class RemoteI2c(SmbusShape):
    """smbus2's interface on a bus of the far world."""

    def __init__(self, link: WireLink, bus: str) -> None:
        """Use the bus of this name, `<node>/<bus>`."""
        self._link = link
        self._bus = bus

    def i2c_write(self, addr: int, sent: bytes) -> None:
        """Send a write."""
        self._link.call("i2c_write", bus=self._bus, addr=addr, bytes=sent.hex())

    def i2c_read(self, addr: int, count: int) -> bytes:
        """Send a read."""
        answer = self._link.call("i2c_read", bus=self._bus, addr=addr, n=count)
        return bytes.fromhex(answer["bytes"])

    def i2c_write_read(self, addr: int, sent: bytes, count: int) -> bytes:
        """Send a write and a read as one transfer."""
        answer = self._link.call(
            "i2c_write_read", bus=self._bus, addr=addr, bytes=sent.hex(), n=count
        )
        return bytes.fromhex(answer["bytes"])

    def close(self) -> None:
        """Leave the link open: others share it."""


def remote_pins(link: WireLink, node: str) -> Any:
    """Return a gpiozero pin factory whose pins are the far world's pins of this node."""
    from hardware.mock.wires.pins import BenchFactory

    def on_pin(pin: int, high: bool) -> bool:
        answer = link.call("pin", node=node, pin=pin, state=int(high))
        return bool(answer.get("state", high))

    return BenchFactory(on_pin)


class WireServer(LoopServer):
    """The world's end: simulated buses by name, and one callback for pins."""

    def __init__(
        self,
        path: Path | str,
        buses: Mapping[str, SmbusShape],
        on_pin: OnPin,
        *,
        lets_go: bool = False,
        loop: LoopThread | None = None,
    ) -> None:
        """Listen at once.

        Args:
            path: of the socket, with or without a leading `unix:`; a stale one is replaced.
            buses: `<node>/<bus>` -> bus; may grow while it serves.
            on_pin: follows a pin; runs in the loop's thread, and its return ends the request.
            lets_go: pins of a client that is gone fall to the level that it first drove them to, as
                a Pi with strict_gpiod lets them go to their pull resistors; else they stay.
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(loop)
        self._path = Path(str(path).removeprefix("unix:"))
        self._buses = buses
        self._on_pin = on_pin
        self._lets_go = lets_go
        self._sessions: set[_WireSession] = set()
        self._path.unlink(missing_ok=True)
        self._listener = self._thread.call(self._listen())

    def close(self) -> None:
        """Hang up on every client and remove the socket."""
        super().close()
        self._path.unlink(missing_ok=True)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request; a bus error becomes its number."""
        try:
            result = self._perform(request)
        except OSError as error:
            number = error.errno or errno.EIO
            result = {"errno": number, "error": error.strerror or os.strerror(number)}
        except (KeyError, TypeError, ValueError) as error:
            result = {"errno": errno.EINVAL, "error": f"bad request: {error!r}"}
        return {"id": request.get("id"), **result}

    def _perform(self, request: dict[str, Any]) -> dict[str, Any]:
        op = request["op"]
        if op == "pin":
            high = bool(request["state"])
            read_back = self._on_pin(request["node"], request["pin"], high)
            return {"state": int(high if read_back is None else read_back)}
        if request["bus"] not in self._buses:
            raise OSError(errno.ENODEV, f"no simulated bus {request['bus']!r}")
        bus, addr = self._buses[request["bus"]], request["addr"]
        if op == "i2c_write_read":
            got = bus.i2c_write_read(addr, bytes.fromhex(request["bytes"]), request["n"])
        elif op == "i2c_read":
            got = bus.i2c_read(addr, request["n"])
        elif op == "i2c_write":
            bus.i2c_write(addr, bytes.fromhex(request["bytes"]))
            got = b""
        else:
            raise ValueError(f"op {op!r}")
        return {"bytes": got.hex()}

    async def _listen(self) -> asyncio.Server:
        return await self._thread.loop.create_unix_server(
            lambda: _WireSession(self.answer, self._sessions, self._leave), str(self._path)
        )

    def _leave(self, first: Mapping[tuple[str, int], bool]) -> None:
        """A client is gone that first drove its pins to these levels."""
        if self._lets_go and not self._is_closed:
            for (node, pin), high in first.items():
                self._on_pin(node, pin, high)

    async def _stop(self) -> None:
        self._listener.close()
        for session in tuple(self._sessions):
            session.end()
        await self._listener.wait_closed()


class _WireSession(asyncio.Protocol):
    """One client of the world."""

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], dict[str, Any]],
        sessions: set[_WireSession],
        leave: Callable[[Mapping[tuple[str, int], bool]], None],
    ) -> None:
        self._answer = answer
        self._sessions = sessions
        self._leave = leave
        self._first: dict[tuple[str, int], bool] = {}
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sessions.discard(self)
        self._leave(self._first)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_MAX:
            self.end()
        for line in lines:
            self._serve(line)

    def end(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _serve(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("not an object")
        except ValueError:
            self.end()
            return
        answer = self._answer(request)
        if request.get("op") == "pin" and "errno" not in answer:
            self._first.setdefault((request["node"], request["pin"]), bool(request["state"]))
        if self._transport is not None:
            self._transport.write(json.dumps(answer).encode() + b"\n")
