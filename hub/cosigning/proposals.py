"""Block headers from replicas: what the hub looks at before one goes onto the ledger.

The fold judges whose turn it is and what the header claims of the state. Two things it cannot see
are judged here: the root of the log, and whether those who come before had their time.
"""

from __future__ import annotations

from collections.abc import Callable

from hub.core.effects import WrongRoot
from hub.core.headers import in_turn, rules_at
from hub.core.state import State
from hub.recorder import Recorder
from messages.entries import BlockHeader


class TurnClock:
    """Since when the next block can be proposed, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._height: int | None = None
        self._since_ms = 0

    def open_round(self, state: State, now_ms: int) -> int | None:
        """Return the last round that may propose now; None: no close wants its header."""
        if not state.dues:
            self._height = None
            return None
        height = state.progress.header_height + 1
        if height != self._height:
            self._height, self._since_ms = height, now_ms
        return (now_ms - self._since_ms) // self.round_ms(state)

    def round_ms(self, state: State) -> int:
        """Return how long each proposer is waited for. [ms]"""
        return rules_at(state, min(state.dues.items())[1].slot_ms).round_ms

    def wait_ms(self, state: State, number: int, now_ms: int) -> int:
        """Return how long until a round may propose; ask `open_round` before. [ms]"""
        return max(self._since_ms + number * self.round_ms(state) - now_ms, 0)


class Proposals:
    """Judges headers, and knows how the next block stands."""

    def __init__(self, recorder: Recorder, clock_ms: Callable[[], int]) -> None:
        self._recorder = recorder
        self._clock_ms = clock_ms
        self._turns = TurnClock()

    def tend(self) -> None:
        """Note when the next block could first be proposed; call it about once a second."""
        self._turns.open_round(self._recorder.state, self._clock_ms())

    def objection(self, header: BlockHeader) -> str:
        """Say why a header is not appended now; what it says of turns and state is the fold's."""
        state, now_ms = self._recorder.state, self._clock_ms()
        draft = self._recorder.next_header()
        if draft is not None and header.end_index == draft.end_index:
            if header.log_root != draft.log_root:
                return f"the header has another root of the first {header.end_index} entries"
            open_round = self._turns.open_round(state, now_ms)
            if open_round is not None and header.round > open_round:
                wait_ms = self._turns.wait_ms(state, header.round, now_ms)
                return f"round {header.round} opens in {wait_ms} ms: others come before it"
        return ""


def who_proposes(state: State) -> str:
    """Return who proposes the next block, for people."""
    if state.network is None:
        return ""
    turns = list(in_turn(state).values())
    if not turns:
        return "the hub is the only proposer: no member has a replica that can propose"
    waiting = f" (closed slots that wait: {len(state.dues)})" if state.dues else ""
    others = f", then {', '.join(turns[1:])}" if turns[1:] else ""
    height = state.progress.header_height + 1
    return f"block {height}{waiting} is {turns[0]}'s to propose{others}"


def told(wrong: WrongRoot) -> str:
    """Return who signed which wrong state root, for people."""
    who = f"the replica of {wrong.proposer}" if wrong.proposer else "the hub"
    return (
        f"entry {wrong.index}: {who} signed block {wrong.height} with the state root "
        f"{wrong.said.hex()} after entry {wrong.end_index - 1}; it is {wrong.found.hex()}"
    )
