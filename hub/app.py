"""The hub: one loop, one writer. Hear, take in, close and switch, keep time; again.

Threads exist only behind `Arrivals` (the broker's) and the testbed's clock. All else happens here,
in one order, and whatever a crash loses is asked for again.
"""

from __future__ import annotations

import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

from hub.balancing.catalog import installed as installed_policies
from hub.casework.telling import tell_owners
from hub.closing import Closer, CloseRule
from hub.config import HubConfig
from hub.cosigning.client import Peer
from hub.cosigning.comparing import Comparison
from hub.cosigning.evidence import EvidenceFolder
from hub.cosigning.finality import Finality
from hub.cosigning.proposals import Proposals
from hub.cosigning.rounds import Cosigning, peers_of
from hub.desk import Desk
from hub.errors import LedgerBehind, StorageFull
from hub.inbox import TAKEN_AT_ONCE, Inbox
from hub.ledger.crew import rarely_collecting
from hub.ledger.preimages import Preimages
from hub.ledger.store import Store
from hub.link.arrivals import Arrivals, Batch
from hub.link.beacons import Beacons
from hub.link.broker import BACKOFF_MAX_S, BrokerLink, LinkState
from hub.link.hearing import Hearing
from hub.link.nodes import Newsroom
from hub.link.post import Post
from hub.market.catalog import installed as installed_contracts
from hub.spine import Spine
from hub.starting import Opened, open_hub
from hub.switching.dispatch import Dispatcher
from hub.switching.leases import Leases
from hub.switching.switchboard import Switchboard
from hub.switching.tariffs import Tariffs
from hub.timing.pace import IDLE_MS, Pace, SimulatedPace, WallPace, monotonic_ms
from hub.upkeep.retention import Retention
from hub.vault.keeper import Keeper
from hub.vitals.health import HealthFile
from hub.vitals.heartbeat import ALIVE, READY, STOPPING, service_manager
from hub.vitals.reporting import Reporter
from hub.vitals.room import Room
from messages.entries import Ack
from messages.log.note import parse_vkey

LINGER_S = 0.2  # how long a trickle of readings waits for company, to spare the disk
SIMULATED_BACKOFF_S = 2.0
REPORT_EVERY_MS = 1_000
DESK_EVERY_MS = 1_000
SIMULATED_DESK_EVERY_MS = 50
WITNESSES_WITHIN_S = 3.0  # how long a start waits for their first answers
ACK = "ack"

log = logging.getLogger("hub.app")


def run(config: HubConfig) -> None:
    """Run until SIGTERM or SIGINT: then stop taking, commit, sign the last checkpoint, close.

    Raises:
        ConfigError, LedgerError: it cannot begin; the text says what to do.
    """
    opened = open_hub(config)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        hub = Hub(opened)
        hub.start()
        try:
            with rarely_collecting():
                while not stopping.is_set():
                    hub.turn()
        finally:
            hub.stop()
    finally:
        opened.close()


class Link(Protocol):
    """The way to the nodes, as the loop needs it."""

    @property
    def is_open(self) -> bool:
        """Whether somebody is there to take a message."""

    @property
    def state(self) -> LinkState:
        """How it stands, for people."""

    def start(self) -> None:
        """Begin to connect."""

    def stop(self) -> None:
        """Send what is queued, and hang up."""

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        """Hand over one message; False if nobody is there to take it."""


def _broker_of(config: HubConfig) -> Callable[[Arrivals], Link]:
    backoff_s = BACKOFF_MAX_S if config.simulation is None else SIMULATED_BACKOFF_S
    return lambda arrivals: BrokerLink(
        config.broker, config.microgrid, arrivals, backoff_max_s=backoff_s
    )


