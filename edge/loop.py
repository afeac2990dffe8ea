"""The agent's one loop: an event comes in, the outbox stores, the uplink sends.

Every thread only puts values into this loop's queue, and everything that has a state is touched by
this loop alone. While it turns, the guard is told that it does.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edge import clock
from edge.config import SamplingSettings
from edge.errors import EdgeError
from edge.inbound import (
    Connected,
    Disconnected,
    Event,
    FromBus,
    FromGuard,
    FromHub,
    Instant,
    Sampled,
    Task,
    ThreadEnded,
)
from edge.measuring import Measuring, Shown
from edge.outbox import Outbox
from edge.outbox_records import Batch
from edge.posting import Posting
from edge.register import Reset
from edge.relaying import NodeKey, Relaying
from edge.shifting import Shifting
from edge.sweep import Devices, Sweep
from edge.timers import Timers
from keys.errors import StoreUnavailable
from messages import cose, slots
from messages.entries import network_aad, parse_as
from messages.errors import MessageError
from messages.membership import ROTATION
from messages.status import Beacon, Hello, Request, Status
from messages.tariff import Tariff
from messages.trust import Trust

TICK_MS: Final = 200
HUB_SILENT_MS: Final = 2_500
CLOCK_SET_MS: Final = 500
WALL_BUDGET_MS_MAX: Final = 2_000
SIMULATED_BUDGET_MS: Final = 3_000

log = logging.getLogger("edge.loop")


class Publisher(Protocol):
    """What is used of the uplink."""

    def publish(self, leaf: str, raw: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Hand one message to the broker; False if it is away."""


class Barrier(Protocol):
    """What is used of the testbed's clock."""

    def answer(self, at_ms: int, heads: Mapping[str, Mapping[str, int]]) -> None:
        """Say that an instant is done."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop connects. `barrier` is the testbed's clock, if time is simulated."""

    sampling: SamplingSettings
    trust: Trust
    key: NodeKey
    boot_id: bytes
    software: str
    outbox: Outbox
    posting: Posting
    measuring: Measuring
    relaying: Relaying
    shifting: Shifting
    devices: Devices
    uplink: Publisher
    barrier: Barrier | None


