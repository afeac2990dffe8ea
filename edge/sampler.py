"""Reads the devices: one thread a bus, so that a silent bus delays no other.

On a bus, devices that answered last time come first, and one that failed several times is left
alone for a while, longer each time up to 30 s: it costs the others one timeout now and then. A
device that comes back is read again without a restart. Nothing here is logged: the loop says once
when a device goes and once when it is back.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from edge.inbound import Put, Sampled, ThreadEnded
from hardware.errors import (
    BusTimeout,
    BusUnavailable,
    DeviceAbsent,
    DeviceRefused,
    HardwareError,
    TransientHardwareError,
    WrongDevice,
)
from hardware.ports import EnergyMeter, Sample

RETRIES: Final = 2
PATIENCE: Final = 3
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 30.0
SIMULATED_BACKOFF_MAX_S: Final = 1.0
_SLOW: Final = (BusTimeout, BusUnavailable, DeviceAbsent)
_LASTING: Final = (WrongDevice, DeviceRefused)


@dataclass(slots=True)
class Device:
    """One meter on its bus, and how it fares."""

    meter_id: str
    meter: EnergyMeter
    failures: int = 0
    not_before_s: float = 0.0

    def read(self) -> Sample:
        """Return a sample; what fails quickly and may pass is tried twice more.

        Raises:
            HardwareError: no sample.
        """
        for _ in range(RETRIES):
            try:
                return self.meter.sample()
            except _SLOW:
                raise
            except TransientHardwareError:
                continue
        return self.meter.sample()


class BusThread:
    """Samples the devices of one bus when asked, one request at a time."""

    def __init__(
        self,
        name: str,
        bus: Any,
        devices: Iterable[Device],
        put: Put,
        *,
        backoff_max_s: float = BACKOFF_MAX_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._bus = bus
        self._devices = list(devices)
        self._put = put
        self._backoff_max_s = backoff_max_s
        self._clock_s = clock_s
        self._asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"bus {name}", daemon=True)

    @property
    def meter_ids(self) -> frozenset[str]:
        """The meters on this bus."""
        return frozenset(device.meter_id for device in self._devices)

    def start(self) -> None:
        """Begin to wait for requests; no wire is touched."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the read it is in; a hanging one is left behind."""
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def ask(self, token: int) -> None:
        """Ask for one `Sampled` a device, each with this token."""
        self._asked.put(token)

    def sweep(self, token: int) -> None:
        """Read every device once, the reliable ones first."""
        for device in sorted(self._devices, key=lambda device: device.failures > 0):
            self._put(self._sample(device, token))

    def _run(self) -> None:
        ended = True
        try:
            while (token := self._asked.get()) is not None:
                self.sweep(token)
            ended = False
        finally:
            for device in self._devices:
                device.meter.close()
            self._bus.close()
            if ended:
                self._put(ThreadEnded(f"bus {self.name}"))

    def _sample(self, device: Device, token: int) -> Sampled:
        if self._clock_s() < device.not_before_s:
            return Sampled(token, device.meter_id, None, None)
        try:
            sample = device.read()
        except HardwareError as error:
            device.failures += 1
            device.not_before_s = self._clock_s() + self._pause_s(device, error)
            return Sampled(token, device.meter_id, None, error)
        device.failures = 0
        return Sampled(token, device.meter_id, sample, None)

    def _pause_s(self, device: Device, error: HardwareError) -> float:
        """Return how long to leave a device alone: not at all at first."""
        if isinstance(error, _LASTING):
            return self._backoff_max_s
        times = device.failures - PATIENCE
        return min(BACKOFF_S * 2 ** min(times, 10), self._backoff_max_s) if times > 0 else 0.0