class Hub:
    """Wires the parts and turns them. It holds no rule of its own."""

    def __init__(self, opened: Opened, connect: Callable[[Arrivals], Link] | None = None) -> None:
        """Wire everything; `connect` makes the link to the nodes, by default the broker's."""
        config, pen = opened.config, opened.pen
        simulated = config.simulation is not None
        self._opened = opened
        self._arrivals = Arrivals(linger_s=LINGER_S, clock_s=time.monotonic)
        self._link = (connect or _broker_of(config))(self._arrivals)
        self._post = Post(self._link, pen, config.microgrid)
        store = opened.recorder.store
        finality = Finality(store, opened.policy)
        self._spine = Spine(opened.recorder, pen, self._post, opened.rules, finality)
        self._room = Room(opened.recorder.store)
        self._retention = Retention(opened.recorder.store.packs, config.telemetry.keep_days)
        self._keeper = Keeper(Path(config.state), Preimages(store.engine))
        self._beacons = Beacons(lambda: secrets.token_bytes(16))
        news, leases = Newsroom(), Leases(config.dispatch.lease_ttl_ms)
        log_key = parse_vkey(opened.trust.log_vkey)
        evidence = EvidenceFolder(Path(config.state) / "evidence")
        comparison = Comparison(store, log_key, evidence, opened.trust.takeovers)
        self._hearing = Hearing(self._spine, news, self._beacons, comparison)
        self._cosigning = self._make_cosigning(opened, comparison)
        policies = installed_policies()
        dispatcher = Dispatcher(news, leases, policies, monotonic_ms())
        self._tariffs = Tariffs(installed_contracts(), news, self._post)
        self._switchboard = Switchboard(self._spine, dispatcher, leases, news, pen, self._post)
        self._closer = Closer(self._spine, pen, CloseRule.of(config.slots))
        self._pace = self._make_pace(config, news)
        inbox = Inbox(Path(config.state))
        inbox.open()
        self._proposals = Proposals(opened.recorder, monotonic_ms)
        self._desk = Desk(inbox, self._spine, installed_contracts(), policies, self._proposals)
        self._reporter = Reporter(
            HealthFile(Path(config.state)), self._spine, news, leases, dispatcher, self._cosigning
        )
        self._tell = service_manager()
        self._halted = ""
        self._desk_ms = self._reported_ms = 0
        self._desk_every_ms = SIMULATED_DESK_EVERY_MS if simulated else DESK_EVERY_MS

    def _make_pace(self, config: HubConfig, news: Newsroom) -> Pace:
        if config.simulation is None:
            return WallPace(self._closer, self._switchboard, news)
        log.warning("SIMULATION: instants come from %s", config.simulation.clock)
        return SimulatedPace(
            Path(config.simulation.clock),
            self._spine,
            self._closer,
            self._switchboard,
            self._hearing,
            self._arrivals.wake,
        )

    def _make_cosigning(self, opened: Opened, comparison: Comparison) -> Cosigning:
        configured = [Peer(parse_vkey(each.vkey), each.url) for each in opened.config.witness]
        peers = peers_of(opened.policy, configured)
        ledger = Store.open(opened.config.database, read_only=True) if peers else None
        return Cosigning(peers, self._spine, comparison, ledger, self._arrivals.wake)

    def start(self) -> None:
        """Ask the witnesses, finish what a crash cut short, then open the doors.

        Raises:
            LedgerBehind: a witness knows more of this log than its ledger, or another history.
        """
        self._cosigning.start(WITNESSES_WITHIN_S)
        self._guarded(self._closer.add_headers)
        self._link.start()
        self._pace.start()
        store = self._opened.recorder.store
        log.info(
            "ledger of %d entries, replayed from %d",
            store.size,
            self._opened.recorder.replayed_from,
        )
        self._tell(READY)

    def stop(self) -> None:
        """Close the doors, then sign for all that was taken in."""
        self._tell(STOPPING)
        self._pace.stop()
        self._guarded(self._spine.publish)
        self._link.stop()
        self._guarded(self._spine.count_refused)
        if self._cosigning.may_sign:
            self._guarded(self._spine.sign_checkpoint)
        self._cosigning.stop()
        log.info("stopped with %d entries", self._opened.recorder.store.size)

    # --- the loop --------------------------------------------------------------------------

    def turn(self) -> None:
        """Take what came and follow it all the way; sleep if nothing did."""
        now_ms = monotonic_ms()
        wait_ms = self._pace.wait_ms(now_ms) if self._is_open(now_ms) else IDLE_MS
        batch = self._arrivals.take(wait_ms / 1000, at_once=self._pace.is_awaited)
        now_ms = monotonic_ms()
        self._guarded(lambda: self._hear(batch, now_ms))
        if self._is_open(now_ms):
            self._guarded(lambda: self._take_in(batch, now_ms))
            self._guarded(lambda: self._pace.drive(now_ms))
            self._guarded(lambda: self._cosigning.tend(now_ms))
            self._guarded(self._spine.publish)
        if not self._halted:
            self._switchboard.renew(now_ms)
        self._keep_time(now_ms)

    def _hear(self, batch: Batch, now_ms: int) -> None:
        """Hear live samples, hellos and status: nothing of it is stored."""
        if self._hearing.take(batch.urgent, now_ms, self._pace.utc_ms()):
            self._switchboard.note_change(now_ms)

    def _take_in(self, batch: Batch, now_ms: int) -> None:
        """Take in what belongs on the ledger: acknowledgements before the rest."""
        acks = (arrival for arrival in batch.urgent if arrival.channel == ACK)
        for message in self._spine.take_in((*acks, *batch.bulk), now_ms, self._pace.utc_ms()):
            if isinstance(message.body, Ack) and self._hearing.take_ack(message.body, now_ms):
                self._switchboard.note_change(now_ms)

    def _keep_time(self, now_ms: int) -> None:
        """Do what is due about once a second: beacon, inbox, health."""
        beacon = self._beacons.next(now_ms)
        if beacon is not None:
            self._post.beacon(beacon, self._spine.roster.nodes)
            recorder = self._opened.recorder
            self._tariffs.tell(recorder.state, self._pace.utc_ms(), self._spine.roster.nodes)
        if now_ms - self._desk_ms >= self._desk_every_ms and self._is_open(now_ms):
            self._desk_ms = now_ms
            self._guarded(lambda: self._serve_desk(now_ms))
            self._guarded(self._serve_records)
            self._guarded(lambda: self._retention.turn(now_ms, self._pace.utc_ms()))
        if now_ms - self._reported_ms >= REPORT_EVERY_MS:
            self._reported_ms = now_ms
            self._report(now_ms)

    def _serve_desk(self, now_ms: int) -> None:
        self._proposals.tend()
        taken = self._desk.take()
        if taken >= TAKEN_AT_ONCE:
            self._desk_ms -= self._desk_every_ms  # more may wait: come back at the next turn
        if taken:
            self._switchboard.note_enrolment(now_ms)
            self._closer.add_headers()
        tell_owners(self._spine, self._opened.pen)

    def _serve_records(self) -> None:
        """Answer what is final: by a quorum, or stored where nobody has to agree."""
        finality, recorder = self._spine.finality, self._opened.recorder
        final_size = finality.size if finality.is_witnessed else recorder.store.size
        try:
            self._keeper.serve(recorder.state, final_size)
        except OSError as error:
            log.error("requests for records wait: %s", error)

    def _report(self, now_ms: int) -> None:
        if self._is_open(now_ms):
            self._guarded(self._spine.count_refused)
        complaints = tuple(text for text in (self._halted, self._room.complaint) if text)
        utc_ms, dropped = self._pace.utc_ms(), self._arrivals.dropped
        self._reporter.write(now_ms, utc_ms, self._link.state, dropped, complaints)
        self._tell(ALIVE)

    # --- when it must not go on ------------------------------------------------------------

    def _is_open(self, now_ms: int) -> bool:
        """Whether entries may be appended now."""
        return not self._halted and self._room.look(now_ms)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Do work that may append or sign: a full disk pauses it, a ledger behind ends it."""
        if self._halted:
            return
        try:
            work()
        except StorageFull as error:
            self._room.note_full(error, monotonic_ms())
        except LedgerBehind as error:
            self._halted = str(error)
            log.critical("%s", error)
