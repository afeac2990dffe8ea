"""Brings each new checkpoint to one witness, and its cosignature back: one thread a witness.

It asks first what the witness cosigned last, and waits for the hub to compare. An answer 409 says
from where to prove; anything else that is no cosignature ends the attempt, and a pause that grows
comes before the next.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub.cosigning.client import Peer, Reply, WitnessAway, WitnessClient
from hub.errors import HubError
from hub.ledger.records import Checkpoint
from messages.errors import MessageError
from messages.log.checkpoint import parse_checkpoint
from messages.log.cosignature import Cosignature, open_cosignatures
from messages.log.note import parse_note
from messages.log.submission import SIZE_TYPE, Submission, parse_size

PROVE_TRIES: Final = 3
PAUSE_MAX_S: Final = 60.0
AWAY_PAUSE_MAX_S: Final = 10.0  # nothing is final before enough are back
BUSY_PAUSE_MAX_S: Final = 2.0
CLOCK_AHEAD_S: Final = 300
REASON_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Showed:
    """A witness showed the checkpoint that it cosigned last; "": it has none, or shows none."""

    peer: Peer
    note: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A witness says, without showing it, that it cosigned so many entries: more than it got."""

    peer: Peer
    size: int


@dataclass(frozen=True, slots=True)
class Took:
    """A witness cosigned; the cosignature is verified."""

    peer: Peer
    size: int
    cosignature: Cosignature


@dataclass(frozen=True, slots=True)
class Failed:
    """A witness is away, or refuses; `reason` is for people."""

    peer: Peer
    reason: str


News = Showed | Claimed | Took | Failed


class WitnessOdd(Exception):
    """A witness answered, but not with a cosignature; the text says what a person can do."""


class WitnessBusy(WitnessOdd):
    """It will cosign later: a replica that catches up, a disk that is full now."""


