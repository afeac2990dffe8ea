"""A witness on a loopback port inside the test: real judge and memory, and faults to switch on."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hub.cosigning.client import Peer
from hub.witness import home
from hub.witness.server import witness_of
from hub.witness.service import Answer, Witness
from messages.log.note import format_vkey


class HttpWitness:
    """Answers as a witness does; a test may stop it, delay it, or put words into its mouth.

    Attributes:
        asked: (method, path, body) of every request, in order.
        gate: requests wait for it; cleared, the witness is slow.
        says: answers instead of its own, by method, while set.
        shows: whether it shows what it cosigned last.
    """

    def __init__(self, folder: Path, name: str, *vkeys: str) -> None:
        self.folder = folder
        home.found(folder, name, vkeys)
        self.home = home.open_home(folder)
        self.asked: list[tuple[str, str, bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.says: dict[str, Answer] = {}
        self.shows = True
        self.ahead_s = 0
        self.connections: list[socket.socket] = []
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self.start()

    @property
    def witness(self) -> Witness:
        return witness_of(self.home, lambda: int(time.time()) + self.ahead_s)

    @property
    def peer(self) -> Peer:
        return Peer(self.home.key, self.url)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/w"

    @property
    def policy_line(self) -> str:
        name = self.home.key.name.replace("/", "-")
        return f"witness {name} {format_vkey(self.home.key)} {self.url}"

    def size(self, origin: str) -> int:
        held = self.home.memory.held(origin)
        return 0 if held is None else held.size

    def start(self) -> None:
        """Listen; on the port it had before."""
        bench = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                bench.answer(self, self.rfile.read(int(self.headers["content-length"])))

            def do_GET(self) -> None:
                bench.answer(self, b"")

            def setup(self) -> None:
                super().setup()
                bench.connections.append(self.connection)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Die: nobody listens any more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def close(self) -> None:
        self.gate.set()
        self.stop()
        self.home.memory.close()

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.asked.append((request.command, request.path, body))
        self.gate.wait(20)
        answer = self.says.get(request.command) or self._own(request, body)
        raw = answer.body.encode()
        with suppress(OSError):  # the hub may have lost patience
            request.send_response(answer.status)
            request.send_header("Content-Type", answer.kind)
            request.send_header("Content-Length", str(len(raw)))
            request.end_headers()
            request.wfile.write(raw)

    def _own(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        if request.command == "POST":
            assert request.path == "/w/add-checkpoint"
            return self.witness.add(body)
        hashed = request.path.removeprefix("/w/").removesuffix("/checkpoint")
        return self.witness.newest(hashed) if self.shows else Answer(404, "not shown\n")
