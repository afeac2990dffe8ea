"""What went over a bus, one line a frame, for people and for `replay`; and how to listen to it.

    # gridtally trace 1
    # bus rs485 modbus_rtu
    2026-11-21T08:15:00.123456Z > 01 04 00 00 00 02 71 CB
    2026-11-21T08:15:00.181022Z < 01 04 04 43 66 33 34 1B 38

Time is UTC, to the microsecond. `>` was sent, `<` came in. Bytes are those of the wire; on I2C the
first is the address, without its direction bit, and an address alone did not acknowledge. What
begins with `#` is for people, but for the line that names the bus and its kind.

A running agent offers this on a socket in its state folder: who connects and names a bus gets its
lines until hanging up. Whoever reads too slowly loses frames, and is told how many.
"""

from __future__ import annotations

import queue
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from edge.doorkeeper import TURN_S, Doorkeeper
from edge.errors import Unavailable

SENT: Final = ">"
RECEIVED: Final = "<"
SOCKET: Final = "trace.sock"
FRAMES_MAX: Final = 1_000
"""Frames that wait for a slow reader; more are lost, and counted."""

_HEAD: Final = "# gridtally trace 1"
_LINE: Final = re.compile(r"(\S+) ([><])((?: [0-9A-F]{2})*)")
_BUS: Final = re.compile(r"# bus (\S+) (\S+)")
_SILENCE_NS: Final = 50_000_000
"""What comes in pieces, and no longer apart, is one frame."""

_ASK_BYTES: Final = 256


class BadTrace(Unavailable):
    """A file that is no trace; the text has its line."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Some bytes that went over a bus together."""

    at_us: int
    direction: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace: the bus, its kind, and every frame in order."""

    bus: str
    kind: str
    frames: tuple[Frame, ...]


def head(bus: str, kind: str) -> tuple[str, str]:
    """Return the lines that a trace begins with."""
    return _HEAD, f"# bus {bus} {kind}"


def format_frame(frame: Frame) -> str:
    """Return one line, without its end.

    >>> format_frame(Frame(1_500_000, SENT, bytes([1, 4])))
    '1970-01-01T00:00:01.500000Z > 01 04'
    """
    at = datetime.fromtimestamp(frame.at_us // 1_000_000, UTC)
    text = f"{at:%Y-%m-%dT%H:%M:%S}.{frame.at_us % 1_000_000:06d}Z {frame.direction}"
    return f"{text} {frame.raw.hex(' ').upper()}".rstrip()


def parse_frame(line: str) -> Frame:
    """Return the frame in a line; ValueError if there is none.

    >>> parse_frame("1970-01-01T00:00:01.500000Z > 01 04").raw.hex()
    '0104'
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("want TIME, > or <, and bytes in hex")
    at = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    at_us = int(at.replace(microsecond=0).timestamp()) * 1_000_000 + at.microsecond
    return Frame(at_us, match[2], bytes.fromhex(match[3]))


def parse_trace(text: str, path: Path) -> Trace:
    """Return the trace in a text; BadTrace says what is wrong with it."""
    frames: list[Frame] = []
    bus = kind = ""
    for number, line in enumerate(text.splitlines(), 1):
        named = _BUS.fullmatch(line)
        if named:
            bus, kind = named.groups()
        elif line.strip() and not line.startswith("#"):
            try:
                frames.append(parse_frame(line.strip()))
            except ValueError as error:
                raise BadTrace(f"{path}:{number}: {error}") from None
    if not kind:
        raise BadTrace(f'{path}: no line "# bus NAME KIND": is it a trace?')
    return Trace(bus, kind, tuple(frames))


