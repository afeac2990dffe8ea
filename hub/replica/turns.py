"""Whose turn it is, and which header was handed in before the one that stands on the log.

A proposer shows its header to the other replicas, and each of them hands it to the hub, too. Who
was told by the hub that it took a header of an earlier round in time does not cosign a tree with
one of a later round: the hub passed somebody over. That is kept, and only a person takes it back.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.core.clearing import Contracts
from hub.core.effects import Effect, HeaderFollows
from hub.core.events import Event
from hub.core.headers import REPLICA
from hub.core.state import State
from hub.core.step import step
from hub.cosigning.proposals import TurnClock
from hub.replica.errors import SourceAway
from hub.replica.following import Following
from hub.replica.home import write_durably
from hub.replica.source import Sources
from messages import cose
from messages.cose import Envelope
from messages.entries import BlockHeader, network_aad, parse_as
from messages.errors import BadSignature, MessageError
from messages.log.tree import leaf_hash
from messages.publickey import parse_cose_key

PROPOSE_PATH: Final = "propose"
PENDING_MAX: Final = 32
TAKEN_MAX: Final = 64

log = logging.getLogger("hub.replica")


@dataclass(frozen=True, slots=True)
class Taken:
    """A header that the hub said it took, before the round after its own was half over."""

    header: BlockHeader
    raw: bytes


class Turns:
    """Owns what was shown here. `take` is for any thread, all else for the one that follows."""

    def __init__(
        self,
        folder: Path,
        following: Following,
        sources: Sources,
        contracts: Contracts,
        clock_ms: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._following = following
        self._sources = sources
        self._contracts = contracts
        self._clock_ms = clock_ms
        self._clock = TurnClock()
        self._since_ms: dict[int, int] = {}  # height -> when its close was executed here
        self._lock = threading.Lock()
        self._pending: dict[bytes, bytes] = {}  # leaf hash -> header that was shown
        self._taken: dict[int, list[Taken]] = {}  # height -> what the hub took in time
        self._objections = _read_objections(folder)

    # --- what others ask -------------------------------------------------------------------

    def take(self, raw: bytes) -> str:
        """Take a header that somebody shows, to be looked at soon; say why not."""
        try:
            self._signed(raw)
        except MessageError as error:
            return str(error)
        with self._lock:
            if len(self._pending) >= PENDING_MAX:
                return "too many headers wait here: ask again later"
            self._pending[leaf_hash(raw)] = raw
        self._following.wake()
        return ""

    def objection(self, size: int) -> str:
        """Say why a tree of this size is not cosigned; "" if it may be."""
        for index, reason in self._objections.items():
            if size > index:
                return reason
        return ""

    def wait_s(self) -> float | None:
        """Nothing here waits for a time."""
        return None

    # --- as the log is followed ------------------------------------------------------------

    def prepare(self) -> None:
        """Look at what was shown before more is executed."""
        execution = self._following.execution
        if execution is None:
            return
        state = execution.state
        if state.network is not None and state.dues:
            height = state.progress.header_height + 1
            self._since_ms.setdefault(height, self._clock_ms())
            with self._lock:
                pending = list(self._pending.values())
            for raw in pending:
                self._look_at(raw)

    def tend(self) -> None:
        """Look at what was shown."""
        self.prepare()

    def watch(self, index: int, effects: tuple[Effect, ...]) -> None:
        """Object to a header that passed over one of an earlier round."""
        for effect in effects:
            if isinstance(effect, HeaderFollows):
                self._judge(index, effect)
        if self._pending or effects:
            self.prepare()

    def _judge(self, index: int, follows: HeaderFollows) -> None:
        earlier = [
            taken
            for taken in self._taken.pop(follows.height, ())
            if taken.header.round < follows.round
        ]
        self._since_ms.pop(follows.height, None)
        with self._lock:
            for name, raw in tuple(self._pending.items()):
                if parse_as(BlockHeader, cose.parse(raw)).height <= follows.height:
                    del self._pending[name]
        if earlier:
            self._object(index, follows, earlier[0])

    def _object(self, index: int, follows: HeaderFollows, taken: Taken) -> None:
        reason = (
            f"entry {index} is the header of round {follows.round} for block {follows.height}, "
            f"though the hub took that of round {taken.header.round} in time"
        )
        self._objections[index] = reason
        self._following.note(reason)
        fields = {"index": index, "reason": reason, "header": taken.raw.hex()}
        self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._folder / f"{index}.json", json.dumps(fields, indent=1) + "\n")

    def _look_at(self, raw: bytes) -> None:
        """Hand a header in that could be appended now, and remember whether the hub took it."""
        header = self._valid(raw)
        if header is None:
            return
        with self._lock:
            self._pending.pop(leaf_hash(raw), None)
        try:
            self._sources.first(lambda source: source.post(PROPOSE_PATH, raw))
        except SourceAway as error:
            log.info("a header that was shown here was not taken: %s", error)
            return
        if self._is_in_time(header) and len(self._taken) < TAKEN_MAX:
            self._taken.setdefault(header.height, []).append(Taken(header, raw))

    def _is_in_time(self, header: BlockHeader) -> bool:
        """Whether its round is not half over, by what this replica saw of the close."""
        execution = self._following.execution
        since_ms = self._since_ms.get(header.height)
        if execution is None or since_ms is None:
            return False
        round_ms = self._clock.round_ms(execution.state)
        return 2 * (self._clock_ms() - since_ms) <= (2 * header.round + 1) * round_ms

    def _valid(self, raw: bytes) -> BlockHeader | None:
        """Return a header that follows from what was executed; None: it does not, or not yet."""
        execution = self._following.execution
        if execution is None:
            return None
        try:
            envelope, header = self._signed(raw)
        except MessageError:
            return None  # its key counts no more
        event = Event(execution.size, leaf_hash(raw), envelope.kid, header)
        effects = step(execution.state, event, self._contracts).effects
        if not any(isinstance(effect, HeaderFollows) for effect in effects):
            return None
        right = self._following.mirror.root_at(header.end_index) == header.log_root
        return header if right else None

    def _signed(self, raw: bytes) -> tuple[Envelope, BlockHeader]:
        """Return a header that a replica signed; MessageError if none that counts did."""
        envelope = cose.parse(raw)
        header = parse_as(BlockHeader, envelope)
        execution = self._following.execution
        state = State() if execution is None else execution.state
        key = state.keys.get(envelope.kid)
        if key is None or key.holder != REPLICA or not key.is_current or state.network is None:
            raise BadSignature(f"no replica that counts here has the key {envelope.kid.hex()}")
        cose.verify(envelope, parse_cose_key(key.cose_key), network_aad(state.network.network_id))
        return envelope, header


def _read_objections(folder: Path) -> dict[int, str]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        fields = json.loads(path.read_text(encoding="utf-8"))
        found[int(fields["index"])] = str(fields["reason"])
    return found
