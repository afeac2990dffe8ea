"""A whole way in one process: samples to the hub, decision, lease, bus, device, signed answer.

Hub and node are the real parts, without a broker between them; one clock is moved by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from edge.busrelays import BusRelays, coils_of
from edge.inbound import Event, FromBus
from edge.lease import Rules
from edge.relaying import NodeKey, Relaying
from edge.relays import Relays
from hardware import catalog
from hub.core.events import read_event
from hub.link.arrivals import Arrival
from messages.entries import Ack, KeyEntry, RelayEntry
from messages.status import Status
from tests.support.hub_bench import METERS, NODE, START_MS, Bench
from tests.support.switch_bench import Board

STEP_MS = 250
NOBODY_ELSE: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


@dataclass
class Clock:
    """One clock for hub, node and devices. [ms]"""

    now_ms: int = 1_000_000

    def now_s(self) -> float:
        return self.now_ms / 1000


@dataclass
class Node:
    """The relays of one bus and the agent that carries for them."""

    clock: Clock
    board: Board
    relaying: Relaying
    relays: BusRelays
    events: list[Event] = field(default_factory=list)

    def turn(self) -> list[Arrival]:
        """Let agent and bus do what is due; return what the node signed of it."""
        self.relaying.keep_alive()
        self.relays.turn(float("inf"))
        at_ms = START_MS + self.clock.now_ms
        events, self.events[:] = list(self.events), []
        drafts = [
            draft
            for event in events
            if isinstance(event, FromBus)
            for draft in self.relaying.take(event, at_ms)
        ]
        key = self.relaying.key
        bench = self.board.bench
        acks = [draft.sign(bench.next(bench.node, "event")) for draft in drafts]
        status = Status(NODE, b"b" * 16, self.relaying.nonces, self.relaying.relays, 0, 0, at_ms)
        return [
            *(Arrival(NODE, "ack", raw) for raw in acks),
            Arrival(NODE, "status", key.sign(status)),
        ]


@dataclass
class Way:
    """Hub and node. `powers` says what each meter shows now, as the wire does. [mW]"""

    clock: Clock
    board: Board
    node: Node
    powers: Callable[[], Mapping[str, int]]
    carries: bool = True

    def run(self, seconds: float) -> None:
        """Let time pass; live samples come once a second."""
        for step in range(round(seconds * 1000 / STEP_MS)):
            self.clock.now_ms += STEP_MS
            self.board.now_ms = self.clock.now_ms
            self._hear(with_samples=step % (1000 // STEP_MS) == 0)
            self.board.decide()
            self.board.bench.link.sent.clear()
            self.board.switchboard.renew(self.clock.now_ms)
            for topic, raw in self.board.bench.link.sent:
                if topic.endswith("/lease") and self.carries:
                    self.node.relaying.carry(raw)
            self._hear(with_samples=False)

    def _hear(self, *, with_samples: bool) -> None:
        board, now_ms = self.board, self.clock.now_ms
        at_ms = START_MS + now_ms
        arrivals = self.node.turn()
        if with_samples:
            board.beacon = board.beacons.next(now_ms) or board.beacon
            powers = self.powers()
            arrivals += [board.bench.live(m, at_ms, mw, board.beacon) for m, mw in powers.items()]
        acks = [each for each in arrivals if each.channel == "ack"]
        board.hearing.take([each for each in arrivals if each.channel != "ack"], now_ms, at_ms)
        for message in board.spine.take_in(acks, now_ms, at_ms):
            assert isinstance(message.body, Ack)
            board.hearing.take_ack(message.body, now_ms)

    def acks(self) -> list[tuple[str, bool, int | None]]:
        """Return outcome, coil and set-point of each acknowledgement on the ledger."""
        entries = self.board.spine.recorder.store.of_kind("ack")
        bodies = [read_event(entry.index, entry.raw).body for entry in entries]
        return [
            (body.outcome, body.energised, body.setpoint_mw)
            for body in bodies
            if isinstance(body, Ack)
        ]


class Part(NamedTuple):
    """A relay or set-point: its model at address 1 of an open bus, and how it is enrolled."""

    bus: Any
    model: str
    entry: RelayEntry


@contextmanager
def leased(
    folder: Path,
    part: Part,
    powers: Callable[[], Mapping[str, int]],
    clock: Clock,
    owners: Mapping[str, Mapping[str, Any]] = NOBODY_ELSE,
    **policy: Any,
) -> Iterator[Way]:
    """Yield the way to one relay or set-point.

    `owners`: what of the node's three meters' entries differs; without it they are alice's.
    """
    entry = part.entry
    bench = Bench(folder, **policy)
    opened = bench.open()
    spine = bench.spine(opened)
    key = bench.node.public.cose_key
    node_entry = KeyEntry("enrol", "node", NODE, key, member="alice", relays=(entry,))
    meters = [bench.meter_entry(meter, **owners.get(meter, {})) for meter in METERS]
    assert not any(bench.enrol(spine, [node_entry, *meters]))
    board = Board(bench, opened, spine)
    events: list[Event] = []
    coils = coils_of(
        {entry.relay: catalog.make_relay(part.model, part.bus, {"address": 1})}, clock.now_s
    )
    most_mw = entry.rated_mw if entry.setpoint else None
    relays = Relays(
        NODE,
        opened.trust,
        coils,
        {entry.relay: Rules(setpoint_mw_max=most_mw, is_battery=entry.setpoint == "battery")},
        clock_ms=lambda: clock.now_ms,
    )
    held = BusRelays("rs485", relays, coils.values(), events.append, clock_s=clock.now_s)
    relaying = Relaying(
        NodeKey(NODE, bench.node, opened.trust.network_id),
        b"b" * 16,
        None,
        {"rs485": held.tell},
        clock_ms=lambda: clock.now_ms,
    )
    try:
        yield Way(clock, board, Node(clock, board, relaying, held, events), powers)
    finally:
        opened.close()
