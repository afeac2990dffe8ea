"""Folds a log again, entry by entry, and believes nothing but its bytes and this program's rules.

Each signature under the key that counts there, each stream without a hole, each block header
against what re-execution gives. Audits and replicas both stand on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from hub.core.clearing import Contracts
from hub.core.effects import Effect, HeaderFollows, Ignored, WrongRoot
from hub.core.events import Event, read_body
from hub.core.outcome import Outcome
from hub.core.state import State
from hub.core.step import step
from hub.cosigning.proposals import told
from hub.ledger.crew import Crew, Read
from messages import cose
from messages.cose import Envelope
from messages.entries import (
    LABEL,
    BlockHeader,
    Close,
    Gap,
    Genesis,
    KeyEntry,
    NodeEvent,
    network_aad,
)
from messages.errors import BadKey, BadSignature, MessageError
from messages.log.tree import Frontier, leaf_hash
from messages.publickey import KID_BYTES, PublicKey, parse_cose_key
from messages.reading import Reading

Stream = tuple[bytes, str]  # (kid, name)
Preimages = Callable[[int], bytes | None]
TELEMETRY: Final = "telemetry"


class LogWrong(Exception):
    """The first thing that is wrong in a log; its text says where and what."""


class Folded(NamedTuple):
    """One entry that was found right, and what it meant."""

    event: Event
    effects: tuple[Effect, ...]


class Refold:
    """Owns a state and the tree of the entries that made it.

    Args:
        contracts: the market contracts that policies may name.
        preimages: gives a sealed reading's preimage by index.
        crew: checks signatures ahead, on other processors.
        heads: what each stream has used up where this begins in the middle of a log; None for a
            stream that is not known, which may then begin anywhere.
    """

    def __init__(
        self,
        contracts: Contracts,
        preimages: Preimages,
        crew: Crew,
        heads: Callable[[Stream], int | None] | None = None,
    ) -> None:
        self.state = State()
        self.log = Frontier()
        self.crew = crew
        self.heads: dict[Stream, int] = {}
        self.log_roots: dict[int, bytes] = {}  # end index of a close without a header -> root
        self._contracts = contracts
        self._preimages = preimages
        self._known_head = heads
        self._keys: dict[bytes, PublicKey] = {}

    def begin(self, state: State, log: Frontier) -> None:
        """Begin where a state is that of the entries in a tree."""
        self.state, self.log = state, log
        if state.network is not None:
            self.crew.join(state.network.network_id)
        for kid in state.keys:
            self._key(kid)

    def take(self, read: Read[tuple[int, bytes]]) -> Folded:
        """Check one entry and fold it.

        Raises:
            LogWrong: it is not what has to stand here; nothing was folded.
        """
        index, raw = read.item
        if index != self.log.size:
            raise LogWrong(f"entry {self.log.size} is missing: the next one there is {index}")
        try:
            envelope = read.envelope or cose.parse(raw)
            body = read_body(envelope, self._preimages(index))
            event = Event(index, leaf_hash(raw), envelope.kid, body)
            self._check_signature(envelope, event, read.key)
        except MessageError as error:
            raise LogWrong(f"entry {index}: {error}") from None
        self._check_order(event)
        if isinstance(body, BlockHeader):
            self._check_header(index, body)
        outcome = step(self.state, event, self._contracts)
        self.state.apply(outcome.changes)
        self.log.add(event.leaf_hash)
        if not isinstance(body, Reading):  # nothing hangs on a register but its own meter
            self._heed(event, outcome)
        return Folded(event, outcome.effects)

    def _heed(self, event: Event, outcome: Outcome) -> None:
        """Note what an entry means to those behind it: keys, and roots that headers will name."""
        body, end_index = event.body, event.index + 1
        if isinstance(body, Close) and end_index in self.state.dues:
            self.log_roots[end_index] = self.log.root()
        if isinstance(body, Genesis) and self.state.network is not None:
            self.crew.join(self.state.network.network_id)
        if isinstance(body, Genesis | KeyEntry):
            self._learn(change.key for change in outcome.changes if change.table == "key")
        for effect in outcome.effects:
            if isinstance(effect, HeaderFollows):
                self.log_roots.pop(effect.end_index, None)

    def _learn(self, kids: Iterable[bytes]) -> None:
        for kid in kids:
            self._key(kid)

    def _check_signature(self, envelope: Envelope, event: Event, checked: PublicKey | None) -> None:
        body = event.body
        if isinstance(body, Genesis):
            cose.verify(envelope, parse_cose_key(body.administrator), LABEL)
            return
        if checked is not None and checked is self._keys.get(event.kid):
            return
        key = self._key(event.kid)
        network = self.state.network
        if key is None or network is None:
            raise BadSignature(f"nobody has registered the key {event.kid.hex()}")
        aad = b"" if isinstance(body, Reading) else network_aad(network.network_id)
        cose.verify(envelope, key, aad)

    def _key(self, kid: bytes) -> PublicKey | None:
        if kid not in self._keys:
            row = self.state.keys.get(kid)
            if row is None:
                return None
            self._keys[kid] = key = parse_cose_key(row.cose_key)
            self.crew.learn(key)
        return self._keys[kid]

    def _check_order(self, event: Event) -> None:
        """Each stream's sequences stand in the log once and without holes, but for gap entries."""
        body = event.body
        if isinstance(body, Reading):
            self._follow(event.index, (event.kid, "register"), body.sequence, body.sequence)
        elif isinstance(body, Gap):
            self._follow(event.index, (_gap_kid(body.key), body.stream), body.first, body.last)
        elif isinstance(body, NodeEvent):
            self._follow(event.index, (event.kid, "event"), body.event, body.event)

    def _follow(self, index: int, stream: Stream, first: int, last: int) -> None:
        if stream[1] == TELEMETRY:
            return  # packs are off the log; seals commit to them
        row = self.state.keys.get(stream[0])
        expected = self._expected(stream, row.first_sequence if row else 1)
        if (expected is not None and first != expected) or last < first:
            who = f"{row.holder} {row.name}" if row else stream[0].hex()
            raise LogWrong(
                f"entry {index}: {stream[1]} {first} of {who}, where {expected} had to come"
            )
        self.heads[stream] = last

    def _expected(self, stream: Stream, first: int) -> int | None:
        head = self.heads.get(stream)
        if head is None and self._known_head is not None:
            head = self._known_head(stream)
            return None if head is None else max(head + 1, first)
        return first if head is None else head + 1

    def _check_header(self, index: int, header: BlockHeader) -> None:
        root = self.log_roots.get(header.end_index)
        if root is not None and header.log_root != root:
            raise LogWrong(f"entry {index}: block header {header.height} has another log root")


def strictly(folded: Folded) -> Folded:
    """Return an entry that an honest hub can have appended.

    A hub looks at headers before it appends them: one that changes nothing was never offered to an
    honest one, and a state root of its own that is wrong is a lie of its own.

    Raises:
        LogWrong: no honest hub appended it.
    """
    for effect in folded.effects:
        if isinstance(effect, WrongRoot) and not effect.proposer:
            raise LogWrong(told(effect))
        if isinstance(effect, Ignored) and isinstance(folded.event.body, BlockHeader):
            raise LogWrong(f"entry {effect.index} is no block header: {effect.reason}")
    return folded


def _gap_kid(raw: bytes) -> bytes:
    """Return the key id that a gap entry names: as such, as a thumbprint, or in a COSE_Key."""
    try:
        return raw[:KID_BYTES] if len(raw) in (KID_BYTES, 32) else parse_cose_key(raw).kid
    except BadKey:
        return b""
