"""Ctrl-C, SIGTERM and a terminal that is gone, heeded only where no transfer is torn in two."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Final

from edge.relaytest.errors import RelayTestEnded

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(slots=True)
class Halt:
    """While it is entered, signals end what it `heeded`, at once, and nothing else."""

    _before: dict[int, Any] = field(default_factory=dict)
    _came: str = ""
    _is_heeded: bool = False

    def __enter__(self) -> Halt:
        """Take the signals."""
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let a signal, also one that came before, end what is done here.

        Raises:
            RelayTestEnded: one came.
        """
        self._is_heeded = True
        try:
            if self._came:
                raise RelayTestEnded(self._came)
            yield
        finally:
            self._is_heeded = False

    def pause(self, seconds: float) -> None:
        """Wait, unless a signal comes."""
        with self.heeded():
            time.sleep(seconds)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self._came = f"ended by {signal.Signals(number).name}"
        if self._is_heeded:
            raise RelayTestEnded(self._came)
