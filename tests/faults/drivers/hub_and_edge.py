"""The real hub spine and the real edge posting in one process, for the recorder to look at.

`python -m tests.faults.drivers.hub_and_edge FOLDER SEED ROUNDS`: no broker, no clock, but a pair
of sockets that speak MQTT packets, on which messages get lost, and both sides restart now and then.
The ledger's write-ahead log is moved into its file often, which a short run of the real processes
never does. FOLDER/hub and FOLDER/edge are what a power cut is tried on.
"""

from __future__ import annotations

import random
import socket
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path

from edge.agent import Packing
from edge.measuring import Measuring, SigningMeter
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.posting import Posting
from edge.receipts import log_trust
from edge.register import Meter
from hardware.ports import Sample
from hub.closing import Closer, CloseRule
from hub.intake import Rules
from hub.ledger import engine
from hub.link.arrivals import Arrival
from hub.link.post import Post
from hub.market.catalog import installed
from hub.pen import Pen
from hub.recorder import Recorder
from hub.spine import Spine
from messages import topics
from messages.entries import Ack, sign_entry
from tests.support.small_ledger import MICROGRID, ORIGIN, SLOT_MS, START_MS, SmallHub

NODE = "n1"
STEP_MS = 60_000
LOST = 0.05
RESTARTED = 0.04
CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02n1"


