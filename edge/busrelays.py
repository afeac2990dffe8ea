"""The relays of one bus, held by the bus's own thread between its sweeps of the meters.

The agent tells it what it would tell the guard, and gets answers in the same frames. A board is
asked for all its relays at once; one that is silent is left alone for a while, all its relays
together, and is tried again where that costs the meters no instant. Nothing here is fail-safe: a
node that dies leaves its boards as they are, and no time is promised. A set-point ends by its
device's own timer then.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from edge.inbound import FromBus, Put
from edge.relays import AGENT_SILENT_MS, Relays
from hardware.errors import DeviceAbsent, DeviceRefused, HardwareError, SwitchFailed
from hardware.ports import BoardedRelay, Setpoint

LOOK_EVERY_MS: Final = 1_000
BACKOFF_S: Final = 1.0
BACKOFF_MAX_S: Final = 5.0
Result = TypeVar("Result")

log = logging.getLogger("edge.busrelays")


@dataclass(slots=True)
class Patience:
    """How long to leave alone what failed: longer each time, up to 5 s."""

    clock_s: Callable[[], float]
    error: HardwareError = field(default_factory=lambda: DeviceAbsent("not asked yet"))
    failures: int = 0
    not_before_s: float = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether it failed lately."""
        return self.clock_s() < self.not_before_s

    @property
    def is_overdue(self) -> bool:
        """Whether it could have been tried again long since."""
        return self.clock_s() - self.not_before_s > BACKOFF_MAX_S

    def fail(self, error: HardwareError) -> None:
        """Note a failure."""
        pause_s = min(BACKOFF_S * 2 ** min(self.failures, 10), BACKOFF_MAX_S)
        self.error, self.failures = error, self.failures + 1
        self.not_before_s = self.clock_s() + pause_s

    def end(self) -> None:
        """Note that it works."""
        self.failures = 0


@dataclass(slots=True)
class Board:
    """What is read together on one board.

    Attributes:
        patience: with a board that does not answer, all its relays together.
        seen: the states read last; None while they are not known.
        cost_s: how long its last answer, or the wait for none, took. [s]
    """

    patience: Patience
    seen: list[bool] | None = None
    cost_s: float = 0.0

    def ask(self, call: Callable[[], Result]) -> Result:
        """Make a request, unless the board failed lately.

        Raises:
            SwitchFailed, DeviceRefused: it answers, and that is wrong.
            HardwareError: it does not answer, or still does not for all we know.
        """
        if self.patience.is_waiting:
            raise self.patience.error
        begun_s = self.patience.clock_s()
        try:
            result = call()
        except (SwitchFailed, DeviceRefused):
            raise
        except HardwareError as error:
            self.patience.fail(error)
            self.seen = None
            raise
        finally:
            self.cost_s = self.patience.clock_s() - begun_s
        self.patience.end()
        return result


@dataclass(slots=True)
class BoardCoil:
    """One relay of a board, as it was read last: what `edge.relays` drives and reads back.

    One that does not follow is left alone for a while, too, without its neighbours.
    """

    relay: BoardedRelay
    board: Board
    patience: Patience

    @property
    def is_energised(self) -> bool:
        """The state that was read last.

        Raises:
            HardwareError: it is not known.
        """
        if self.board.seen is None:
            raise self.board.patience.error
        return self.board.seen[self.relay.place]

    def switch(self, energised: bool) -> None:
        """Write a state; the driver reads it back.

        Raises:
            HardwareError: it did not follow, or nobody knows.
        """
        self._write(lambda: self.relay.switch(energised), energised)

    def hold(self, power_mw: int, for_ms: int) -> None:
        """Tell a set-point what to keep to; the driver reads it back.

        Raises:
            SwitchFailed: it is no set-point, or did not take it.
            HardwareError: nobody knows.
        """
        relay = self.relay
        if not isinstance(relay, Setpoint):
            raise SwitchFailed("it is a relay and takes no set-point")
        self._write(lambda: relay.hold(power_mw, for_ms), energised=True)

    def _write(self, call: Callable[[], object], energised: bool) -> None:
        if self.patience.is_waiting:
            raise self.patience.error
        try:
            self.board.ask(call)
        except (SwitchFailed, DeviceRefused) as error:
            self.patience.fail(error)
            raise
        self.patience.end()
        if self.board.seen is not None:
            self.board.seen[self.relay.place] = energised

    def look(self) -> None:
        """Read the whole board; a failure is kept with it."""
        try:
            self.board.seen = list(self.board.ask(self.relay.read_group))
        except HardwareError:
            self.board.seen = None

    def close(self) -> None:
        """Nothing to let go of: the bus is shared."""


