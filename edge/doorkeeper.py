"""A socket in the state folder at which other programs of this machine may ask the agent."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from edge.door import listening

TURN_S: Final = 0.25
_CALLER_S: Final = 2.0

log = logging.getLogger("edge.doorkeeper")

Serve = Callable[[socket.socket, threading.Event], None]
"""Serves one caller; ends soon after the event is set. An OSError means that the caller left."""


class Doorkeeper:
    """A thread that serves who knocks, one after the other; others wait at the door."""

    def __init__(self, path: Path, name: str, serve: Serve) -> None:
        """Know where to listen and what to do; nothing listens yet."""
        self._path = path
        self._name = name
        self._serve = serve
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up, and listen no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            with listening(self._path) as door:
                while not self._stopping.is_set():
                    ready, _, _ = select.select([door], [], [], TURN_S)
                    if ready:
                        self._answer(door.accept()[0])
        except OSError as error:
            log.warning("nobody is told of %s at %s: %s", self._name, self._path, error)

    def _answer(self, link: socket.socket) -> None:
        with closing(link):
            link.settimeout(_CALLER_S)
            try:
                self._serve(link, self._stopping)
            except OSError:
                return  # it left again
