"""From a policy's word to a moving contact: decision entry first, then leases, then the request.

Runs whenever samples or contacts change and at least once a second. Leases are renewed on real time
even where simulated time stands still.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.balancing.policy import Verdict
from hub.link.nodes import Newsroom
from hub.link.post import Post
from hub.pen import Pen
from hub.spine import Spine
from hub.switching.dispatch import Dispatcher, Proposal
from hub.switching.effects import Effects, Now
from hub.switching.leases import Leases, RelayName
from messages.slots import slot_start
from messages.status import Request

REQUEST_EVERY_MS = 1_000
REQUEST_CHANGE_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Clocks:
    """One moment on both clocks: the hub's monotonic one, and UTC as entries have it. [ms]"""

    now_ms: int
    at_ms: int


class Switchboard:
    """Owns the way from decisions to leases."""

    def __init__(
        self,
        spine: Spine,
        dispatcher: Dispatcher,
        leases: Leases,
        news: Newsroom,
        pen: Pen,
        post: Post,
    ) -> None:
        self._spine = spine
        self._dispatcher = dispatcher
        self._leases = leases
        self._news = news
        self._pen = pen
        self._post = post
        self._effects = Effects()
        self._request: Request | None = None
        self._request_ms = 0

    def wait_ms(self, now_ms: int) -> int:
        """Return how long until relays are to be looked at again. [ms]"""
        return self._dispatcher.wait_ms(self._spine.recorder.state, now_ms)

    def note_change(self, now_ms: int) -> None:
        """Note that a sample or a contact is new."""
        self._dispatcher.note_change(now_ms)

    def note_enrolment(self, now_ms: int) -> None:
        """Note that devices joined."""
        self._dispatcher.note_enrolment(now_ms)

    def decide(self, clocks: Clocks) -> bool:
        """Look, and if anything is to change append the decision; True if one was.

        Raises:
            StorageFull, LedgerBehind: it was not appended, so nothing of it goes out.
        """
        state = self._spine.recorder.state
        moment = Now(state, self._news, self._leases, clocks.now_ms, clocks.at_ms)
        faults = self._effects.look(moment)
        if faults:
            self._spine.record([self._pen.entry(fault) for fault in faults])
        proposal = self._dispatcher.look(state, clocks.now_ms, clocks.at_ms)
        if proposal is not None:
            recorded = self._spine.record([self._pen.entry(proposal.decision)])
            index = recorded.indices[0]
            self._keep_view(proposal)
            self._dispatcher.accept(proposal, index)
        if self._dispatcher.verdict is not None:
            self._tell_balance(self._dispatcher.verdict, clocks)
        return proposal is not None

    def _keep_view(self, proposal: Proposal) -> None:
        decision = proposal.decision
        self._spine.recorder.store.views.keep(decision.view_root, decision.at_ms, proposal.body)

    def decide_at_instant(self, clocks: Clocks) -> bool:
        """Decide in simulated time, which stood still since the samples of this instant came."""
        self._news.hold_instant(clocks.at_ms, clocks.now_ms)
        return self.decide(clocks)

    def renew(self, now_ms: int) -> None:
        """Send the leases that are due."""
        for lease in self._leases.due(now_ms, self._news.newest_nonce, self._news.energised):
            self._post.lease(lease)

    def unsettled(self, now_ms: int) -> tuple[RelayName, ...]:
        """Return the relays whose contact is not yet where the standing order wants it.

        Those of silent nodes are left out: their contacts are safe, and nobody can tell.
        """
        return tuple(
            standing.name
            for standing in self._leases.standing
            if (self._news.energised(standing.name) or False) != standing.energised
            if not self._news.is_silent(standing.node, now_ms)
        )

    def _tell_balance(self, verdict: Verdict, clocks: Clocks) -> None:
        """Publish the balance request of paper 000 when it says something new."""
        slot_ms = slot_start(clocks.at_ms, self._spine.rules.slot_ms)
        request = balance_request(slot_ms, verdict.deficit_mw)
        soon = clocks.now_ms - self._request_ms < REQUEST_EVERY_MS
        if not is_news(self._request, request, soon=soon):
            return
        self._request, self._request_ms = request, clocks.now_ms
        self._post.request(request, self._spine.roster.nodes)


def balance_request(slot_ms: int, deficit_mw: int) -> Request:
    """Return the request for a deficit above 0, a surplus below 0."""
    direction = "balanced" if deficit_mw == 0 else "deficit" if deficit_mw > 0 else "surplus"
    return Request(slot_ms, abs(deficit_mw), direction)


def is_news(told: Request | None, request: Request, *, soon: bool) -> bool:
    """Whether a request is worth sending: another slot or direction, or clearly another amount."""
    if told is None or told.slot_start_ms != request.slot_start_ms:
        return True
    if told.direction != request.direction:
        return True
    moved_mw = abs(told.amount_mw - request.amount_mw)
    return not soon and moved_mw * 100 > told.amount_mw * REQUEST_CHANGE_PERCENT
