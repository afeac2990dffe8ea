"""A pseudo-terminal as a serial port: a server on one side, any program on the other."""

from __future__ import annotations

import contextlib
import errno
import os
import tty
from abc import abstractmethod
from pathlib import Path

from hardware.mock.wires.loop import LoopServer, LoopThread

_CHUNK = 4_096
_PORTS = "/dev/pts/"


class PtyLine(LoopServer):
    """The far end of a serial port.

    Attributes:
        device: the port's path, for the program on the other side.
    """

    def __init__(self, link: Path | None, loop: LoopThread | None) -> None:
        """Open the terminal at once.

        Args:
            link: a symbolic link to make to the port, for a name that lasts. A link that an
                earlier one left behind is replaced, and nothing else ever is.
            loop: a loop to share; without one the server starts its own.

        Raises:
            FileExistsError: something else is at `link`.
            OSError: no link can be made there.
        """
        if link is not None:
            _clear(link)
        super().__init__(loop)
        self._line, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._line, False)
        self.device = os.ttyname(self._port)
        self._link = link
        if link is not None:
            self._point_to(link)

    def _point_to(self, link: Path) -> None:
        try:
            link.symlink_to(self.device)
        except OSError:
            os.close(self._line)
            os.close(self._port)
            raise
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
        if self._link is not None and _target(self._link) == os.ttyname(self._port):
            self._link.unlink()  # not one that another server has put there meanwhile
        os.close(self._line)
        os.close(self._port)
        self._line = -1


def _clear(link: Path) -> None:
    """Take away what an earlier port left behind.

    Raises:
        FileExistsError: it is something else.
    """
    if _target(link).startswith(_PORTS):
        link.unlink()
    elif link.is_symlink() or link.exists():
        reason = "is there already and is no link to a simulated port; want a path that is free"
        raise FileExistsError(errno.EEXIST, reason, str(link))


def _target(link: Path) -> str:
    """Return where a link points to; "" if it is none."""
    return os.readlink(link) if link.is_symlink() else ""
