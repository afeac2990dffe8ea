"""A pseudo-terminal as a serial port: a server on one side, any program on the other."""

from __future__ import annotations

import contextlib
import os
import tty
from abc import abstractmethod
from pathlib import Path

from hardware.mock.wires.loop import LoopServer, LoopThread

_CHUNK = 4_096


class PtyLine(LoopServer):
    """The far end of a serial port.

    Attributes:
        device: the port's path, for the program on the other side.
    """

    def __init__(self, link: Path | None, loop: LoopThread | None) -> None:
        """Open the terminal at once.

        Args:
            link: a symbolic link to make to the port, for a name that lasts.
            loop: a loop to share; without one the server starts its own.
        """
        super().__init__(loop)
        self._line, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._line, False)
        self.device = os.ttyname(self._port)
        self._link = link
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(self.device)
            self.device = str(link)

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Take bytes that came over the line, inside the loop."""

    def send(self, content: bytes) -> None:
        """Put bytes on the line; what nobody reads is lost, as on a wire."""
        if self._line >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._line, content)

    async def _listen(self) -> None:
        self._thread.loop.add_reader(self._line, self._receive)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.take(os.read(self._line, _CHUNK))

    async def _stop(self) -> None:
        self._thread.loop.remove_reader(self._line)
        os.close(self._line)
        os.close(self._port)
        self._line = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)