class Loop:
    """The agent at work. `events` is filled by threads; `run` ends when `stop` was called."""

    def __init__(
        self,
        parts: Parts,
        events: queue.Queue[Event],
        *,
        boottime_ms: Callable[[], int] = clock.boottime_ms,
        utc_ms: Callable[[], int] = clock.utc_ms,
        is_synchronised: Callable[[], bool] = clock.is_synchronised,
    ) -> None:
        self._parts = parts
        self._events = events
        self._boottime_ms = boottime_ms
        self._utc_ms = utc_ms
        self._is_synchronised = is_synchronised
        self._timers = Timers()
        self._sweep: Sweep | None = None
        self._next_ms = slots.next_instant(utc_ms(), parts.sampling.sample_ms)
        self._clock_offset_ms = utc_ms() - boottime_ms()
        self._instant_ms = parts.measuring.newest_ms  # simulated now
        self._is_dated = True if parts.barrier is not None else None
        self._is_connected = False
        self._was_told = False
        self._beacon = b""
        self._beacon_ms = boottime_ms()
        self._status_changed = False
        self._is_stopping = False

    def stop(self) -> None:
        """Let `run` return soon; may be called by a signal handler."""
        self._is_stopping = True

    def run(self, notify: Callable[[str], object]) -> None:
        """Turn until stopped, and tell the service manager that it turns.

        Raises:
            EdgeError: a thread of ours died.
        """
        notify("READY=1")
        while not self._is_stopping:
            self.turn()
            notify("WATCHDOG=1")
        self._parts.devices.stop()  # releases the relays on buses, which say so
        for _ in range(self._events.qsize()):
            self.turn()
        self._parts.uplink.publish("status", b"", retain=True)

    def turn(self) -> None:
        """Take in one event, if one comes in time, and do what is due."""
        try:
            event = self._events.get(timeout=self._wait_ms() / 1000)
        except queue.Empty:
            pass
        else:
            self._take(event)
        self._keep_time()

    # What comes in

    def _take(self, event: Event) -> None:
        match event:
            case Sampled():
                self._parts.devices.take(event, self._sweep)
                self._go_on()
            case Instant():
                self._instant_ms = event.at_ms
                self._look_at_shifts()
                self._begin(event.at_ms, SIMULATED_BUDGET_MS)
                self._go_on()
            case FromHub():
                self._take_from_hub(event)
            case FromGuard() | FromBus():
                self._take_about_relays(event)
            case Task():
                event.run()
            case Connected():
                self._greet()
            case Disconnected():
                self._part(event.reason)
            case ThreadEnded():
                raise EdgeError(f"the thread of {event.name} ended: see its traceback above")

    def _take_from_hub(self, event: FromHub) -> None:
        if event.leaf == "lease":
            self._parts.relaying.carry(event.raw)
        elif event.leaf == "receipt":
            reply = self._parts.posting.take(event.raw)
            for kid in {kid for kid, _ in reply.ahead}:
                self._parts.posting.store(self._parts.measuring.begin_epoch(kid, self._now_ms()))
            if reply.hello and self._timers.hello_again.is_due(self._boottime_ms()):
                self._say_hello()
            self._send()
        elif event.leaf == "beacon":
            beacon = self._opened(Beacon, event.raw)
            if beacon is not None:
                self._take_beacon(beacon.beacon)
        else:
            self._take_notice(event)

    def _take_notice(self, event: FromHub) -> None:
        if event.leaf == "request":
            request = self._opened(Request, event.raw)
            if request is not None:
                log.info("the hub says: %s of %d mW", request.direction, request.amount_mw)
        elif event.leaf == "tariff":
            tariff = self._opened(Tariff, event.raw)
            if tariff is not None and self._parts.shifting.take(tariff, self._now_ms()):
                self._look_at_shifts()

    def _look_at_shifts(self) -> None:
        """Ask for what loads that may wait want now, as soon as that is something else."""
        shifting, at_ms = self._parts.shifting, self._now_ms()
        for relay, wish in shifting.look(at_ms, self._parts.relaying.relays).items():
            by = "the tariff" if shifting.is_told(at_ms) else "no tariff: it is old or never came"
            log.info("relay %s asks to %s, by %s", relay, wish, by)
            self._status_changed = True

    def _opened(self, kind: type[Any], raw: bytes) -> Any:
        """Return a message of the hub, or None if it is not the hub's."""
        trust = self._parts.trust
        try:
            envelope = cose.parse(raw)
            cose.verify(envelope, trust.hub_key, network_aad(trust.network_id))
            return parse_as(kind, envelope)
        except MessageError as error:
            log.warning("%s refused: %s", kind.KIND, error)
            return None

    def _take_beacon(self, beacon: bytes) -> None:
        """Keep the newest beacon; after a silence the hub may have lost what was sent to it."""
        now_ms = self._boottime_ms()
        if now_ms - self._beacon_ms > HUB_SILENT_MS:
            self._parts.posting.send_again()
            self._say_hello()
            self._send()
        self._beacon, self._beacon_ms = beacon, now_ms

    def _take_about_relays(self, event: FromGuard | FromBus) -> None:
        drafts = self._parts.relaying.take(event, self._now_ms())
        if drafts:
            self._parts.posting.store(Batch(drafts))
            self._send()
        self._status_changed = True

    def _greet(self) -> None:
        """Newest first: status and hello go out before the backlog."""
        self._is_connected, self._was_told = True, False
        log.info("the broker is there")
        self._parts.posting.send_again()
        self._say_status()
        self._say_hello()
        self._send()

    def _part(self, reason: str) -> None:
        if not self._was_told:
            log.warning("the broker is away: %s; trying again until it is back", reason)
        self._is_connected, self._was_told = False, True

    # Sampling

    def _begin(self, at_ms: int, budget_ms: int) -> None:
        self._sweep = self._parts.devices.begin(at_ms, self._boottime_ms() + budget_ms)

    def _go_on(self) -> None:
        """Store and show what has been answered, once nothing is waited for any more."""
        sweep = self._sweep
        if sweep is None:
            return
        is_late = self._boottime_ms() >= sweep.deadline_ms
        if sweep.waiting and not is_late:
            return
        if sweep.is_answered and not sweep.answered:
            return
        self._finish(sweep)
        if not sweep.is_answered:
            sweep.is_answered = True
            if self._parts.barrier is not None:
                self._parts.barrier.answer(sweep.at_ms, self._heads())

    def _finish(self, sweep: Sweep) -> None:
        parts = self._parts
        taken = parts.measuring.take(sweep.at_ms, sweep.answered, dated=bool(self._is_dated))
        sweep.answered = {}
        for meter_id, reset in taken.resets:
            _say_reset(meter_id, reset)
        if taken.batch != Batch():
            parts.posting.store(taken.batch)
        for shown in taken.shown:
            self._show(shown)
        self._send()

    def _show(self, shown: Shown) -> None:
        """Send a live sample, which nobody misses while its key is away."""
        parts, kid = self._parts, self._parts.measuring.kids()[shown.meter_id]
        if parts.posting.is_away(kid):
            return
        try:
            raw = parts.measuring.sign_live(shown, self._beacon, stored=parts.posting.is_storing)[1]
        except StoreUnavailable as error:
            parts.posting.miss(kid, str(error))
        else:
            parts.uplink.publish("live", raw, qos=0)

    def _heads(self) -> dict[str, dict[str, int]]:
        """Return the newest sequence signed in each stream, for the testbed's clock."""
        heads: dict[str, dict[str, int]] = {}
        for (kid, stream), head in self._parts.outbox.heads().items():
            if stream == ROTATION:
                continue  # it has no order among what a slot waits for
            heads.setdefault(kid.hex(), {})[stream] = head.next_sequence - 1
        for meter_id, kid in self._parts.measuring.kids().items():
            live = self._parts.measuring.live_head(meter_id)
            if live:
                heads.setdefault(kid.hex(), {})["live"] = live
        return heads

    def _now_ms(self) -> int:
        """Return the time to sign: UTC, or the newest instant where time is simulated. [ms]"""
        return self._utc_ms() if self._parts.barrier is None else self._instant_ms

    # What is due

    def _wait_ms(self) -> int:
        """Return how long nothing is due: until the next instant, or a tick."""
        dues_ms = [TICK_MS]
        if self._parts.barrier is None:
            dues_ms.append(self._next_ms - self._utc_ms())
        return max(1, min(dues_ms))

    def _keep_time(self) -> None:
        now_ms = self._boottime_ms()
        if self._parts.barrier is None:
            self._keep_wall_time(now_ms)
        if self._sweep is not None and now_ms >= self._sweep.deadline_ms:
            self._go_on()
        if self._timers.alive.is_due(now_ms):
            self._status_changed |= self._parts.relaying.keep_alive()
            self._look_at_shifts()
        if self._timers.keys.is_due(now_ms):
            self._parts.posting.look_for_keys()
        if self._timers.ballast.is_due(now_ms):
            self._parts.outbox.keep_ballast()
        if not self._is_connected:
            return
        changed = self._status_changed and self._events.empty()
        if changed or self._timers.status.is_due(now_ms):
            self._say_status()
        if self._timers.hello.is_due(now_ms):
            self._say_hello()
        if self._timers.send.is_due(now_ms):
            self._send()

    def _keep_wall_time(self, now_ms: int) -> None:
        utc_ms = self._utc_ms()
        self._notice_set_clock(utc_ms - now_ms)
        if self._timers.clock.is_due(now_ms):
            self._judge_clock()
        step_ms = self._parts.sampling.sample_ms
        if utc_ms >= self._next_ms:
            at_ms = utc_ms - utc_ms % step_ms
            self._next_ms = at_ms + step_ms
            self._begin(at_ms, min(step_ms * 7 // 10, WALL_BUDGET_MS_MAX))
            self._go_on()

    def _notice_set_clock(self, offset_ms: int) -> None:
        """Keep integrating over a clock that was set: power flowed on meanwhile."""
        by_ms = offset_ms - self._clock_offset_ms
        self._clock_offset_ms = offset_ms
        if abs(by_ms) > CLOCK_SET_MS:
            log.warning("the clock was set by %d ms", by_ms)
            self._parts.measuring.shift(by_ms)
            self._next_ms = slots.next_instant(self._utc_ms(), self._parts.sampling.sample_ms)

    def _judge_clock(self) -> None:
        dated = self._parts.sampling.trust_clock or self._is_synchronised()
        if dated != self._is_dated and dated:
            log.info("the clock is synchronised: readings are signed")
        elif dated != self._is_dated:
            log.warning("the clock is not synchronised: no reading is signed until it is")
        self._is_dated = dated

    # What goes out

    def _send(self) -> None:
        if self._is_connected:
            self._parts.posting.send(self._boottime_ms())

    def _say_status(self) -> None:
        self._status_changed = False
        self._timers.status.last_ms = self._boottime_ms()
        parts = self._parts
        status = Status(
            node=parts.key.node,
            boot_id=parts.boot_id,
            nonces=parts.relaying.nonces,
            relays=parts.shifting.told(parts.relaying.relays),
            outbox_rows=parts.outbox.rows,
            dead_letters=parts.outbox.dead_letters,
            at_ms=self._now_ms(),
            alarm=parts.posting.trouble,
        )
        self._say("status", status, retain=True)

    def _say_hello(self) -> None:
        self._timers.hello.last_ms = self._boottime_ms()
        parts = self._parts
        hello = Hello(
            node=parts.key.node,
            boot_id=parts.boot_id,
            checkpoint=parts.posting.checkpoint,
            heads=parts.posting.stream_heads(),
            backlog=parts.outbox.rows,
            software=parts.software,
        )
        self._say("hello", hello)

    def _say(self, leaf: str, said: Hello | Status, *, retain: bool = False) -> None:
        """Sign and send what the node says of itself; it says nothing while its key is away."""
        parts = self._parts
        kid = parts.key.signer.public.kid
        if parts.posting.is_away(kid):
            return
        try:
            raw = parts.key.sign(said)
        except StoreUnavailable as error:
            parts.posting.miss(kid, str(error))
        else:
            parts.uplink.publish(leaf, raw, retain=retain)


def _say_reset(meter_id: str, reset: Reset) -> None:
    log.warning(
        "meter %s began anew: it had %s uWh in and %s out, now %s and %s; this is epoch %d",
        meter_id,
        *reset.last,
        *reset.first,
        reset.epoch,
    )
