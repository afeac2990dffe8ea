"""The guard's end of its socket: who may knock, and the one connection that may carry leases."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.frames import FrameReader, encode_frame

UNSENT_BYTES_MAX: Final = 65_536


@dataclass(slots=True)
class Agent:
    """The one connection that may carry leases."""

    link: socket.socket
    heard_ms: int
    reader: FrameReader = field(default_factory=FrameReader)
    unsent: bytes = b""

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame, or as much of it as goes; an agent that does not read is a dead one.

        Raises:
            OSError: it is gone, or reads no more.
        """
        self.unsent += encode_frame(frame)
        try:
            self.unsent = self.unsent[self.link.send(self.unsent) :]
        except BlockingIOError:
            if len(self.unsent) > UNSENT_BYTES_MAX:
                raise ConnectionError("it reads no more") from None


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at a path that only this user and group may use; a stale socket is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(path))
        path.chmod(0o660)
        door.listen(4)
        try:
            yield door
        finally:
            path.unlink(missing_ok=True)
