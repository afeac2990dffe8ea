"""Reads the devices: one thread a bus, so that a silent bus delays no other.

On a bus, devices that answered last time come first, several at once where the bus has use for it:
while one has its rest, another is asked. One that failed comes when they are done, and only if its
timeout fits in before the next instant, so that it costs the others nothing. After several failures
it is left alone for a while, longer each time up to 30 s. A device that comes back is read again
without a restart. Nothing here is logged but a line that damages replies: the loop says once when a
device goes and once when it is back.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from edge.busrelays import BusRelays
from edge.inbound import Put, Sampled, ThreadEnded
from hardware.errors import (
    BusTimeout,
    BusUnavailable,
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
_SLOW: Final = (BusTimeout, BusUnavailable)
_LASTING: Final = (WrongDevice, DeviceRefused)
_QUICK_S: Final = 0.25
_LEAST_OF_PERIOD: Final = 0.05
_END_S: Final = 1.0
_RELEASE_S: Final = 5.0

log = logging.getLogger("edge.sampler")


@dataclass(slots=True)
class Device:
    """One meter on its bus, and how it fares.

    Attributes:
        failures: how often it failed since it answered last.
        cost_s: how long its last failure took. [s]
        tried_at_s: when it was asked last.
        not_before_s: until then it is left alone.
    """

    meter_id: str
    meter: EnergyMeter
    failures: int = 0
    cost_s: float = 0.0
    tried_at_s: float = 0.0
    not_before_s: float = 0.0

    def read(self, clock_s: Callable[[], float]) -> Sample:
        """Return a sample; what fails quickly and may pass is tried twice more.

        Raises:
            HardwareError: no sample.
        """
        for _ in range(RETRIES):
            begun_s = clock_s()
            try:
                return self.meter.sample()
            except _SLOW:
                raise
            except TransientHardwareError:
                if clock_s() - begun_s > _QUICK_S:
                    raise
        return self.meter.sample()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a bus is asked.

    Attributes:
        period_s: from one instant to the next; None where time is simulated. [s]
        backoff_max_s: the longest time a device is left alone. [s]
    """

    period_s: float | None = None
    backoff_max_s: float = BACKOFF_MAX_S


class Sign(Enum):
    """What a bus is told besides instants."""

    WAKE = 1
    END = 2


