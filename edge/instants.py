"""When to sample: at instants of the wall clock's common grid, or when the testbed's clock says so.

The testbed's clock is a Unix socket with one JSON object a line. It asks `{"instant": at_ms,
"again": bool}`; the agent answers `{"done": at_ms, "heads": {kid: {stream: sequence}}}` when all
that this instant signed is stored. After a crash on either side the client comes back by itself.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge.inbound import Instant, Put

RETRY_S: Final = 0.2
LINE_BYTES_MAX: Final = 65_536

log = logging.getLogger("edge.instants")


def parse_instant(line: bytes) -> Instant:
    """Return one request of the testbed's clock.

    Raises:
        ValueError: it has another form; the text says what was expected.
    """
    request = json.loads(line)
    at_ms = request.get("instant") if isinstance(request, dict) else None
    again = request.get("again", False) if isinstance(request, dict) else None
    if type(at_ms) is not int or type(again) is not bool:
        raise ValueError(f'clock sent {line!r}, want {{"instant": ms, "again": bool}}')
    return Instant(at_ms, again)


class ClockLink:
    """A thread that keeps the socket open and puts each request into the loop's queue."""

    def __init__(self, path: Path, node: str, put: Put) -> None:
        self._path = path
        self._node = node
        self._put = put
        self._stopping = threading.Event()
        self._link: socket.socket | None = None
        self._thread = threading.Thread(target=self._keep_connected, name="clock", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Close the socket and end the thread."""
        self._stopping.set()
        self._hang_up()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def answer(self, at_ms: int, heads: Mapping[str, Mapping[str, int]]) -> None:
        """Say that an instant is done; who is gone by now will ask again."""
        link = self._link
        if link is None:
            return
        try:
            link.sendall(json.dumps({"done": at_ms, "heads": heads}).encode() + b"\n")
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        link = self._link
        if link is not None:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _keep_connected(self) -> None:
        while not self._stopping.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                    link.connect(str(self._path))
                    self._read(link)
            except (OSError, ValueError) as error:
                log.debug("clock %s: %s", self._path, error)
            self._link = None
            self._stopping.wait(RETRY_S)

    def _read(self, link: socket.socket) -> None:
        link.sendall(json.dumps({"hello": "edge", "node": self._node}).encode() + b"\n")
        self._link = link
        with link.makefile("rb") as lines:
            while line := lines.readline(LINE_BYTES_MAX):
                self._put(parse_instant(line))
