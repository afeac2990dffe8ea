"""Both real ends of the way of a reading, and between them a link that loses, doubles and reorders.

The edge is its outbox, drain and posting; the hub its spine, closer and ledger. No broker, no
process, no time: a test says what happens next. Either end can be thrown away and opened again from
its disk, as after a kill.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeVar

from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft
from edge.posting import Posting
from edge.receipts import LogTrust
from hub.closing import COMPLETE, TIMEOUT, Closer, CloseRule
from hub.core.closing import missing_registers
from hub.intake import verify
from hub.link.arrivals import Arrival
from hub.spine import Spine
from hub.starting import Opened
from keys.file import FileSigner
from messages import topics
from messages.entries import network_aad
from messages.log.note import parse_vkey
from messages.log.policy import parse_policy
from messages.reading import Reading, sign_reading
from messages.status import Hello
from messages.telemetry import Pack, sign_pack
from tests.support.hub_bench import METERS, MICROGRID, NODE, SLOT_MS, START_MS, Bench

ROWS_MAX = 100_000
WIRE_MAX = 400
Item = TypeVar("Item")


class EdgeHubPair:
    """One node and its hub. `signed` is all that the node ever made durable, in order."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.random = random
        self.bench = Bench(folder / "hub")
        opened = self.bench.open()
        assert set(self.bench.enrol(self.bench.spine(opened))) == {""}
        trust = opened.trust
        opened.close()
        self.trust = LogTrust(
            trust.hub_key,
            parse_vkey(trust.log_vkey),
            parse_policy(trust.policy),
            network_aad(trust.network_id),
        )
        self.edge_folder = folder / "edge"
        self.edge_folder.mkdir()
        self.signed: dict[tuple[bytes, str], list[bytes]] = {}
        self.up: list[Arrival] = []
        self.loss = 0.3
        self.now_ms = 0
        self.slot = 0
        self.opened, self.spine, self.closer = self._open_hub()
        self.outbox, self.posting = self._open_edge()

    def _open_hub(self) -> tuple[Opened, Spine, Closer]:
        self.bench.link.sent.clear()
        opened = self.bench.open()
        spine = self.bench.spine(opened)
        closer = Closer(spine, opened.pen, CloseRule(SLOT_MS, 30_000, 600_000))
        closer.add_headers()
        return opened, spine, closer

    def _open_edge(self) -> tuple[Outbox, Posting]:
        outbox = Outbox(self.edge_folder, ROWS_MAX)
        return outbox, Posting(outbox, self.trust, NODE, self._publish)

    def _publish(self, leaf: str, raw: bytes) -> bool:
        if len(self.up) >= WIRE_MAX:
            return False
        self.up.append(Arrival(NODE, leaf, raw))
        return True

    def close(self) -> None:
        self.opened.close()
        self.outbox.close()

    # --- what may happen -------------------------------------------------------------------

    def measure(self) -> None:
        """A slot edge: every meter's register, and a telemetry pack of each."""
        self.slot += 1
        at_ms = START_MS + self.slot * SLOT_MS
        drafts = []
        for meter in METERS:
            signer = self.bench.meters[meter]
            drafts.append(Draft(signer.public.kid, "register", _reading(signer, meter, at_ms)))
            drafts.append(Draft(signer.public.kid, "telemetry", _pack(signer, meter, at_ms)))
        assert self.posting.store(Batch(tuple(drafts)))
        heads = self.outbox.heads()
        for draft in drafts:
            raw = draft.sign(heads[draft.kid, draft.stream].next_sequence - 1)
            self.signed.setdefault((draft.kid, draft.stream), []).append(raw)

    def send(self) -> None:
        """The edge sends what is due; time passes, so that resends come."""
        self.now_ms += self.random.choice((10, 1_000, 30_000))
        self.posting.send(self.now_ms)

    def hello(self) -> None:
        """The edge says how far its proofs reach."""
        heads, checkpoint = self.posting.stream_heads(), self.posting.checkpoint
        raw = self.bench.hello(self.opened, checkpoint, heads=heads).raw
        heard = verify(raw, NODE, "hello", self.spine.roster.keys, self.spine.rules, 2**60)
        body = getattr(heard, "body", None)
        assert isinstance(body, Hello)
        self.spine.receipts.note_hello(body, self.spine.roster.owned_by(NODE))
        self.spine.publish()

    def carry_up(self) -> None:
        """Some of what the edge sent reaches the hub: late, doubled, out of order, or never."""
        if self.random.random() < 0.3:
            self.random.shuffle(self.up)
        batch = self._carried(self.up)
        self.spine.take_in(batch, self.now_ms, START_MS + self.slot * SLOT_MS)

    def carry_down(self) -> None:
        """Some of what the hub sent reaches the edge, in order: one connection keeps it."""
        for topic, raw in self._carried(self.bench.link.sent):
            assert topics.parse(topic).node == NODE
            reply = self.posting.take(raw)
            if reply.hello:
                self.hello()

    def _carried(self, wire: list[Item]) -> list[Item]:
        """Take some off a wire; some of it twice, some of it nowhere."""
        taken = [wire.pop(0) for _ in range(self.random.randint(0, len(wire)))]
        carried = []
        for item in taken:
            fate = self.random.random()
            carried += [] if fate < self.loss else [item] * (2 if fate > 0.9 else 1)
        return carried

    def close_slot(self) -> None:
        """The hub closes the next slot, whether all registers are in or not."""
        state = self.opened.recorder.state
        start_ms = state.progress.next_slot_ms
        if start_ms is None:
            start_ms = min((c.at_ms for c in state.cursors.values()), default=None)
        if start_ms is None or start_ms >= START_MS + self.slot * SLOT_MS:
            return
        missing = missing_registers(state, start_ms)
        self.closer.close(start_ms, TIMEOUT if missing else COMPLETE, start_ms + SLOT_MS)
        self.spine.publish()

    def kill_hub(self) -> None:
        """The hub dies and starts again; what was on its way to it is gone."""
        self.opened.close()
        self.opened, self.spine, self.closer = self._open_hub()

    def kill_edge(self) -> None:
        """The edge dies and starts again; what was on its way to it is gone."""
        self.outbox.close()
        self.outbox, self.posting = self._open_edge()
        self.hello()


def _reading(signer: FileSigner, meter: str, at_ms: int) -> Callable[[int], bytes]:
    uwh = (at_ms - START_MS) // 7
    totals = (0, uwh) if METERS[meter] == "generation" else (uwh, 0)
    return lambda sequence: sign_reading(
        signer, Reading(MICROGRID, meter, sequence, at_ms, *totals)
    )


def _pack(signer: FileSigner, meter: str, at_ms: int) -> Callable[[int], bytes]:
    t0_ms = at_ms - SLOT_MS
    return lambda sequence: sign_pack(
        signer,
        Pack(MICROGRID, meter, sequence, t0_ms, 1_000, ("power_mw",), ((1, None, sequence),)),
    )