class BusThread:
    """Samples the devices of one bus when asked, and holds its relays."""

    def __init__(
        self,
        name: str,
        bus: Any,
        devices: Iterable[Device],
        put: Put,
        *,
        rhythm: Rhythm = Rhythm(),
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know the devices; no wire is touched.

        Args:
            name: of the bus.
            bus: closed in the end. What it knows of `hands` and `health` is used.
            devices: the meters on it.
            put: takes a `Sampled` for each device and instant.
            rhythm: when it is asked, and how long a device is left alone.
            clock_s: monotonic. [s]
        """
        self.name = name
        self._bus = bus
        self._devices = list(devices)
        self._put = put
        self._rhythm = rhythm
        self._clock_s = clock_s
        self._pool: ThreadPoolExecutor | None = None
        self._hinted: set[int] = set()
        self._relays: BusRelays | None = None
        self._until_s = float("-inf")
        self._asked: queue.SimpleQueue[tuple[int, float] | Sign] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"bus {name}", daemon=True)

    @property
    def meter_ids(self) -> frozenset[str]:
        """The meters on this bus."""
        return frozenset(device.meter_id for device in self._devices)

    @property
    def has_relays(self) -> bool:
        """Whether there are relays on this bus."""
        return self._relays is not None

    def hold(self, relays: BusRelays) -> None:
        """Have the thread hold the relays of this bus, too; before it starts."""
        self._relays = relays

    def start(self) -> None:
        """Begin to wait for requests; no wire is touched, but for relays."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the read it is in, relays released; a hanging one is left behind."""
        self._asked.put(Sign.END)
        if self._thread.is_alive():
            self._thread.join(timeout=_RELEASE_S if self.has_relays else _END_S)

    def tell(self, frame: Mapping[str, Any]) -> None:
        """Tell who holds the relays of this bus."""
        if self._relays is not None:
            self._relays.tell(frame)
            self._asked.put(Sign.WAKE)

    def ask(self, token: int) -> None:
        """Ask for one `Sampled` a device, each with this token."""
        self._asked.put((token, self._clock_s()))

    def sweep(self, token: int, asked_s: float | None = None) -> None:
        """Read every device once, the reliable ones first. `asked_s`: when the instant was."""
        self._until_s = self._next_instant_s(self._clock_s() if asked_s is None else asked_s)
        reliable = [device for device in self._devices if not device.failures]
        failing = [device for device in self._devices if device.failures]
        self._read_all(reliable, token)
        for device in failing:
            if self._may_be_tried(device, self._until_s):
                self._put(self._sample(device, token))
            else:
                self._put(Sampled(token, device.meter_id, None, None))
        self._hint()

    def _run(self) -> None:
        ended = True
        try:
            while (asked := self._next()) is not Sign.END:
                if isinstance(asked, tuple):
                    self.sweep(*asked)
                if self._relays is not None:
                    self._relays.turn(self._until_s, comes_first=isinstance(asked, tuple))
            ended = False
        finally:
            if self._relays is not None:
                self._relays.end()
            if self._pool is not None:
                self._pool.shutdown()
            for device in self._devices:
                device.meter.close()
            self._bus.close()
            if ended:
                self._put(ThreadEnded(f"bus {self.name}"))

    def _next(self) -> tuple[int, float] | Sign:
        """Return what is asked next; relays are not kept waiting for it."""
        if self._relays is None:
            return self._asked.get()
        try:
            return self._asked.get(timeout=self._relays.left_s(self._until_s))
        except queue.Empty:
            return Sign.WAKE

    def _read_all(self, devices: list[Device], token: int) -> None:
        """Read devices, several at once where resting is what takes the time."""
        hands = getattr(self._bus, "hands", 1)
        if hands == 1 or len(devices) <= 1:
            for device in devices:
                self._put(self._sample(device, token))
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(hands, thread_name_prefix=f"bus {self.name}")
        for done in [self._pool.submit(self._sample, device, token) for device in devices]:
            self._put(done.result())

    def _sample(self, device: Device, token: int) -> Sampled:
        device.tried_at_s = begun_s = self._clock_s()
        try:
            sample = device.read(self._clock_s)
        except HardwareError as error:
            now_s = self._clock_s()
            device.failures += 1
            device.cost_s = now_s - begun_s
            device.not_before_s = now_s + self._pause_s(device, error)
            return Sampled(token, device.meter_id, None, error)
        device.failures = 0
        return Sampled(token, device.meter_id, sample, None)

    def _next_instant_s(self, asked_s: float) -> float:
        if self._rhythm.period_s is None:
            return float("inf")
        return asked_s + self._rhythm.period_s * (1 - _LEAST_OF_PERIOD)

    def _may_be_tried(self, device: Device, until_s: float) -> bool:
        """Whether a failing device is asked now: not soon again, and not at the others' cost.

        Where its timeout never fits, it is asked all the same once in the longest back-off, or
        nobody would notice that it is back.
        """
        now_s = self._clock_s()
        if now_s < device.not_before_s:
            return False
        return now_s + device.cost_s <= until_s or (
            now_s - device.tried_at_s >= self._rhythm.backoff_max_s
        )

    def _pause_s(self, device: Device, error: HardwareError) -> float:
        """Return how long to leave a device alone: not at all at first."""
        if isinstance(error, _LASTING):
            return self._rhythm.backoff_max_s
        times = device.failures - PATIENCE
        return (
            min(BACKOFF_S * 2 ** min(times, 10), self._rhythm.backoff_max_s) if times > 0 else 0.0
        )

    def _hint(self) -> None:
        """Say once of each device if its line damages replies."""
        health = self._bus.health() if hasattr(self._bus, "health") else {}
        for address, device in health.items():
            if device.hint and address not in self._hinted:
                self._hinted.add(address)
                log.warning("bus %s, device %d: %s", self.name, address, device.hint)