def coils_of(
    relays: Mapping[str, BoardedRelay], clock_s: Callable[[], float] = time.monotonic
) -> dict[str, BoardCoil]:
    """Return the coils of a bus, those that are read together on one board."""
    boards: dict[tuple[int, int], Board] = {}
    coils = {}
    for name, relay in relays.items():
        board = boards.setdefault(relay.group, Board(Patience(clock_s)))
        coils[name] = BoardCoil(relay, board, Patience(clock_s))
    return coils


class BusRelays:
    """Every relay of one bus. `tell` is for any thread, all else for the bus's own."""

    def __init__(
        self,
        bus: str,
        relays: Relays,
        coils: Iterable[BoardCoil],
        put: Put,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know the relays; no wire is touched.

        Args:
            bus: its name.
            relays: what decides and drives, over these coils.
            coils: every relay of the bus.
            put: takes a `FromBus` for each frame.
            clock_s: monotonic. [s]
        """
        self._bus = bus
        self._relays = relays
        self._boards = {id(coil.board): coil for coil in coils}
        self._put = put
        self._clock_s = clock_s
        self._frames: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._leases: deque[Mapping[str, Any]] = deque(maxlen=64)
        self._heard_ms = relays.clock_ms()
        self._looked_ms = 0

    def tell(self, frame: Mapping[str, Any]) -> None:
        """Take a frame in when the thread has time for it."""
        self._frames.put(frame)

    def turn(self, until_s: float, *, comes_first: bool = False) -> None:
        """Do what is due.

        Args:
            until_s: when the meters are asked again: what may take longer waits until then. [s]
            comes_first: whether the meters just had their turn, so that now it is the relays'.
        """
        self._sort()
        if comes_first or self._has_time(until_s):
            self._relays.end_leases()
            if self._relays.clock_ms() - self._heard_ms >= AGENT_SILENT_MS:
                self._relays.all_safe("the agent is silent")
            if self._leases:
                self._relays.take(self._leases.popleft())
            self._look(until_s)
        while self._leases and self._has_time(until_s):
            self._relays.take(self._leases.popleft())
        self._report()

    def left_s(self, until_s: float) -> float:
        """Return how long nothing is due. [s]"""
        if self._leases:
            return max(until_s - self._clock_s(), 0.0) + 0.01
        now_ms = self._relays.clock_ms()
        dues_ms = (self._relays.left_ms(), self._looked_ms + LOOK_EVERY_MS - now_ms)
        return max(min(dues_ms), 10) / 1000

    def end(self) -> None:
        """Release every relay, and say so."""
        self._relays.all_safe("the agent ends")
        self._report()

    def _sort(self) -> None:
        """Take in what needs no wire, and keep leases in their order."""
        while not self._frames.empty():
            frame = self._frames.get()
            self._heard_ms = self._relays.clock_ms()
            if "nonce" in frame:
                self._relays.know(frame["nonce"], frame["boottime_ms"])
            elif "lease" in frame:
                self._leases.append(frame)
            else:
                self._relays.take(frame)

    def _has_time(self, until_s: float) -> bool:
        """Whether a request fits in before the meters are asked, or nobody asks them."""
        boards = [coil.board for coil in self._boards.values()]
        return all(board.patience.is_waiting or self._fits(board, until_s) for board in boards)

    def _fits(self, board: Board, until_s: float) -> bool:
        now_s = self._clock_s()
        return now_s > until_s or now_s + board.cost_s <= until_s

    def _look(self, until_s: float) -> None:
        """Read every board once a second, and release what should be and is not."""
        now_ms = self._relays.clock_ms()
        if now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        is_whole = True
        for coil in self._boards.values():
            board, patience = coil.board, coil.board.patience
            if patience.failures and not (self._fits(board, until_s) or patience.is_overdue):
                is_whole = False  # tried again where its silence costs the meters nothing
            else:
                coil.look()
        if is_whole:
            self._relays.look_after()
        self._relays.unsent.append(self._relays.state())

    def _report(self) -> None:
        while self._relays.unsent:
            self._put(FromBus(self._bus, self._relays.unsent.popleft()))
