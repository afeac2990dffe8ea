"""The test itself: release, energise, release, and measure in each position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from edge.relaytest.errors import NotReleased, RelayTestEnded
from edge.relaytest.verdict import Level, Levels, Verdict, Wiring, disobedient, judge
from hardware.errors import HardwareError, SwitchFailed, TransientHardwareError
from hardware.ports import Relay, Sample

SAMPLES: Final = 3
BETWEEN_SAMPLES_S: Final = 0.5
FAILURES_MAX: Final = 5
RELEASES_MAX: Final = 3

Read = Callable[[], Sample]


class Person(Protocol):
    """Who stands in front of the relay."""

    def agree(self, question: str) -> None:
        """Ask whether to go on.

        Raises:
            RelayTestEnded: not.
        """

    def tell(self, text: str) -> None:
        """Say what is done."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each position is kept before it is measured. [s]"""

    released_s: float
    energised_s: float


@dataclass(frozen=True, slots=True)
class Position:
    """How the relay was, and what was measured then."""

    energised: bool
    read_back: bool
    levels: Levels


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and what it rests on."""

    verdict: Verdict
    positions: tuple[Position, ...]


class Trial:
    """One test of one relay."""

    def __init__(
        self,
        wiring: Wiring,
        meters: Mapping[str, Read],
        pace: Pace,
        person: Person,
        pause: Callable[[float], None],
    ) -> None:
        """Know everything; nothing is touched.

        Args:
            wiring: what the relay is to do.
            meters: how to read every meter of the node, in the meter's own sign. Those that are
                not the load's only help to tell what is wrong; if one does not answer, it does not.
            pace: when to measure.
            person: is asked before each switch.
            pause: waits; may raise to end the test. [s]
        """
        self._wiring = wiring
        self._meters = dict(meters)
        self._pace = pace
        self._person = person
        self._pause = pause

    def run(self, make: Callable[[], Relay]) -> Outcome:
        """Ask, switch, measure, judge; the relay is released when this ends, however it ends.

        Raises:
            RelayTestEnded: a person or a signal ended it, or the load's meter does not answer.
            NotReleased: it could not be released.
            HardwareError: the relay cannot be reached.
        """
        self._ask("Release", energised=False)
        relay = make()
        try:
            return self._tried(relay)
        finally:
            release(relay, self._wiring.relay)

    def _tried(self, relay: Relay) -> Outcome:
        positions = [self._stand(relay, energised=False)]
        for energised, verb in ((True, "Energise"), (False, "Release")):
            self._ask(verb, energised=energised)
            try:
                position = self._stand(relay, energised=energised)
            except SwitchFailed as error:
                return Outcome(disobedient(str(error)), tuple(positions))
            positions.append(position)
            if position.read_back != energised:
                found = "energised" if position.read_back else "released"
                verdict = disobedient(f"it reads {found} again after a while")
                return Outcome(verdict, tuple(positions))
        first, second, third = (each.levels for each in positions)
        return Outcome(judge(self._wiring, first, second, third), tuple(positions))

    def _ask(self, verb: str, *, energised: bool) -> None:
        load = self._wiring.load_is(energised=energised)
        self._person.agree(f"{verb} {self._wiring.relay}? Its load is to be {load} then.")

    def _stand(self, relay: Relay, *, energised: bool) -> Position:
        """Take a position and measure in it."""
        relay.switch(energised)
        wait_s = self._pace.energised_s if energised else self._pace.released_s
        word = "energised" if energised else "released"
        self._person.tell(f"{self._wiring.relay} is {word}; measuring after {wait_s:g} s")
        self._pause(wait_s)
        levels = self._measured()
        return Position(energised, relay.is_energised, levels)

    def _measured(self) -> dict[str, Level]:
        levels = {}
        load = self._wiring.load
        if load:
            try:
                levels[load] = self._level(self._meters[load])
            except HardwareError as error:
                text = f"the meter {load} of its load does not answer, so nothing can be said: "
                raise RelayTestEnded(f"{text}{error}") from error
        for name in [each for each in self._meters if each != load]:
            try:
                levels[name] = Level(_power(self._meters[name]()))
            except HardwareError:
                del self._meters[name]  # it would cost its timeout in every position
        return levels

    def _level(self, read: Read) -> Level:
        """Return a few samples as one; what may pass is tried again."""
        powers_mw: list[int] = []
        failures = 0
        while len(powers_mw) < SAMPLES:
            try:
                powers_mw.append(_power(read()))
            except TransientHardwareError:
                failures += 1
                if failures > FAILURES_MAX:
                    raise
            if len(powers_mw) < SAMPLES:
                self._pause(BETWEEN_SAMPLES_S)
        mean_mw = sum(powers_mw) // len(powers_mw)
        return Level(mean_mw, max(powers_mw) - min(powers_mw))


def release(relay: Relay, name: str) -> None:
    """Release a relay and let go of it; try more than once.

    Raises:
        NotReleased: it did not work.
    """
    failure: HardwareError | None = None
    for _ in range(RELEASES_MAX):
        try:
            relay.switch(False)
        except HardwareError as error:
            failure = error
        else:
            failure = None
            break
    try:
        relay.close()
    except HardwareError as error:
        failure = failure or error
    if failure is not None:
        raise NotReleased(
            f"RELAY {name} MAY STILL BE ENERGISED: {failure}. Cut the supply of its coil"
        ) from failure


def _power(sample: Sample) -> int:
    if sample.power_mw is None:
        raise TransientHardwareError(f"it says no power ({sample.quality or 'no reason given'})")
    return sample.power_mw
