"""Messages between hub and nodes on virtual time: how long they take, and when none arrives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from messages.entries import Ack
from messages.lease import Lease
from messages.live import Live
from messages.reading import Reading
from messages.status import Status
from testbed.tables import Scenario

UP_MS: Final = 0
DOWN_MS: Final = 200
"""From a meter's register to the relay it took 128 ms in the middle, 208 ms at the slowest of a
hundred (docs/performance.md); all of that is counted on the way down."""


@dataclass(frozen=True, slots=True)
class Beacon:
    """The hub's beacon, by when it was sent. [ms]"""

    sent_ms: int


Message = Live | Status | Ack | Reading | Lease | Beacon
KEPT: Final = (Reading, Ack)
"""What a node keeps in its outbox until it is through."""


@dataclass(slots=True)
class Post:
    """What is under way: (due, number, node, message)."""

    scenario: Scenario
    _dead: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    _up: list[tuple[int, str, Message]] = field(default_factory=list)
    _down: list[tuple[int, str, Message]] = field(default_factory=list)
    _waiting: list[tuple[str, Message]] = field(default_factory=list)

    def send_up(self, node: str, message: Message, now_ms: int) -> None:
        """Let a node tell the hub something."""
        if self._is_cut(node, now_ms):
            if isinstance(message, KEPT):
                self._waiting.append((node, message))
            return
        self._up.append((now_ms + UP_MS + self._delay_ms(now_ms), node, message))

    def send_down(self, node: str, message: Message, now_ms: int) -> None:
        """Let the hub tell a node something."""
        if not self._is_cut(node, now_ms):
            self._down.append((now_ms + DOWN_MS + self._delay_ms(now_ms), node, message))

    def arrived_up(self, now_ms: int) -> list[tuple[str, Message]]:
        """Return what reaches the hub now, in order."""
        waiting, self._waiting = self._waiting, []
        for node, message in waiting:
            self.send_up(node, message, now_ms)
        arrived, self._up = _split(self._up, now_ms)
        return [each for each in arrived if not self._is_cut(each[0], now_ms)]

    def keep_for_hub(self, now_ms: int) -> None:
        """Nobody listens: what nodes keep waits in their outboxes, the rest is gone."""
        arrived, self._up = _split(self._up, now_ms)
        self._waiting += [each for each in arrived if isinstance(each[1], KEPT)]

    def arrived_down(self, now_ms: int) -> list[tuple[str, Message]]:
        """Return what reaches nodes now, in order."""
        arrived, self._down = _split(self._down, now_ms)
        return [each for each in arrived if not self._is_cut(each[0], now_ms)]

    def _is_cut(self, node: str, now_ms: int) -> bool:
        if node not in self._dead:
            silent = self.scenario.spans_of("node_silent", node)
            self._dead[node] = (*self.scenario.spans_of("broker_down"), *silent)
        return any(start <= now_ms < end for start, end in self._dead[node])

    def _delay_ms(self, now_ms: int) -> int:
        delays = (
            event.delay_ms
            for event in self.scenario.event
            if event.event == "delay"
            and self.scenario.span_ms(event)[0] <= now_ms < self.scenario.span_ms(event)[1]
        )
        return max(delays, default=0)


def _split(
    queue: list[tuple[int, str, Message]], now_ms: int
) -> tuple[list[tuple[str, Message]], list[tuple[int, str, Message]]]:
    due = [(node, message) for at_ms, node, message in queue if at_ms <= now_ms]
    return due, [each for each in queue if each[0] > now_ms]