class Tap:
    """Collects the frames of one bus as lines, without ever holding the bus up."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._waiting: queue.Queue[Frame] = queue.Queue(FRAMES_MAX)
        self._coming: Frame | None = None
        self._newest_ns = 0
        self._lost = 0
        self._lock = threading.Lock()

    def __call__(self, direction: Literal["sent", "heard"], raw: bytes, at_s: float) -> None:
        """Take bytes; in the thread that uses the bus."""
        now_ns = self._clock_ns()
        with self._lock:
            if direction == "sent":
                self._finish()
                self._put(Frame(now_ns // 1000, SENT, bytes(raw)))
                return
            if now_ns - self._newest_ns > _SILENCE_NS:
                self._finish()
            begun_us = self._coming.at_us if self._coming else now_ns // 1000
            before = self._coming.raw if self._coming else b""
            self._coming = Frame(begun_us, RECEIVED, before + bytes(raw))
            self._newest_ns = now_ns

    def lines(self, wait_s: float) -> Iterator[str]:
        """Yield the lines that are whole; wait for the first."""
        with self._lock:
            if self._clock_ns() - self._newest_ns > _SILENCE_NS:
                self._finish()
            lost, self._lost = self._lost, 0
        if lost:
            yield f"# {lost} frames lost: they are not read fast enough"
        try:
            yield format_frame(self._waiting.get(timeout=wait_s))
            while True:
                yield format_frame(self._waiting.get_nowait())
        except queue.Empty:
            return

    def end(self) -> Iterator[str]:
        """Yield what is left, whole or not."""
        with self._lock:
            self._finish()
        yield from self.lines(0)

    def _finish(self) -> None:
        if self._coming is not None:
            self._put(self._coming)
            self._coming = None

    def _put(self, frame: Frame) -> None:
        try:
            self._waiting.put_nowait(frame)
        except queue.Full:
            self._lost += 1


def trace_door(path: Path, buses: Mapping[str, Any], kinds: Mapping[str, str]) -> Doorkeeper:
    """Return the agent's end: who may open the socket listens to one bus, until hanging up."""

    def serve(link: socket.socket, stopping: threading.Event) -> None:
        name = link.recv(_ASK_BYTES).decode(errors="replace").strip()
        if name not in buses:
            link.sendall(f"no bus is named {name!r}\n".encode())
            return
        link.sendall("".join(f"{line}\n" for line in head(name, kinds[name])).encode())
        _stream(link, buses[name], stopping)

    return Doorkeeper(path, "traces", serve)


def _stream(link: socket.socket, bus: Any, stopping: threading.Event) -> None:
    tap = Tap()
    bus.trace = tap
    try:
        while not stopping.is_set() and not _hung_up(link):
            for line in tap.lines(TURN_S):
                link.sendall(f"{line}\n".encode())
    finally:
        bus.trace = None


def _hung_up(link: socket.socket) -> bool:
    ready, _, _ = select.select([link], [], [], 0)
    return bool(ready) and not link.recv(_ASK_BYTES)


def is_offered(path: Path) -> bool:
    """Whether an agent listens here; a socket may be left of one that was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(str(path))
        except OSError:
            return False
    return True


def lines_of_agent(path: Path, bus: str, seconds: float) -> Iterator[str]:
    """Yield the lines of a bus from the running agent, for so many seconds.

    Raises:
        Unavailable: no agent listens there, or it has no such bus.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(str(path))
            link.sendall(bus.encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"no agent offers traces at {path}: {error.strerror}") from None
        first = True
        for line in _received(link, seconds):
            if first and line != _HEAD:
                raise Unavailable(line)
            first = False
            yield line


def _received(link: socket.socket, seconds: float) -> Iterator[str]:
    ends = time.monotonic() + seconds
    rest = b""
    while (left := ends - time.monotonic()) > 0:
        ready, _, _ = select.select([link], [], [], min(left, TURN_S))
        if not ready:
            continue
        received = link.recv(65_536)
        if not received:
            return
        *whole, rest = (rest + received).split(b"\n")
        yield from (line.decode() for line in whole)


def lines_while(bus: Any, read: Callable[[], object], ends: Callable[[], bool]) -> Iterator[str]:
    """Yield what goes over a bus of our own while `read` uses it again and again."""
    tap = Tap()
    bus.trace = tap
    try:
        while not ends():
            read()
            yield from tap.lines(0)
        yield from tap.end()
    finally:
        bus.trace = None
