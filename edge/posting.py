"""Between the agent and the hub: store first, then send, and delete only what is proven.

While the disk fails, batches wait in memory, with numbers not yet taken, and are stored together as
soon as it works again. While the token of a key is away, only what that has to sign waits. While
the hub's ledger does not continue what this node knows of it, nothing is deleted: the alarm stays
until a person has looked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edge.drain import Drain
from edge.errors import HubBehind, KeyAway, OutboxError
from edge.evidence import keep_heads
from edge.journal import Journal
from edge.outbox import Outbox
from edge.outbox_records import Batch, Draft, Key, Row
from edge.receipts import TELEMETRY, LogTrust, check_receipt, open_held
from edge.register import Register
from messages import cose
from messages.entries import content_type, parse_as
from messages.errors import MessageError
from messages.log.checkpoint import Checkpoint
from messages.membership import ROTATION
from messages.receipt import RECEIPT_BYTES_MAX, Receipt, Refusal
from messages.status import StreamHead

WAITING_DRAFTS_MAX: Final = 10_000
SLACK_BYTES: Final = 2_768
LEAF_OF_STREAM: Final[Mapping[str, str]] = {
    "register": "register",
    "telemetry": "telemetry",
    "event": "ack",
    ROTATION: "call",
}

AWAY: Final = "keys away"
"""The fact that says which keys cannot be used now, and why."""

log = logging.getLogger("edge.posting")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a message of the hub asks for.

    Attributes:
        ahead: streams of which the hub has more than ever was here.
        hello: tell the hub anew how far this node's proofs reach.
    """

    ahead: tuple[Key, ...] = ()
    hello: bool = False


class Posting:
    """Owns the way of a message from its batch to its deletion.

    Args:
        outbox: where rows are kept.
        trust: whose word and whose proofs count.
        node: receipts for another node are refused.
        publish: hands (topic's last word, bytes) to the broker; False if it is away.
        journal: for tests.
    """

    def __init__(
        self,
        outbox: Outbox,
        trust: LogTrust,
        node: str,
        publish: Callable[[str, bytes], bool],
        journal: Journal | None = None,
    ) -> None:
        self._outbox = outbox
        self._trust = trust
        self._node = node
        self._publish = publish
        self._journal = journal
        self._drain = Drain(outbox)
        self._waiting: list[Batch] = []
        self._lost = 0
        self._disk_failed = False
        self._away: dict[bytes, str] = {}
        self._quiet: frozenset[bytes] = frozenset()
        self._tell_away()
        self.alarm = outbox.alarm
        self.checkpoint = outbox.checkpoint
        held = open_held(self.checkpoint, trust)
        self._newest: Checkpoint | None = held.newest
        if held.has_ended:
            self._begin_log_anew()
        if journal is not None:
            journal.note(outbox.all_rows())

    def _begin_log_anew(self) -> None:
        """Send again what is not final: the log that had stored it ended, and gave entries up."""
        self._outbox.begin_log_anew()
        self.alarm = ""
        _, size, _ = self.checkpoint.split("\n", 2)
        log.warning(
            "the log ended of which this node holds a receipt over %s entries; what is here goes "
            "to the one that took over",
            size.split("\n")[0],
        )

    @property
    def is_storing(self) -> bool:
        """Whether all that was counted is on disk."""
        return not self._disk_failed

    @property
    def trouble(self) -> str:
        """What a person should look at: the alarm, or keys that are away."""
        return self.alarm or "; ".join(sorted({*self._away.values()}))

    def is_away(self, kid: bytes) -> bool:
        """Whether the token or TPM that holds a key was not there when it was asked last."""
        return kid in self._away

    def miss(self, kid: bytes, why: str) -> None:
        """Know that a key is away: what it has to sign waits, and all else goes on."""
        log.error("%s: what that key signs waits in memory; measuring and counting go on", why)
        self._away[kid] = why
        self._tell_away()

    def look_for_keys(self) -> None:
        """Try the keys that are away once more, and have what waits signed by those that are back.

        Raises:
            KeyFault: one is there, and refuses for good.
        """
        missed, self._away = self._away, {}
        if not missed:
            return
        self._quiet = frozenset(missed)
        self.store(Batch())
        self._quiet = frozenset()
        for kid in missed:
            if kid not in self._away:
                log.warning("the key %s is back, and signed what waited for it", kid.hex())
        if self._away != missed:
            self._tell_away()

    def store(self, batch: Batch) -> bool:
        """Store a batch and all that waits; False if something waits then.

        If the disk fails it is everything; where a key is away, what that has to sign: registers
        and points are stored all the same, so that what was counted outlives this process.
        """
        whole = _joined([*self._waiting, batch])
        while True:
            able, held = _parted(whole, self._away)
            try:
                rows = self._outbox.commit(able)
            except KeyAway as error:
                self._miss_quietly(error)
                continue
            except OutboxError as error:
                self._complain(error)
                self._waiting = [self._trim(whole)]
                return False
            break
        if self._disk_failed:
            log.warning("the disk works again; %d messages were lost meanwhile", self._lost)
        self._waiting = [self._trim(held)] if held.drafts else []
        self._lost, self._disk_failed = self._lost if held.drafts else 0, False
        self._note(rows)
        return not self._waiting

    def send(self, now_ms: int) -> None:
        """Hand the oldest rows to the broker, as many as may be under way."""
        try:
            rows = self._drain.due(now_ms)
        except OutboxError as error:
            self._complain(error)
            return
        for row in rows:
            if not self._publish(LEAF_OF_STREAM[row.stream], row.raw):
                self.send_again()
                return

    def send_again(self) -> None:
        """Begin anew with the oldest row: another connection, or another hub behind it."""
        self._drain.begin_again()

    def take(self, raw: bytes) -> Reply:
        """Take in a receipt or a refusal."""
        try:
            envelope = cose.parse(raw, limit=RECEIPT_BYTES_MAX + SLACK_BYTES)
            cose.verify(envelope, self._trust.hub_key, self._trust.aad)
            if envelope.content_type == content_type(Refusal.KIND):
                self._take_refusal(parse_as(Refusal, envelope))
                return Reply()
            return self._take_receipt(parse_as(Receipt, envelope))
        except HubBehind as error:
            self._alarm(error)
        except MessageError as error:
            log.warning("receipt refused: %s", error)
        except OutboxError as error:
            self._complain(error)
        return Reply()

    def stream_heads(self) -> tuple[StreamHead, ...]:
        """Return where every stream stands, for the hello; nothing while the disk fails."""
        try:
            return tuple(
                StreamHead(
                    kid,
                    stream,
                    head.next_sequence,
                    head.stored_up_to,
                    head.final_up_to,
                    self._outbox.first_held(kid, stream),
                )
                for (kid, stream), head in sorted(self._outbox.heads().items())
            )
        except OutboxError as error:
            self._complain(error)
            return ()

    def _take_receipt(self, receipt: Receipt) -> Reply:
        if receipt.node != self._node:
            log.warning("receipt refused: it is for node %s", receipt.node)
            return Reply()
        if self.alarm:
            return Reply()
        proven = check_receipt(receipt, self._trust, self._newest, self._outbox.leaf_of)
        settled = self._outbox.settle(proven)
        if proven.checkpoint is not None:
            self._newest, self.checkpoint = proven.checkpoint, proven.note
        for kid, stream in settled.ahead:
            log.error(
                "the hub has %s messages of key %s that this outbox never made: an old copy of "
                "the outbox was restored; its numbers go on behind them",
                stream,
                kid.hex(),
            )
        return Reply(settled.ahead, hello=proven.gone)

    def _take_refusal(self, refusal: Refusal) -> None:
        place = (refusal.kid, refusal.stream, refusal.sequence)
        if refusal.node != self._node:
            log.warning("refusal refused: it is for node %s", refusal.node)
        elif self._outbox.bury(*place, refusal.reason, refusal.gap_index):
            log.error(
                "the hub will never take %s %d of key %s: %s; it is a dead letter now",
                refusal.stream,
                refusal.sequence,
                refusal.kid.hex(),
                refusal.reason,
            )

    def _alarm(self, error: HubBehind) -> None:
        if self.alarm:
            return
        self.alarm = str(error)
        log.critical(
            "ALARM: %s. Nothing is deleted any more; when you know why, run "
            "gridtally-edge accept-hub",
            error,
        )
        try:
            file = keep_heads(self._outbox.folder, self.checkpoint, error.note)
            self._outbox.raise_alarm(str(error), error.note, file)
        except OutboxError as failure:
            self._complain(failure)

    def _miss_quietly(self, error: KeyAway) -> None:
        """Know that a key is away; that was said already of those that were just looked for."""
        if error.kid in self._quiet:
            self._away[error.kid] = str(error)
        else:
            self.miss(error.kid, str(error))

    def _tell_away(self) -> None:
        """Keep what `status` says of keys that are away."""
        try:
            self._outbox.note(AWAY, "\n".join(sorted({*self._away.values()})))
        except OutboxError as error:
            self._complain(error)

    def _trim(self, batch: Batch) -> Batch:
        kept, lost = _trimmed(batch.drafts)
        self._lost += lost
        return replace(batch, drafts=kept)

    def _note(self, rows: list[Row]) -> None:
        if self._journal is not None:
            self._journal.note(rows)

    def _complain(self, error: OutboxError) -> None:
        """Say that the disk fails: once, until it works again."""
        if not self._disk_failed:
            log.error("%s: readings wait in memory until it works again", error)
        self._disk_failed = True


