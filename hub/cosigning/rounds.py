"""Which checkpoint the witnesses are shown next, what came back, and when none may be signed.

One checkpoint is on show at a time, until it is final or has waited long enough: so witnesses of
different speed meet at the same one. After a start none is signed before so many witnesses have
said what they cosigned last that the others alone could not have made anything final.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Sequence
from typing import Final

from hub.cosigning.client import Peer
from hub.cosigning.comparing import Comparison
from hub.cosigning.courier import Board, Claimed, Courier, Failed, News, Route, Showed, Took
from hub.errors import LedgerBehind
from hub.ledger.log import Log
from hub.ledger.records import Cosigned
from hub.spine import Spine
from hub.vitals.health import WitnessSeen
from messages.errors import MessageError
from messages.log.policy import LogPolicy

ROUND_MS: Final = 5_000
EVERY_MS: Final = 200
LATE_MS: Final = 30_000  # without a quorum for so long, a person should know

log = logging.getLogger("hub.cosigning")


def peers_of(policy: LogPolicy, configured: Sequence[Peer]) -> tuple[Peer, ...]:
    """Return every witness that has an address: those of the policy, then others.

    An address in hub.toml stands before one in the policy.
    """
    urls = {peer.key: peer.url for peer in configured}
    own = [(key, urls.get(key, policy.urls.get(name))) for name, key in policy.witnesses.items()]
    named = [Peer(key, url) for key, url in own if url is not None]
    others = [peer for peer in configured if peer.key not in policy.witnesses.values()]
    return (*named, *others)


class Cosigning:
    """Owns the couriers and the rounds. For the hub's loop, which alone appends and signs."""

    def __init__(
        self,
        peers: Sequence[Peer],
        spine: Spine,
        comparison: Comparison,
        ledger: Log | None,
        wake: Callable[[], None],
        utc_s: Callable[[], float] = time.time,
    ) -> None:
        """`ledger`: the same one opened for reading, for the couriers' proofs; None: no peers."""
        self._peers = tuple(peers)
        self._spine = spine
        self._comparison = comparison
        self._utc_s = utc_s
        self._wake = wake
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._board = Board()
        self._ledger = ledger
        self._couriers: tuple[Courier, ...] = ()
        self._answered: set[Peer] = set()
        self._claims: dict[Peer, int] = {}
        self._reasons: dict[Peer, str] = {}
        self._offered_size = -1
        self._offered_ms = 0
        self._final_size = -1  # when progress was last noted
        self._progress_ms = 0
        self._is_late = False

    # --- start and stop --------------------------------------------------------------------

    def start(self, wait_s: float) -> None:
        """Ask every witness what it cosigned last; give them a moment to answer.

        Raises:
            LedgerBehind: one shows more than this ledger has, or another history.
        """
        if self._ledger is None:
            return
        known = self._ledger.newest_checkpoint()
        newest = self._ledger.cosignatures.newest()
        for peer in self._peers:
            held = newest.get((peer.name, peer.key.key_id))
            cosigned = 0 if held is None else held.size
            origin = self._spine.origin
            route = Route(origin, self._ledger.prove_consistency, known, cosigned)
            courier = Courier(peer, route, self._board, self._tell, self._utc_s)
            self._couriers = (*self._couriers, courier)
            courier.thread.start()
        deadline_s = time.monotonic() + wait_s
        heard: set[Peer] = set()
        while len(heard) < len(self._peers) and (left_s := deadline_s - time.monotonic()) > 0:
            try:
                news = self._news.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(news, Showed | Failed):
                heard.add(news.peer)
            self._take(news)

    def stop(self) -> None:
        """Let the couriers end; one that is just talking ends with this process."""
        self._board.stop()
        for courier in self._couriers:
            courier.thread.join(0.5)

    # --- the loop's part -------------------------------------------------------------------

    def tend(self, now_ms: int) -> None:
        """Take in what came back, and show the next checkpoint when it is time.

        Raises:
            LedgerBehind: a witness proves that this ledger is an old copy or a fork.
            StorageFull: a cosignature could not be stored; it comes again.
        """
        if not self._peers:
            return
        while not self._news.empty():
            self._take(self._news.get())
        self._note_progress(now_ms)
        size = self._spine.recorder.store.size
        if size > self._offered_size and self._round_is_over(now_ms) and self.may_sign:
            self._offered_size, self._offered_ms = size, now_ms
            self._board.offer(self._spine.sign_checkpoint())

    @property
    def may_sign(self) -> bool:
        """Whether enough witnesses said what they cosigned last, and none of them more than we."""
        finality = self._spine.finality
        if not finality.is_witnessed:
            return True
        silent = frozenset(peer.key for peer in self._peers if peer not in self._answered)
        return not self._claims and not finality.policy.is_met(silent)

    @property
    def complaints(self) -> tuple[str, ...]:
        """What a person should look at."""
        finality = self._spine.finality
        if not self._peers and not finality.is_witnessed:
            return ()
        found = [
            f"witness {peer.name} says it cosigned {size} entries, more than are here, and does "
            "not show them: nothing is signed. Ask its operator; if it is mistaken, take it out "
            "of the policy"
            for peer, size in self._claims.items()
        ]
        wrong = "; ".join(f"{peer.name}: {why}" for peer, why in self._reasons.items() if why)
        if not found and not self.may_sign:
            found.append(
                "no checkpoint is signed before enough witnesses have said what they cosigned "
                f"last: {wrong or 'they are being asked'}"
            )
        elif self._is_late:
            found.append(f"nothing became final for a while: {wrong or 'witnesses are slow'}")
        return tuple(found)

    def seen(self) -> tuple[WitnessSeen, ...]:
        """Return how every witness stands."""
        newest = self._spine.recorder.store.cosignatures.newest()
        return tuple(
            self._seen(peer, newest.get((peer.name, peer.key.key_id))) for peer in self._peers
        )

    def _seen(self, peer: Peer, held: Cosigned | None) -> WitnessSeen:
        size = 0 if held is None else held.size
        age_s = None if held is None else max(0, int(self._utc_s()) - held.time_s)
        kind = self._spine.finality.policy.kind_of(peer.key)
        return WitnessSeen(peer.name, peer.url, size, age_s, self._reasons.get(peer, ""), kind)

    # --- inside ----------------------------------------------------------------------------

    def _tell(self, news: News) -> None:
        """From a courier's thread."""
        self._news.put(news)
        self._wake()

    def _round_is_over(self, now_ms: int) -> bool:
        age_ms = now_ms - self._offered_ms
        if self._offered_size < 0 or age_ms >= ROUND_MS:
            return True
        finality = self._spine.finality
        is_done = not finality.is_witnessed or finality.size >= self._offered_size
        return is_done and age_ms >= EVERY_MS

    def _note_progress(self, now_ms: int) -> None:
        """Note when something became final, or nothing waited to."""
        finality = self._spine.finality
        waits = finality.is_witnessed and finality.size < self._spine.recorder.store.size
        if finality.size != self._final_size or not waits:
            self._final_size = finality.size
            self._progress_ms = now_ms
        self._is_late = now_ms - self._progress_ms >= LATE_MS

    def _take(self, news: News) -> None:
        peer = news.peer
        if isinstance(news, Took):
            self._take_cosignature(news)
        elif isinstance(news, Showed):
            self._take_shown(news)
        elif isinstance(news, Claimed):
            self._take_claim(news)
        elif isinstance(news, Failed):
            if self._reasons.get(peer) != news.reason:
                log.warning("witness %s: %s", peer.name, news.reason)
            self._reasons[peer] = news.reason

    def _take_cosignature(self, took: Took) -> None:
        if self._reasons.pop(took.peer, ""):
            log.info("witness %s cosigns again", took.peer.name)
        found = took.cosignature
        key = found.key
        row = Cosigned(took.size, key.name, key.key_id, found.time_s, found.line)
        if self._spine.take_cosignature(row):
            self._spine.publish()

    def _take_shown(self, showed: Showed) -> None:
        """Compare: what the log signed and this ledger does not continue ends it all."""
        peer = showed.peer
        if showed.note:
            try:
                self._comparison.check(showed.note, f"witness {peer.name} shows")
            except MessageError as error:
                self._reasons[peer] = f"shows what this log never signed: {error}"
                log.warning("witness %s %s", peer.name, self._reasons[peer])
                return
        self._answered.add(peer)

    def _take_claim(self, claim: Claimed) -> None:
        size = self._spine.recorder.store.size
        if claim.size <= size:
            self._claims.pop(claim.peer, None)
            return
        sentence = f"says it cosigned {claim.size} entries, more than the {size} here"
        self._reasons[claim.peer] = sentence
        log.critical("witness %s %s", claim.peer.name, sentence)
        if claim.peer in self._answered:
            return  # it once agreed with us, and we have run since: it is mistaken
        if not self._spine.finality.is_witnessed:
            raise LedgerBehind(
                f"witness {claim.peer.name} {sentence}: this may be an old copy of the ledger. Put "
                "the newest copy back, or take the witness out of hub.toml if it is mistaken."
            )
        self._claims[claim.peer] = claim.size