def packet(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH of quality 0 (MQTT 3.1.1, section 3.3)."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    length, left = b"", len(body)
    while True:
        left, low = left >> 7, left & 0x7F
        length += bytes((low | (0x80 if left else 0),))
        if not left:
            return b"\x30" + length + body


class Wire:
    """Two sockets; what is sent on one is received on the other before `send` returns."""

    def __init__(self) -> None:
        self._ends = socket.socketpair()
        for one, other in (self._ends, self._ends[::-1]):
            one.sendall(CONNECT)
            other.recv(len(CONNECT))

    def close(self) -> None:
        """Close both ends."""
        for end in self._ends:
            end.close()

    def send(self, end: int, topic: str, raw: bytes) -> None:
        """Send a packet from one end (0 is the edge's) and receive all of it at the other."""
        one, other = self._ends[end], self._ends[1 - end]
        left = packet(topic, raw)
        while left:
            done = one.send(left[:16_384])
            left = left[done:]
            while done:
                done -= len(other.recv(done))


class HubSide:
    """The hub from arrivals to receipts. Also the link that its post publishes on."""

    is_open = True

    def __init__(self, folder: Path, wire: Wire, rng: random.Random) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._wire, self._rng = folder, wire, rng
        self.receipts: deque[bytes] = deque()
        self.small = SmallHub(folder)
        self.small.enrol()
        self._begin()

    def publish(self, topic: str, raw: bytes, *, qos: int = 1) -> bool:
        if self._rng.random() > LOST:
            self._wire.send(1, topic, raw)
            self.receipts.append(raw)
        return True

    def restart(self) -> None:
        """Close the ledger and begin anew from the file."""
        self.small.store.close()
        self.small = SmallHub(self._folder)
        self._begin()

    def take(self, arrivals: list[Arrival], at_ms: int) -> None:
        self.spine.take_in(arrivals, at_ms, at_ms)

    def close(self, at_ms: int) -> None:
        """Close the slot that ends at an instant."""
        self._closer.close(at_ms - SLOT_MS, "complete", at_ms)
        self.spine.publish()

    def _begin(self) -> None:
        small = self.small
        pen = Pen(small.trust.network_id, ORIGIN, small.hub, small.log)
        rules = Rules(small.trust.network_id, MICROGRID, SLOT_MS)
        recorder = Recorder(small.store, installed())
        self.spine = Spine(recorder, pen, Post(self, pen, MICROGRID), rules)
        self._closer = Closer(self.spine, pen, CloseRule(SLOT_MS, 0, 0))
        self._closer.add_headers()


class EdgeSide:
    """The edge from samples to the broker, and from receipts to deletion."""

    def __init__(
        self, folder: Path, wire: Wire, small: SmallHub, *, step_ms: int = STEP_MS, samples: int = 6
    ) -> None:
        self._folder, self._wire = folder, wire
        self._step_ms, self._samples = step_ms, samples
        self.is_away = False
        self._trust = small.trust
        self._meter, self._node = small.meter, small.node
        self.arrivals: deque[Arrival] = deque()
        self._events = 0
        self._begin()

    def restart(self) -> None:
        """Close the outbox and begin anew from the file."""
        self._outbox.close()
        self._begin()

    def end(self) -> None:
        """Close the outbox."""
        self._outbox.close()

    def measure(self, at_ms: int, power_mw: int, *, moved: bool) -> None:
        """Take one sample, and an acknowledgement if a contact moved; store, then send."""
        sample = Sample(power_mw, None, None, 12_000, power_mw // 12, None)
        taken = self._measuring.take(at_ms, {"m1": sample}, dated=True)
        batch = taken.batch
        if moved:
            batch = replace(batch, drafts=(*batch.drafts, self._ack(at_ms)))
        self._posting.store(batch)
        for shown in taken.shown:
            _, raw = self._measuring.sign_live(shown, b"", stored=self._posting.is_storing)
            self._wire.send(0, topics.up(MICROGRID, NODE, "live"), raw)
        self._posting.send(at_ms)

    def take(self, raw: bytes) -> None:
        self._posting.take(raw)

    def go_on(self, at_ms: int) -> int:
        """Send what waits, and return how many messages are still held."""
        self._posting.send(at_ms)
        return self._outbox.rows

    def publish(self, leaf: str, raw: bytes) -> bool:
        if self.is_away:
            return False
        self._wire.send(0, topics.up(MICROGRID, NODE, leaf), raw)
        self.arrivals.append(Arrival(NODE, leaf, raw))
        return True

    def _ack(self, at_ms: int) -> Draft:
        def sign(event: int) -> bytes:
            body = Ack(event, NODE, "r1", event, True, "applied", "", at_ms, bytes(16), 1)
            return sign_entry(self._node, body, self._trust.network_id)

        return Draft(self._node.public.kid, "event", sign)

    def _begin(self) -> None:
        self._outbox = Outbox(self._folder, rows_max=100_000)
        self._posting = Posting(self._outbox, log_trust(self._trust), NODE, self.publish)
        meter = Meter(MICROGRID, "m1", False, False, 120_000, 5 * self._step_ms)
        self._measuring = Measuring(
            [SigningMeter(meter, self._meter)],
            Packing(self._step_ms, SLOT_MS, self._samples),
            self._outbox.begin_boot(),
            lambda *_: Batch().drafts[0],
        )
        self._measuring.recall(self._outbox.registers(), self._outbox.points())


def main(folder: Path, seed: int, rounds: int) -> None:
    """Play `rounds` instants."""
    engine.WAL_AUTOCHECKPOINT_PAGES = 60
    rng = random.Random(seed)
    wire = Wire()
    hub = HubSide(folder / "hub", wire, rng)
    edge = EdgeSide(folder / "edge", wire, hub.small)
    for at_ms in range(START_MS, START_MS + rounds * STEP_MS, STEP_MS):
        edge.measure(at_ms, rng.randint(-100_000, 100_000), moved=rng.random() < 0.2)
        if rng.random() < 0.5:  # else they queue up, and come as one batch
            arrivals = [one for one in edge.arrivals if rng.random() > LOST]
            edge.arrivals.clear()
            hub.take(arrivals, at_ms)
        if at_ms > START_MS and at_ms % SLOT_MS == 0:
            hub.close(at_ms)
        while hub.receipts:
            edge.take(hub.receipts.popleft())
        if rng.random() < RESTARTED:
            hub.restart()
        if rng.random() < RESTARTED:
            edge.restart()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
