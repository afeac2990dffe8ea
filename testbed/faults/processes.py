"""Processes that die, hang and come back, by their name on the stage."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from testbed.errors import NotReady
from testbed.stage import READY_S, Stage

GUARD = "guard-"
LOOK_S = 0.02


def boottime_ms() -> float:
    """Return the clock that guards count leases by. [ms]"""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6


@dataclass(frozen=True, slots=True)
class Processes:
    """The running children of a stage. Each fault returns the moment before it. [ms boottime]"""

    stage: Stage

    def kill(self, name: str) -> float:
        """Kill a process at once and wait until it is gone."""
        at_ms = boottime_ms()
        self.stage.supervisor.kill(name)
        return at_ms

    def stop(self, name: str) -> float:
        """Freeze a process: it keeps its connections and says nothing."""
        return self._signal(name, signal.SIGSTOP)

    def go_on(self, name: str) -> float:
        """Let a frozen process go on."""
        return self._signal(name, signal.SIGCONT)

    def revive(self, names: Iterable[str]) -> None:
        """Start processes that were killed, and wait until each is ready.

        Raises:
            NotReady: one of them did not come back.
        """
        named = tuple(names)
        for name in named:
            if name.startswith(GUARD):
                # A dead guard's socket is still there: only a new one says that it listens.
                node = name.removeprefix(GUARD)
                self.stage.installation.guard(node).unlink(missing_ok=True)
            self.stage.supervisor.restart(name)
        deadline_s = time.monotonic() + READY_S
        for name in named:
            ready = self.stage.supervisor.children[name].program.ready
            while ready is not None and not ready():
                if time.monotonic() > deadline_s:
                    raise NotReady(f"{name} did not come back within {READY_S:.0f} s")
                time.sleep(LOOK_S)

    def _signal(self, name: str, number: signal.Signals) -> float:
        at_ms = boottime_ms()
        os.killpg(self.stage.supervisor.children[name].process.pid, number)
        return at_ms
