"""One asyncio loop in a thread of its own, and the servers of simulated wires that live in it.

Everything a wire does runs in this one thread, so simulated devices need no locks of their own.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """A running loop; many servers may share one."""

    def __init__(self) -> None:
        """Start the thread."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="simulated-wires", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself, running."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the loop."""
        self.close()

    def call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Stop the loop and wait for its thread; once is enough."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()


class LoopServer(ABC):
    """A server in a loop that it shares, or that it starts and ends itself."""

    def __init__(self, thread: LoopThread | None) -> None:
        """Use this loop; without one, start an own."""
        self._owns_thread = thread is None
        self._thread = LoopThread() if thread is None else thread
        self._is_closed = False

    def __enter__(self) -> Self:
        """Return itself, serving."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.close()

    def close(self) -> None:
        """Stop serving, hang up on every client, and end an own loop; once is enough."""
        if self._is_closed:
            return
        self._is_closed = True
        self._thread.call(self._stop())
        if self._owns_thread:
            self._thread.close()

    @abstractmethod
    async def _stop(self) -> None:
        """Stop serving, inside the loop."""
