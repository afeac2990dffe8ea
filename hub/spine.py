"""The path of a reading through the hub: verify -> admit -> append -> step -> publish.

One batch at a time, in that order. What was appended is durable before it is folded, and folded
before anybody hears of it; a crash in between repeats the later hop. Outside bytes never raise.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hub.core.effects import (
    Effect,
    Ignored,
    MeterCalibrated,
    RegisterReset,
    RegistryChanged,
    WrongRoot,
)
from hub.cosigning.finality import Finality
from hub.cosigning.proposals import told
from hub.errors import LedgerBehind, StorageFull
from hub.intake import ORDERED, Refused, Rules, Verified, verify
from hub.ledger.records import Checkpoint, Cosigned, Evidence, NewEntry, NewPack
from hub.link.arrivals import Arrival
from hub.link.buckets import Buckets
from hub.link.post import Post
from hub.link.receipts import Receipts
from hub.pen import Pen
from hub.recorder import Recorded, Recorder
from hub.roster import Roster, call_roll
from hub.sealing import open_slot_ms, seal_of
from hub.sequencer import (
    Admitted,
    Duplicate,
    Equivocation,
    GapNeeded,
    Sequencer,
    as_entry,
    as_pack,
)
from messages.correction import gain_text
from messages.entries import Gap, KeyEntry
from messages.live import STREAM as LIVE
from messages.membership import ROTATION
from messages.receipt import Refusal
from messages.status import Hello
from messages.telemetry import STREAM as TELEMETRY

EQUIVOCATION: Final = "equivocation"
DROPPED: Final = "dropped by a full outbox"
GIVEN_UP: Final = "given up with the log whose key ended"
GAPS_BURST: Final = 20
GAP_EVERY_MS: Final = 1_000
REASON_EVERY_MS: Final = 10_000  # how often a node hears of one reason that has no row

log = logging.getLogger("hub.spine")


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages of a stream up to `last` that will never come: no longer held by their node."""

    node: str
    kid: bytes
    stream: str
    last: int
    reason: str


@dataclass(slots=True)
class _Batch:
    """What one batch comes to: entries and packs to append, and what to say afterwards."""

    entries: list[NewEntry] = field(default_factory=list)
    messages: dict[int, Verified] = field(default_factory=dict)  # by place among the entries
    packs: list[Verified] = field(default_factory=list)
    gaps: dict[int, Refused] = field(default_factory=dict)  # by place among the entries
    dropped: list[Dropped] = field(default_factory=list)
    rotations: list[Verified] = field(default_factory=list)
    again: list[Verified | Refused] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, message: Verified) -> None:
        if message.stream == TELEMETRY:
            self.packs.append(message)
            return
        self.messages[len(self.entries)] = message
        self.entries.append(as_entry(message))


