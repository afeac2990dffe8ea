"""The board's Unix socket: one JSON object a line each way. Only its owner may open it (0600).

    {"look": true}                                          the whole board
    {"switch": "kill", "target": "hub", "on": true}         {"told": "..."}
    {"all_off": true}                                       {"told": "..."}
    {"error": "..."}                                        instead, where it cannot be done

Served whenever the demo waits, by the thread that plays: a client is never waited for.
"""

from __future__ import annotations

import json
import selectors
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from testbed.errors import TestbedError
from testbed.switchboard.board import Board

LINE_BYTES_MAX: Final = 10_000
CLIENTS_MAX: Final = 32


@dataclass(slots=True)
class Door:
    """Listens at a path. `serve` is called now and then, and never waits."""

    path: Path
    board: Board
    _listener: socket.socket = field(init=False)
    _selector: selectors.BaseSelector = field(init=False)
    _received: dict[socket.socket, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listen; nobody else may connect, not even before the mode is set."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self.path.chmod(0o600)  # nobody can connect before `listen`
        self._listener.listen(CLIENTS_MAX)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def close(self) -> None:
        """Hang up on everybody, and be gone."""
        for client in tuple(self._received):
            self._drop(client)
        self._selector.close()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def serve(self) -> None:
        """Answer whoever has asked."""
        for key, _ in self._selector.select(0):
            if key.fileobj is self._listener:
                self._join()
            elif isinstance(key.fileobj, socket.socket):
                self._receive(key.fileobj)

    def _join(self) -> None:
        client, _ = self._listener.accept()
        client.setblocking(False)
        if len(self._received) >= CLIENTS_MAX:
            client.close()
            return
        self._received[client] = b""
        self._selector.register(client, selectors.EVENT_READ)

    def _receive(self, client: socket.socket) -> None:
        try:
            chunk = client.recv(LINE_BYTES_MAX)
            self._received[client] += chunk
            line, end, rest = self._received[client].partition(b"\n")
            if end:
                self._received[client] = rest
                # An answer fits into the socket's buffer, or the client is too slow for us.
                client.sendall(json.dumps(answer(self.board, line)).encode() + b"\n")
            if not chunk or len(self._received[client]) > LINE_BYTES_MAX:
                self._drop(client)
        except OSError:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._received[client]
        self._selector.unregister(client)
        client.close()


def answer(board: Board, line: bytes) -> dict[str, Any]:
    """Do what one line asks for, and return what to say."""
    try:
        asked = json.loads(line)
    except ValueError:
        asked = None
    try:
        match asked:
            case {"look": True}:
                return board.facts()
            case {"all_off": True}:
                return {"told": board.all_off()}
            case {"switch": str(name), "target": str(target), "on": bool(on)}:
                return {"told": board.turn(name, target, on)}
    except (TestbedError, OSError) as error:
        return {"error": str(error)}
    return {"error": 'wanted {"look": true}, {"all_off": true} or {"switch", "target", "on"}'}
