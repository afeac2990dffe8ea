"""Plays a layout: moves the world from instant to instant, at the barrier, at the asked pace.

At an instant the edges sample the world as it was just before, the world jumps, they sample it
again at the same moment, and the hub folds, closes and switches. Contacts that move change the
world at that same instant, so everybody samples once more before time goes on: no energy falls
between two samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.clock import Clock, HubAnswer, Pace, merge_heads
from testbed.devices import Devices
from testbed.errors import NotReady
from testbed.layout import Layout
from testbed.world import World

EDGE_TIMEOUT_S = 10.0
HUB_DEADLINE_MS = 10_000
HINDERED_DEADLINE_MS = 1_500
SWITCH_ROUNDS_MAX = 4
LIVE_S = 1.0  # real time after which a live sample should be renewed


@dataclass(slots=True)
class Tally:
    """What a play has to say about itself."""

    instants: int = 0
    slots: int = 0
    rounds: int = 0
    released: dict[str, int] = field(default_factory=dict)
    late: int = 0


@dataclass(slots=True)
class Play:
    """One run over a layout. `watch` is told the time of each instant that is done. [ms UTC]"""

    layout: Layout
    devices: Devices
    clock: Clock
    pace: Pace
    watch: Callable[[int], None]
    edge_timeout_s: float = EDGE_TIMEOUT_S
    hub_deadline_ms: int = HUB_DEADLINE_MS
    is_hindered: Callable[[], bool] = bool  # by a fault on purpose: then nobody gives up
    nodes_away: Callable[[], frozenset[str]] = frozenset  # who cannot answer, on purpose
    tally: Tally = field(default_factory=Tally)
    _sampled_moves: int = 0

    def run(self) -> Tally:
        """Play every slot; the last instant closes the last slot."""
        layout = self.layout
        for at_ms in range(layout.start_ms, layout.end_ms + 1, layout.instant_ms):
            self._rest_until(at_ms)
            if at_ms > layout.start_ms:
                self.devices.run(lambda world, at=at_ms: world.advance(at))  # type: ignore[misc]
            self.instant(at_ms)
            self.watch(at_ms)
        return self.tally

    def instant(self, at_ms: int) -> None:
        """Play one instant: the sides before and after its jump, and what switches in between."""
        heads = self._sample(at_ms, again=False)
        if self.devices.run(World.jump) and self._integrates:
            merge_heads(heads, self._sample(at_ms, again=True))
        answer = self._fold(at_ms, self._slot_to_close(at_ms), heads)
        for _ in range(SWITCH_ROUNDS_MAX):
            if not answer.moved and self.devices.world.moves == self._sampled_moves:
                break
            self.tally.rounds += 1
            answer = self._fold(at_ms, None, self._sample(at_ms, again=True))
        self.tally.instants += 1

    def idle(self, seconds: float) -> None:
        """Let real time pass at one instant; samples stay fresh and contacts are followed."""
        at_ms = self.devices.world.now_ms
        while seconds > 0:
            self.clock.rest(min(seconds, LIVE_S))
            seconds -= LIVE_S
            if seconds > 0:
                self._fold(at_ms, None, self._sample(at_ms, again=True))

    @property
    def _integrates(self) -> bool:
        """Whether any meter has no counter of its own, so that the edge must see each jump."""
        return any(m.model == "ina219" for node in self.layout.nodes for m in node.meters)

    def _rest_until(self, at_ms: int) -> None:
        ahead_s = self.pace.ahead_s(at_ms)
        if ahead_s > LIVE_S * 1.5:
            self.idle(ahead_s)
        else:
            self.clock.rest(ahead_s)

    def _slot_to_close(self, at_ms: int) -> int | None:
        layout = self.layout
        if at_ms == layout.start_ms or (at_ms - layout.start_ms) % layout.slot_ms:
            return None
        self.tally.slots += 1
        return at_ms - layout.slot_ms

    def _sample(self, at_ms: int, *, again: bool) -> dict[str, dict[str, int]]:
        self._sampled_moves = self.devices.world.moves
        away = self.nodes_away()
        nodes = [node.node for node in self.layout.nodes if node.node not in away]
        done = self.clock.edges(nodes, at_ms, again=again, timeout_s=self.edge_timeout_s)
        for node in done.missing:
            self.tally.released[node] = self.tally.released.get(node, 0) + 1
        return done.heads

    def _fold(self, at_ms: int, close: int | None, heads: dict[str, dict[str, int]]) -> HubAnswer:
        answer = None
        while answer is None:
            deadline_ms = HINDERED_DEADLINE_MS if self.is_hindered() else self.hub_deadline_ms
            answer = self.clock.hub(at_ms, close=close, heads=heads, deadline_ms=deadline_ms)
            if answer is None and not self.is_hindered():
                raise NotReady(f"the hub did not answer for {at_ms} within its time")
        self.tally.late += len(answer.late)
        return answer
