"""A serial line whose far end was captured: it answers known request bytes with known replies."""

from __future__ import annotations

import os
import select
import threading
import tty
from types import TracebackType
from typing import Self


class ScriptedLine:
    """A pseudo-terminal. `heard` holds every byte that came, `device` is the port's path."""

    def __init__(self, script: dict[bytes, bytes]) -> None:
        self.heard = b""
        self._script = script
        self._line, self._port = os.openpty()
        tty.setraw(self._port)
        self.device = os.ttyname(self._port)
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._wake, b"x")
        self._thread.join()
        for descriptor in (self._line, self._port, self._woken, self._wake):
            os.close(descriptor)

    def _play(self) -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([self._line, self._woken], [], [])
            if self._woken in ready:
                return
            got = os.read(self._line, 4096)
            self.heard += got
            pending += got
            if pending in self._script:
                os.write(self._line, self._script[pending])
                pending = b""