class Spine:
    """Owns the order of what comes in and the receipts that go out."""

    def __init__(
        self,
        recorder: Recorder,
        pen: Pen,
        post: Post,
        rules: Rules,
        finality: Finality | None = None,
    ) -> None:
        """Wire them; without `finality` nobody but the log has to agree."""
        self.recorder = recorder
        self.rules = rules
        self.roster: Roster = call_roll(recorder.state)
        self.finality = finality or Finality(recorder.store)
        final_size = self.finality.size if self.finality.is_witnessed else None
        self.receipts = Receipts(recorder.store, final_size)
        self.alarms: dict[str, str] = {}
        self.refused: Counter[tuple[str, str]] = Counter()  # since the last `count_refused`
        self._pen = pen
        self._post = post
        self.sequencer = Sequencer(recorder.store.head, self._stored)
        self._gaps = Buckets(GAPS_BURST, GAP_EVERY_MS)
        self._reasons = Buckets(1, REASON_EVERY_MS)
        self._dropped: dict[tuple[bytes, str], Dropped] = {}

    # --- the hops --------------------------------------------------------------------------

    def take_in(
        self, arrivals: Iterable[Arrival], now_ms: int, utc_ms: int
    ) -> tuple[Verified, ...]:
        """Take one batch down the path and return what became entries of it.

        Args:
            arrivals: what came, in order.
            now_ms: the hub's monotonic clock.
            utc_ms: the hub's clock, for what comes from the future.

        Raises:
            StorageFull, LedgerBehind: nothing of the batch was stored; the edges still have it.
        """
        batch = _Batch()
        while self._dropped:
            self._pass_over(self._dropped.popitem()[1], batch)
        for arrival in arrivals:
            self.admit(self.verify(arrival, utc_ms), batch, now_ms)
        self.append_and_step(batch)
        for rotation in batch.rotations:
            self._rotate(rotation, batch.refusals)
        self.publish(batch.refusals)
        return tuple(batch.messages.values())

    def verify(self, arrival: Arrival, utc_ms: int) -> Verified | Refused:
        """Judge one message by itself: form, signature, whose key, what it may say."""
        return verify(
            arrival.raw, arrival.node, arrival.channel, self.roster.keys, self.rules, utc_ms
        )

    def admit(self, message: Verified | Refused, batch: _Batch, now_ms: int) -> None:
        """Judge the order of one message, and put what follows from it into the batch."""
        if isinstance(message, Refused):
            self.note_refused(message, now_ms, batch.refusals)
            if not message.is_final:
                return
        elif message.stream not in ORDERED:
            self._admit_call(message, batch)
            return
        verdict = self.sequencer.admit(message)
        if isinstance(verdict, Admitted):
            for following in verdict.messages:
                batch.add(following)
        elif isinstance(verdict, GapNeeded):
            self._declare_gap(verdict.refused, batch, now_ms)
        elif isinstance(verdict, Equivocation):
            self._keep_evidence(verdict, batch)
        elif isinstance(verdict, Duplicate) and isinstance(message, Refused):
            batch.refusals.append(_refusal(message, None))
        elif isinstance(verdict, Duplicate) or not verdict.is_held:
            batch.again.append(message)

    def append_and_step(self, batch: _Batch) -> None:
        """Make the batch durable, fold it, and note who is owed a receipt."""
        packs = [as_pack(message) for message in batch.packs]
        recorded = Recorded(range(0), ())
        if batch.entries or packs:
            recorded = self.record(batch.entries, packs)
        for place, index in enumerate(recorded.indices):
            if place in batch.messages:
                self.receipts.note_stored(batch.messages[place], index)
            elif place in batch.gaps:
                refused = batch.gaps[place]
                self.receipts.note_gap(refused.node, refused.kid, refused.stream, refused.sequence)
                batch.refusals.append(_refusal(refused, index))
        for dropped in batch.dropped:
            self.receipts.note_gap(dropped.node, dropped.kid, dropped.stream, dropped.last)
        for pack in batch.packs:
            self.receipts.note_stored(pack, None)
        for message in batch.again:
            self.receipts.note_again(message.node, message.kid, message.stream, message.sequence)

    def record(
        self,
        entries: Sequence[NewEntry],
        packs: Sequence[NewPack] = (),
        sealed: Sequence[tuple[bytes, int]] = (),
    ) -> Recorded:
        """Append and step, for this path and for the hub's own entries."""
        try:
            recorded = self.recorder.record(entries, packs, sealed)
        except (StorageFull, LedgerBehind):
            self.sequencer.forget()
            raise
        self.sequencer.committed()
        self._heed(recorded.effects)
        return recorded

    def publish(self, refusals: Iterable[Refusal] = ()) -> None:
        """Send refusals, and each node that is owed one its receipt under one checkpoint.

        That is a new one, or the newest final one where witnesses have to agree.
        """
        self.tell(refusals)
        due = self.receipts.due
        if not due or not self._post.is_open:
            return
        final = self.finality
        checkpoint = final.newest if final.is_witnessed else self.sign_checkpoint()
        for node in due:
            for receipt in self.receipts.build(node, checkpoint):
                self._post.receipt(receipt)

    def tell(self, refusals: Iterable[Refusal]) -> None:
        """Send refusals; they need no checkpoint."""
        for refusal in refusals:
            self._post.refusal(refusal)

    # --- beside the path -------------------------------------------------------------------

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._pen.origin

    def sign_checkpoint(self) -> Checkpoint:
        """Return the checkpoint over all entries, signed by the log's key if it is new."""
        return self.recorder.checkpoint(self._pen.origin, self._pen.log)

    def take_cosignature(self, found: Cosigned) -> bool:
        """Keep a verified cosignature; return whether more became final, and nodes hear of it."""
        has_risen = self.finality.take(found)
        if has_risen:
            self.receipts.note_final(self.finality.size)
        return has_risen

    def reached(self, kid: bytes, stream: str) -> int:
        """Return the highest sequence of a stream that is used up, or was heard if it is live."""
        if stream == LIVE:
            return self.sequencer.newest_live(kid)
        known = self.roster.keys.get(kid)
        if known is None:
            return 0
        return self.sequencer.expected((kid, stream), known.first_sequence) - 1

    def note_refused(self, refused: Refused, now_ms: int, refusals: list[Refusal]) -> None:
        """Count a refusal; where no row stands for it, tell the node why now and then."""
        self.refused[refused.reason.value, refused.node] += 1
        if refused.is_final or not self._reasons.take((refused.node, refused.reason), now_ms):
            return
        log.warning("refused from node %s: %s: %s", refused.node, refused.reason, refused.sentence)
        if refused.node in self.roster.nodes:
            refusals.append(_refusal(refused, None))

    def count_refused(self) -> None:
        """Write the counts of refusals to the ledger's file, and begin anew."""
        if self.refused:
            self.recorder.store.strangers.count(self.refused)
            self.refused.clear()

    def _admit_call(self, message: Verified, batch: _Batch) -> None:
        """Take a member's call that would change something. Its random id makes it count once."""
        if isinstance(message.body, KeyEntry):
            batch.rotations.append(message)
            return
        known = {entry.leaf_hash for entry in batch.entries}
        if message.leaf_hash in known or self.recorder.holds(message.leaf_hash):
            return
        objection = self.recorder.objection(message.raw)
        if objection is None:
            batch.add(message)
        else:
            log.info("a call of %s was not taken: %s", message.name, objection)

    def _rotate(self, message: Verified, refusals: list[Refusal]) -> None:
        """Let a key name its successor, behind all that it signed and that came with it."""
        if self.recorder.holds(message.leaf_hash):
            index = self.recorder.store.find(message.leaf_hash).index
        else:
            objection = self.recorder.objection(message.raw)
            if objection is not None:
                log.warning("a new key of %s was not taken: %s", message.name, objection)
                refusals.append(Refusal(message.node, message.kid, ROTATION, 1, None, objection))
                return
            index = self.record_key(as_entry(message))
        self.receipts.note_rotation(message.node, message.kid, index)

    def record_key(self, entry: NewEntry) -> int:
        """Append an entry about keys; packs of a key that it ends are sealed before."""
        while packs := self.recorder.store.packs.pending():
            seal = self._pen.entry(seal_of(open_slot_ms(self.recorder.state), packs))
            sealed = [(pack.kid, pack.sequence) for pack in packs]
            self.receipts.note_sealed(packs, self.record([seal], sealed=sealed).indices[0])
        return self.record([entry]).indices[0]

    def note_dropped(self, hello: Hello) -> None:
        """Note what a node no longer holds; the next batch puts a gap in its place.

        A full outbox drops telemetry. Everything else is held until it is final, so only a log that
        gave entries up can lack it (`messages.logkeeping`).
        """
        gave_up = any(not row.keeps_name for row in self.recorder.state.successions.values())
        for head in hello.heads:
            known = self.roster.keys.get(head.kid)
            last = min(head.first_held, head.next_sequence) - 1
            if known is None or known.node != hello.node or head.stream not in ORDERED:
                continue
            if head.stream != TELEMETRY and not gave_up:
                continue
            if self.reached(head.kid, head.stream) < last:
                reason = DROPPED if head.stream == TELEMETRY and not gave_up else GIVEN_UP
                dropped = Dropped(hello.node, head.kid, head.stream, last, reason)
                self._dropped[head.kid, head.stream] = dropped

    def _pass_over(self, dropped: Dropped, batch: _Batch) -> None:
        known = self.roster.keys.get(dropped.kid)
        if known is None:
            return
        place = (dropped.kid, dropped.stream)
        first = self.sequencer.expected(place, known.first_sequence)
        if first > dropped.last:
            return
        span = f"{dropped.stream} {first} to {dropped.last}"
        log.warning("%s: %s never comes: %s", known.name, span, dropped.reason)
        gap = Gap(known.key.cose_key, dropped.stream, first, dropped.last, dropped.reason)
        batch.dropped.append(dropped)
        batch.entries.append(self._pen.entry(gap, skips=(*place, first, dropped.last)))
        for following in self.sequencer.skip(place, dropped.last):
            batch.add(following)

    def _declare_gap(self, refused: Refused, batch: _Batch, now_ms: int) -> None:
        """Let a gap entry stand where nothing can ever stand, so that the stream goes on."""
        if not self._gaps.take(refused.kid, now_ms):
            return
        place, sequence = (refused.kid, refused.stream), refused.sequence
        key = self.roster.keys[refused.kid].key.cose_key
        gap = Gap(key, refused.stream, sequence, sequence, refused.reason.value)
        batch.gaps[len(batch.entries)] = refused
        batch.entries.append(self._pen.entry(gap, skips=(*place, sequence, sequence)))
        for following in self.sequencer.skip(place, sequence):
            batch.add(following)

    def _keep_evidence(self, found: Equivocation, batch: _Batch) -> None:
        """Keep two contents that one key signed for one place; the second can never be taken."""
        message = found.message
        self.refused[EQUIVOCATION, message.node] += 1
        sentence = (
            f"{message.name} signed two contents for {message.stream} {message.sequence}: "
            "its key is used twice, or its counter went back. Both are kept as evidence; "
            "give the meter a new key."
        )
        if message.name not in self.alarms:
            log.error("%s", sentence)
        self.alarms[message.name] = sentence
        self.recorder.store.strangers.keep(
            Evidence(
                leaf_hash=message.leaf_hash,
                kid=message.kid,
                stream=message.stream,
                sequence=message.sequence,
                stored=found.stored,
                offered=message.raw,
            )
        )
        batch.refusals.append(
            Refusal(
                node=message.node,
                kid=message.kid,
                stream=message.stream,
                sequence=message.sequence,
                gap_index=None,
                reason=f"{EQUIVOCATION}: {sentence}",
            )
        )

    def _heed(self, effects: Sequence[Effect]) -> None:
        """Follow what the fold said: a changed registry, entries without effect, resets."""
        if any(isinstance(effect, RegistryChanged) for effect in effects):
            self.roster = call_roll(self.recorder.state, self.roster)
        for effect in effects:
            if isinstance(effect, RegistryChanged):
                log.info("entry %d: %s", effect.index, effect.what)
            elif isinstance(effect, Ignored):
                log.warning(
                    "entry %d (%s) changes nothing: %s", effect.index, effect.kind, effect.reason
                )
            elif isinstance(effect, RegisterReset):
                log.warning(
                    "entry %d: the register of %s began anew: %s",
                    effect.index,
                    effect.meter_id,
                    effect.reason,
                )
            elif isinstance(effect, MeterCalibrated):
                gain = effect.power_gain_ppm
                what = "as its device says" if gain is None else f"calibrated: {gain_text(gain)}"
                log.info("entry %d: meter %s is %s", effect.index, effect.meter_id, what)
            elif isinstance(effect, WrongRoot):
                log.critical("%s", told(effect))
                self.alarms[f"proposer {effect.proposer}"] = told(effect)

    def _stored(self, kid: bytes, stream: str, sequence: int) -> bytes | None:
        store = self.recorder.store
        if stream == TELEMETRY:
            pack = store.packs.pack(kid, sequence)
            return pack.raw if pack else None
        entry = store.stored(kid, stream, sequence)
        return entry.raw if entry else None


def _refusal(refused: Refused, gap_index: int | None) -> Refusal:
    return Refusal(
        node=refused.node,
        kid=refused.kid,
        stream=refused.stream,
        sequence=refused.sequence,
        gap_index=gap_index,
        reason=f"{refused.reason.value}: {refused.sentence}",
    )