class Board:
    """The newest checkpoint to bring, for all couriers to see."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._target: Checkpoint | None = None
        self._stopped = False

    @property
    def is_stopped(self) -> bool:
        """Whether couriers are to end."""
        with self._changed:
            return self._stopped

    def offer(self, target: Checkpoint) -> None:
        """Put up a checkpoint."""
        with self._changed:
            self._target = target
            self._changed.notify_all()

    def stop(self) -> None:
        """Let all couriers end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_beyond(self, size: int) -> Checkpoint | None:
        """Return the target as soon as it is larger than `size`; None: stop."""
        with self._changed:
            while not self._stopped and (self._target is None or self._target.size <= size):
                self._changed.wait()
            return None if self._stopped else self._target

    def pause(self, seconds: float) -> None:
        """Sleep, unless stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)


@dataclass(slots=True)
class Route:
    """What a courier needs to know of its log.

    Attributes:
        origin: the log's name.
        prove: consistency proofs of the ledger, from any thread.
        known: the newest stored checkpoint when the hub started, None if there was none.
        cosigned: up to where the hub holds cosignatures of this witness; 0: none.
    """

    origin: str
    prove: Callable[[int, int], tuple[bytes, ...]]
    known: Checkpoint | None
    cosigned: int


class Courier:
    """Owns the conversation with one witness."""

    def __init__(
        self,
        peer: Peer,
        route: Route,
        board: Board,
        tell: Callable[[News], None],
        utc_s: Callable[[], float],
        pause_min_s: float = 1.0,
    ) -> None:
        self._peer = peer
        self._route = route
        self._board = board
        self._tell = tell
        self._utc_s = utc_s
        self._pause_min_s = pause_min_s
        self._pause_s = 0.0
        self._client = WitnessClient(peer.url)
        self._asked = False
        self._held = route.cosigned  # what the witness cosigned last, as far as is known
        self._done = -1  # the target that needs no more work
        self._random = random.Random()  # noqa: S311 - only spreads retries
        self.thread = threading.Thread(target=self.run, name=f"to {peer.name}", daemon=True)

    def run(self) -> None:
        """Ask, then bring one target after the other, until the board stops."""
        try:
            while not self._board.is_stopped:
                try:
                    if not self._turn():
                        return
                    self._pause_s = 0.0
                except (WitnessAway, WitnessOdd, HubError) as error:
                    self._tell(Failed(self._peer, str(error)[:REASON_CHARS_MAX]))
                    self._rest(_longest_pause_s(error))
        finally:
            self._client.close()

    def _turn(self) -> bool:
        if not self._asked:
            self._ask()
            self._asked = True
            return True
        target = self._board.wait_beyond(self._done)
        if target is None:
            return False
        self._bring(target)
        self._done = target.size
        return True

    def _rest(self, longest_s: float) -> None:
        """Wait longer each time, never in step with others."""
        self._pause_s = min(max(self._pause_s * 2, self._pause_min_s), longest_s)
        self._board.pause(self._pause_s * self._random.uniform(0.5, 1.0))

    # --- at the start ----------------------------------------------------------------------

    def _ask(self) -> None:
        """Learn what it cosigned last: it shows it, and says if that is more than is known here.

        What it shows may be an hour old (a cache), so it is also shown what is known.
        """
        note = self._shown()
        if self._route.known is not None:
            self._bring(self._route.known)
        self._tell(Showed(self._peer, note))

    def _shown(self) -> str:
        """Return the checkpoint that it shows, "" if it shows none."""
        reply = self._client.newest(self._route.origin)
        if reply.status == 404:
            return ""
        if reply.status != 200:
            raise WitnessOdd(f"answers {_told(reply)}")
        try:
            self._held = parse_checkpoint(parse_note(reply.body).text).size
        except MessageError as error:
            raise WitnessOdd(f"shows what is no checkpoint: {error}") from error
        if self._held < self._route.cosigned:
            raise WitnessOdd(self._forgot(self._held))
        return reply.body

    # --- a target --------------------------------------------------------------------------

    def _bring(self, target: Checkpoint) -> None:
        for _ in range(PROVE_TRIES):
            old = min(self._held, target.size)
            proof = self._route.prove(old, target.size)
            reply = self._client.submit(Submission(old, proof, target.note))
            if reply.status == 200:
                self._accept(target, reply.body)
                return
            if reply.status != 409:
                self._explain(reply)
            self._held = self._told_size(reply)
            if self._held > target.size:
                self._tell_ahead(self._held)
                return  # a newer target may do; if it is ahead of the ledger, none will
        raise WitnessOdd("names another size each time it is asked")

    def _tell_ahead(self, size: int) -> None:
        """Tell that it cosigned more than it was shown now; with the checkpoint, if it shows it."""
        note = self._shown()
        if note and self._held >= size:
            self._tell(Showed(self._peer, note))
        else:
            self._tell(Claimed(self._peer, size))
        self._held = max(self._held, size)

    def _accept(self, target: Checkpoint, body: str) -> None:
        try:
            (found,) = open_cosignatures(target.note + body, (self._peer.key,))
        except (MessageError, ValueError):
            raise WitnessOdd("answers with no cosignature of its key: is the vkey right?") from None
        ahead_s = found.time_s - self._utc_s()
        if ahead_s > CLOCK_AHEAD_S:
            raise WitnessOdd(f"its clock is {ahead_s:.0f} s ahead of ours: one of them is wrong")
        self._held = target.size
        self._route.cosigned = max(self._route.cosigned, target.size)
        self._tell(Took(self._peer, target.size, found))

    def _told_size(self, reply: Reply) -> int:
        try:
            size = parse_size(reply.body)
        except MessageError as error:
            raise WitnessOdd(f"answers 409 without a size: {error}") from error
        if reply.kind != SIZE_TYPE:
            raise WitnessOdd(f"answers 409 as {reply.kind}, not as {SIZE_TYPE}")
        if size < self._route.cosigned:
            raise WitnessOdd(self._forgot(size))
        return size

    def _forgot(self, size: int) -> str:
        return (
            f"says that it cosigned {size} entries, but its cosignature over "
            f"{self._route.cosigned} is here: it lost its memory, and its key must be retired"
        )

    def _explain(self, reply: Reply) -> None:
        """Raise what a person should know of a refusal; what it cosigned instead goes on."""
        if reply.status == 422:
            note = self._shown()
            if note:
                self._tell(Showed(self._peer, note))
            raise WitnessOdd(f"refuses this head: {reply.body.strip()}")
        if reply.status == 404:
            raise WitnessOdd("does not watch this log: give its operator the log's vkey")
        if reply.status == 403:
            raise WitnessOdd("knows another key for this log: give its operator the log's vkey")
        if reply.status == 503:
            raise WitnessBusy(_told(reply))
        raise WitnessOdd(f"answers {_told(reply)}")


def _longest_pause_s(error: Exception) -> float:
    if isinstance(error, WitnessBusy):
        return BUSY_PAUSE_MAX_S
    return AWAY_PAUSE_MAX_S if isinstance(error, WitnessAway) else PAUSE_MAX_S


def _told(reply: Reply) -> str:
    return f"{reply.status} {reply.body.strip()[:REASON_CHARS_MAX]}".strip()
