"""What nodes say that is never stored: live samples, hellos, status. Verified like all else.

Acknowledgements come on the same lane and go on to the spine: they are entries. A hello that shows
a checkpoint this ledger does not continue stops the hub from signing: so an old backup, a cut tail
or a fork is found by the first edge that speaks (reliability D3).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from hub.cosigning.comparing import Comparison
from hub.intake import Refused, Verified
from hub.link.arrivals import Arrival
from hub.link.beacons import Beacons
from hub.link.nodes import Newsroom, Sample
from hub.spine import Spine
from messages.entries import Ack
from messages.errors import MessageError
from messages.live import Live
from messages.receipt import Refusal
from messages.status import Hello, Status

ACK = "ack"

log = logging.getLogger("hub.link.hearing")


class Hearing:
    """Hears, and counts how many contacts moved."""

    def __init__(
        self, spine: Spine, news: Newsroom, beacons: Beacons, comparison: Comparison
    ) -> None:
        self._spine = spine
        self._news = news
        self._beacons = beacons
        self._comparison = comparison
        self._moved = 0

    def take(self, arrivals: Iterable[Arrival], now_ms: int, utc_ms: int) -> bool:
        """Hear one batch; return whether the relays are to be looked at.

        Raises:
            LedgerBehind: a node shows a newer or another checkpoint than this ledger has.
        """
        refusals: list[Refusal] = []
        is_news = False
        for arrival in arrivals:
            if arrival.channel == ACK or not arrival.raw:
                continue  # an entry; or the broker's word that a node is gone, which proves nothing
            heard = self._spine.verify(arrival, utc_ms)
            if isinstance(heard, Refused):
                self._spine.note_refused(heard, now_ms, refusals)
            else:
                is_news |= self._hear(heard, now_ms)
        self._spine.tell(refusals)
        return is_news

    def take_ack(self, ack: Ack, now_ms: int) -> bool:
        """Follow a contact by its acknowledgement; True if it moved."""
        if ack.outcome == "refused":
            log.warning("node %s refused a lease of relay %s: %s", ack.node, ack.relay, ack.reason)
        moved = self._news.take_contact((ack.node, ack.relay), ack.energised, now_ms)
        self._moved += moved
        return moved

    def take_moved(self) -> int:
        """Return how many contacts moved since the last call."""
        moved, self._moved = self._moved, 0
        return moved

    def _hear(self, heard: Verified, now_ms: int) -> bool:
        body = heard.body
        if isinstance(body, Live):
            return self._hear_live(heard, body, now_ms)
        if isinstance(body, Status):
            moved = self._news.take_status(body, now_ms)
            self._moved += moved
            return moved > 0
        if isinstance(body, Hello):
            self._hear_hello(body, now_ms)
        return False

    def _hear_live(self, heard: Verified, live: Live, now_ms: int) -> bool:
        if not self._spine.sequencer.is_fresh(heard):
            return False
        sample = Sample(live, self._beacons.sent_ms(live.beacon), now_ms)
        self._news.take_live(sample, heard.node)
        return True

    def _hear_hello(self, hello: Hello, now_ms: int) -> None:
        self._news.take_hello(hello, now_ms)
        if hello.checkpoint:
            self._compare(hello)
        self._spine.receipts.note_hello(hello, self._spine.roster.owned_by(hello.node))
        self._spine.note_dropped(hello)

    def _compare(self, hello: Hello) -> None:
        try:
            self._comparison.check(hello.checkpoint, f"node {hello.node} shows")
        except MessageError as error:
            found = self._comparison.retired(hello.checkpoint, f"node {hello.node} holds")
            if found is None:
                log.warning(
                    "node %s shows a checkpoint that this log did not sign: %s", hello.node, error
                )
                return
            log.log(logging.CRITICAL if found.is_odd else logging.WARNING, "%s", found.sentence)
            if found.is_odd:
                self._spine.alarms[f"retired log, {hello.node}"] = found.sentence
