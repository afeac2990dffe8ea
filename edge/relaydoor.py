"""How the relays on buses stand, for who asks on this machine: a socket in the state folder.

As the guard does for its own, it tells whoever connects and hangs up; `edge.guardlink.look` asks.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Final

from edge.door import listening
from edge.frames import encode_frame
from messages.status import RelayStatus

SOCKET: Final = "relay.sock"
_TURN_S: Final = 0.25
_SEND_S: Final = 1.0

log = logging.getLogger("edge.relaydoor")


class RelayDoor:
    """A thread that answers each knock."""

    def __init__(self, path: Path, relays: Callable[[], tuple[RelayStatus, ...]]) -> None:
        """Know where to listen and whom to ask; nothing listens yet."""
        self._path = path
        self._relays = relays
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay door", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            with listening(self._path) as door:
                while not self._stopping.is_set():
                    ready, _, _ = select.select([door], [], [], _TURN_S)
                    if ready:
                        self._answer(door.accept()[0])
        except OSError as error:
            log.warning("nobody is told how relays stand at %s: %s", self._path, error)

    def _answer(self, link: socket.socket) -> None:
        with closing(link):
            link.settimeout(_SEND_S)
            try:
                link.sendall(encode_frame({"relays": [asdict(each) for each in self._relays()]}))
            except OSError:
                return  # it left again
