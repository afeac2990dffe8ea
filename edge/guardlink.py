"""The agent's end of the socket to the guard: a thread reads, frames go out at once."""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path
from typing import Any, Final

from edge.errors import NoGuard
from edge.frames import FrameReader, encode_frame
from edge.inbound import FromGuard, Put
from messages.errors import MessageError

RETRY_S: Final = 0.3
RECEIVE_BYTES: Final = 65_536
LOOK_S: Final = 2.0

log = logging.getLogger("edge.guardlink")


class GuardLink:
    """A connection that comes back by itself. `send` is for the loop's thread."""

    def __init__(self, path: Path, put: Put) -> None:
        self._path = path
        self._put = put
        self._stopping = threading.Event()
        self._link: socket.socket | None = None
        self._thread = threading.Thread(target=self._keep_connected, name="guard", daemon=True)

    def start(self) -> None:
        """Begin to connect, and return at once: meters are read without a guard, too."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up: the guard makes its relays safe."""
        self._stopping.set()
        self._hang_up()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def send(self, frame: dict[str, Any]) -> bool:
        """Send a frame; False if the guard is away."""
        link = self._link
        if link is None:
            return False
        try:
            link.sendall(encode_frame(frame))
        except OSError:
            self._hang_up()
            return False
        return True

    def _hang_up(self) -> None:
        link = self._link
        if link is not None:
            try:
                link.shutdown(socket.SHUT_RDWR)  # wakes the reader, which closes it
            except OSError:
                return

    def _keep_connected(self) -> None:
        while not self._stopping.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                    link.connect(str(self._path))
                    self._read(link)
            except (OSError, MessageError) as error:
                log.debug("guard %s: %s", self._path, error)
            if self._link is not None:
                self._link = None
                self._put(FromGuard(None))
            self._stopping.wait(RETRY_S)

    def _read(self, link: socket.socket) -> None:
        link.sendall(encode_frame({"alive": True}))
        self._link = link
        reader = FrameReader()
        while received := link.recv(RECEIVE_BYTES):
            for frame in reader.take(received):
                self._put(FromGuard(frame))


def look(path: Path, who: str = "guard") -> list[dict[str, Any]]:
    """Return how relays stand, as their holder tells whoever connects: the guard, or the agent.

    Raises:
        NoGuard: it is not there, or does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(LOOK_S)
            link.connect(str(path))
            reader = FrameReader()
            while received := link.recv(RECEIVE_BYTES):
                for frame in reader.take(received):
                    if "relays" in frame:
                        return list(frame["relays"])
    except (OSError, MessageError) as error:
        raise NoGuard(f"no {who} answers at {path}: {error}") from None
    raise NoGuard(f"the {who} at {path} hung up")