def _joined(batches: list[Batch]) -> Batch:
    """Return batches as one, in their order."""
    if len(batches) == 1:
        return batches[0]
    registers: dict[str, Register] = {}
    packed: dict[str, int] = {}
    for batch in batches:
        registers |= batch.registers
        packed |= dict(batch.packed)
    return Batch(
        tuple(draft for batch in batches for draft in batch.drafts),
        registers,
        tuple(
            (meter_id, point)
            for batch in batches
            for meter_id, point in batch.points
            if point.at_ms > packed.get(meter_id, point.at_ms - 1)
        ),
        tuple(packed.items()),
    )


def _parted(whole: Batch, away: Container[bytes]) -> tuple[Batch, Batch]:
    """Return what can be stored now, and what waits for its key; points wait with their pack."""
    waiting = tuple(draft for draft in whole.drafts if draft.kid in away)
    if not waiting:
        return whole, Batch()
    meters = {draft.meter_id for draft in waiting if draft.meter_id}
    held = Batch(waiting, packed=tuple(each for each in whole.packed if each[0] in meters))
    ready = tuple(draft for draft in whole.drafts if draft.kid not in away)
    packed = tuple(each for each in whole.packed if each[0] not in meters)
    return replace(whole, drafts=ready, packed=packed), held


def _trimmed(drafts: tuple[Draft, ...]) -> tuple[tuple[Draft, ...], int]:
    """Return the drafts that may wait, and how many may not: oldest telemetry goes first."""
    excess = len(drafts) - WAITING_DRAFTS_MAX
    if excess <= 0:
        return drafts, 0
    packs = [place for place, draft in enumerate(drafts) if draft.stream == TELEMETRY]
    gone = set(packs[:excess])
    kept = tuple(draft for place, draft in enumerate(drafts) if place not in gone)
    return kept[-WAITING_DRAFTS_MAX:], len(drafts) - min(len(kept), WAITING_DRAFTS_MAX)
