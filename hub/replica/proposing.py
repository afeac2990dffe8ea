"""Proposes block headers when it is this member's turn: executed here, signed here, handed in.

A round opens so long after the block could first be proposed, by this replica's own clock; until
the block is on the log the header is handed in again, the same bytes each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hub.core.effects import Effect, HeaderFollows
from hub.core.headers import draft_header, in_turn, next_header
from hub.core.state import State
from hub.cosigning.proposals import TurnClock
from hub.replica.errors import SourceAway
from hub.replica.following import Following
from hub.replica.server import HEADER_PATH
from hub.replica.source import Source, Sources
from hub.replica.turns import PROPOSE_PATH
from keys.vrf import VrfKey
from messages.entries import sign_entry
from messages.proposing import vrf_input
from messages.publickey import Signer

AGAIN_MS: Final = 1_000
LOOK_EVERY_S: Final = 0.25

log = logging.getLogger("hub.replica")


class Proposer:
    """Owns a member's turn. For the thread that follows."""

    def __init__(
        self,
        signer: Signer,
        vrf: VrfKey,
        following: Following,
        sources: Sources,
        peers: tuple[Source, ...],
        clock_ms: Callable[[], int],
    ) -> None:
        self._signer = signer
        self._vrf = vrf
        self._following = following
        self._sources = sources
        self._peers = peers
        self._clock_ms = clock_ms
        self._turns = TurnClock()
        self._waits = False
        self._handed_ms: int | None = None
        self._shown_height = -1

    def prepare(self) -> None:
        """Nothing is to be done before more is executed."""

    def objection(self, size: int) -> str:
        """Nothing is held against any tree here."""
        return ""

    def wait_s(self) -> float | None:
        """Look often while a turn of ours may open."""
        return LOOK_EVERY_S if self._waits else None

    def watch(self, index: int, effects: tuple[Effect, ...]) -> None:
        """Say when a block is ours."""
        for effect in effects:
            if isinstance(effect, HeaderFollows):
                self._handed_ms = None
                if effect.proposer and effect.proposer == self._name():
                    log.info("block %d is ours, in entry %d", effect.height, index)

    def tend(self) -> None:
        """Propose, if it is our turn and its round is open."""
        execution = self._following.execution
        self._waits = False
        if execution is None or execution.size < self._following.mirror.size:
            return
        state, now_ms = execution.state, self._clock_ms()
        if state.network is None:
            return
        open_round = self._turns.open_round(state, now_ms)
        number = self._round(state)
        if open_round is None or number is None:
            return
        self._waits = True
        early = self._handed_ms is not None and now_ms - self._handed_ms < AGAIN_MS
        if number > open_round or early:
            return
        self._handed_ms = now_ms
        self._hand_in(self.sign(state, number), state.progress.header_height + 1)

    def sign(self, state: State, number: int) -> bytes:
        """Return the header of the oldest close without one, signed for a round."""
        due = next_header(state)
        if due is None or state.network is None:
            raise AssertionError("no close wants a header")
        draft = draft_header(state, self._following.mirror.root_at(due[0]))
        network_id = state.network.network_id
        alpha = vrf_input(network_id, draft.height, draft.seed)
        header = replace(draft, vrf_proof=self._vrf.prove(alpha), round=number)
        return sign_entry(self._signer, header, network_id)

    def _round(self, state: State) -> int | None:
        """Return the round in which the next block is ours; None: in none."""
        name = self._name()
        return next((at for at, who in in_turn(state).items() if name and who == name), None)

    def _name(self) -> str:
        """Return the member whose replica the ledger says this is, "" if it is none."""
        execution = self._following.execution
        key = None if execution is None else execution.state.keys.get(self._signer.public.kid)
        return key.name if key is not None and key.is_current else ""

    def _hand_in(self, raw: bytes, height: int) -> None:
        """Give it to the hub, and once to each of the other replicas."""
        log.info("proposes block %d", height)
        try:
            self._sources.first(lambda source: source.post(PROPOSE_PATH, raw))
        except SourceAway as error:
            log.warning("block %d was not taken: %s", height, error)
        if self._shown_height < height:
            self._shown_height = height
            for peer in self._peers:
                try:
                    peer.post(HEADER_PATH.removeprefix("/"), raw)
                except SourceAway as error:
                    log.info("%s", error)
