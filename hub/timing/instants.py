"""The hub's end of the testbed's clock: in simulation, instants come from there.

A Unix socket with one JSON object a line. The testbed asks
`{"instant": at_ms, "close": slot_ms|null, "deadline_ms": n, "heads": {kid: {stream: n}}}`, the hub
answers `{"done": at_ms, "moved": k, "late": [...]}` when all of it is folded, closed and switched.
A thread reads; the loop looks at `waiting` and answers. The client comes back by itself after
either side died.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RETRY_S = 0.2
LINE_BYTES_MAX = 4 * 1024 * 1024
DEADLINE_MS = 10_000

log = logging.getLogger("hub.timing.instants")


@dataclass(frozen=True, slots=True)
class Instant:
    """One request: fold these heads [(kid, stream, sequence)], close this slot, then answer."""

    at_ms: int
    close_ms: int | None
    deadline_ms: int
    heads: tuple[tuple[bytes, str, int], ...]


def parse_instant(line: bytes) -> Instant:
    """Read one request line; ValueError names what is wrong with it."""
    body = json.loads(line)
    if not isinstance(body, dict):
        raise ValueError(f"clock sent {type(body).__name__}, want an object")
    heads = tuple(
        (bytes.fromhex(kid), stream, _whole(streams, stream))
        for kid, streams in sorted(_mapping(body, "heads").items())
        for stream in sorted(streams)
    )
    close_ms = None if body.get("close") is None else _whole(body, "close")
    deadline_ms = _whole(body, "deadline_ms") if "deadline_ms" in body else DEADLINE_MS
    return Instant(_whole(body, "instant"), close_ms, deadline_ms, heads)


def _whole(body: dict[str, object], key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"clock sent {key} = {value!r}, want a whole number")
    return value


def _mapping(body: dict[str, object], key: str) -> dict[str, dict[str, object]]:
    value = body.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"clock sent {key} = {value!r}, want an object")
    for streams in value.values():
        if not isinstance(streams, dict):
            raise ValueError(f"clock sent {key} with {streams!r}, want an object for each key id")
    return value


class InstantClient:
    """A thread that keeps the socket open and holds the newest unanswered request."""

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        self._path = path
        self._wake = wake
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: Instant | None = None
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._keep_open, name="instants", daemon=True)

    @property
    def waiting(self) -> Instant | None:
        """The request that wants an answer, if there is one."""
        with self._lock:
            return self._waiting

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Close the socket and end the thread."""
        self._stopping.set()
        with self._lock:
            if self._socket is not None:
                _shut(self._socket)
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def answer(self, instant: Instant, moved: int, late: tuple[str, ...]) -> None:
        """Answer one request; `moved` contacts changed, `late` says what did not arrive in time."""
        line = json.dumps({"done": instant.at_ms, "moved": moved, "late": list(late)}) + "\n"
        with self._lock:
            if self._waiting is instant:
                self._waiting = None
            if self._socket is None:
                return
            try:
                self._socket.sendall(line.encode())
            except OSError:
                _shut(self._socket)  # the reader sees it and connects again

    def _keep_open(self) -> None:
        while not self._stopping.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                    link.connect(str(self._path))
                    self._read(link)
            except OSError as error:
                log.debug("clock %s: %s", self._path, error)
            with self._lock:
                self._socket = None
                self._waiting = None
            self._stopping.wait(RETRY_S)

    def _read(self, link: socket.socket) -> None:
        with self._lock:
            self._socket = link
            link.sendall(b'{"hello": "hub"}\n')
        with link.makefile("rb") as lines:
            while not self._stopping.is_set() and (line := lines.readline(LINE_BYTES_MAX)):
                try:
                    request = parse_instant(line)
                except ValueError as error:
                    log.warning("%s; closing the clock's socket", error)
                    return
                with self._lock:
                    self._waiting = request
                self._wake()


def _shut(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
