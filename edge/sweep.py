"""One instant: who was asked, who has answered, and when to go on without the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.inbound import Sampled
from edge.sampler import BusThread
from hardware.ports import Sample

log = logging.getLogger("edge.sweep")


@dataclass(slots=True)
class Sweep:
    """The devices of one instant. A late answer is still taken until the next instant begins."""

    at_ms: int
    token: int
    deadline_ms: int
    waiting: set[str]
    answered: dict[str, Sample] = field(default_factory=dict)
    is_answered: bool = False


class Devices:
    """Asks every bus for each instant; says once when a device goes, once when it is back."""

    def __init__(self, buses: Iterable[BusThread], quiet: frozenset[str]) -> None:
        """Know the buses. `quiet`: meters that are silent at night, which is no fault."""
        self._buses = tuple(buses)
        self._quiet = quiet
        self._token = 0
        self._busy: dict[str, set[str]] = {bus.name: set() for bus in self._buses}
        self._failures: dict[str, int] = {}

    def start(self) -> None:
        """Start a thread a bus."""
        for bus in self._buses:
            bus.start()

    def stop(self) -> None:
        """End the threads."""
        for bus in self._buses:
            bus.stop()

    def begin(self, at_ms: int, deadline_ms: int) -> Sweep:
        """Ask every bus that has answered its last request; the others miss this instant."""
        self._token += 1
        waiting: set[str] = set()
        for bus in self._buses:
            if not bus.meter_ids:
                continue
            if self._busy[bus.name]:
                log.debug("bus %s is still reading; it misses an instant", bus.name)
                continue
            self._busy[bus.name] = set(bus.meter_ids)
            waiting |= bus.meter_ids
            bus.ask(self._token)
        return Sweep(at_ms, self._token, deadline_ms, waiting)

    def take(self, sampled: Sampled, sweep: Sweep | None) -> None:
        """Take in an answer; what belongs to an earlier instant only frees its bus."""
        for meter_ids in self._busy.values():
            meter_ids.discard(sampled.meter_id)
        self._say(sampled)
        if sweep is None or sampled.token != sweep.token:
            return
        sweep.waiting.discard(sampled.meter_id)
        if sampled.sample is not None:
            sweep.answered[sampled.meter_id] = sampled.sample

    def _say(self, sampled: Sampled) -> None:
        meter_id = sampled.meter_id
        if sampled.error is not None:
            failures = self._failures[meter_id] = self._failures.get(meter_id, 0) + 1
            if failures == 1:
                level = logging.INFO if meter_id in self._quiet else logging.WARNING
                log.log(
                    level, "meter %s: %s; asking again until it answers", meter_id, sampled.error
                )
        elif sampled.sample is not None and meter_id in self._failures:
            log.info(
                "meter %s answers again, after %d failures", meter_id, self._failures.pop(meter_id)
            )
