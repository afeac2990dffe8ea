"""VE.Direct lines for tests: a simulated device, with and without a wire, and time by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hardware.mock.vedirect.device import VeDirectDevice
from hardware.mock.vedirect.port import VeDirectPty
from hardware.ports import BytePort


@dataclass(slots=True)
class HandClock:
    """A clock that goes only when told to. [s]"""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


class AskedLine:
    """A `BytePort` on a device that answers at once and talks only when told to."""

    def __init__(self, twin: VeDirectDevice) -> None:
        self.sent = b""
        self._twin = twin
        self._said = b""

    def read(self) -> bytes:
        said, self._said = self._said, b""
        return said

    def write(self, sent: bytes) -> None:
        self.sent += sent
        self._said += self._twin.hear(sent)

    def say(self, said: bytes) -> None:
        """Let these bytes come from the device."""
        self._said += said

    def close(self) -> None:
        """Nothing to close."""


class TalkingLine:
    """A `BytePort` on which a second passes at each read, or four in which nothing is said."""

    def __init__(self, twin: VeDirectDevice, clock: HandClock) -> None:
        self.sent = b""
        self._twin = twin
        self._clock = clock

    def read(self) -> bytes:
        said = self._twin.report()
        self._clock.pause(1.0 if said else 4.0)
        return said

    def write(self, sent: bytes) -> None:
        self.sent += sent

    def close(self) -> None:
        """Nothing to close."""


class TalkingPort:
    """The same over a real port: each read waits for what the device said on it."""

    DEADLINE_S = 10.0

    def __init__(self, bus: BytePort, far_end: VeDirectPty, clock: HandClock) -> None:
        self._bus = bus
        self._far_end = far_end
        self._clock = clock

    def read(self) -> bytes:
        got = self._bus.read()  # opens the port: what is said before is lost
        wanted = len(got) + len(self._far_end.emit())
        until_s = time.monotonic() + self.DEADLINE_S
        while len(got) < wanted:
            if time.monotonic() > until_s:
                raise AssertionError(f"{len(got)} bytes came, {wanted} were sent")
            time.sleep(0.001)
            got += self._bus.read()
        self._clock.pause(1.0 if got else 4.0)
        return got

    def write(self, sent: bytes) -> None:
        self._bus.write(sent)

    def close(self) -> None:
        self._bus.close()
