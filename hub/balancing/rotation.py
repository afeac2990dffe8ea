"""Fair turns: who has been fed longest gives way, and nobody is without for longer than a bound.

A load that has been cut for `outage_max_s` (default 900) less `ahead_s` (default 5) is fed again
and others give way for it, those first that were fed longest.

Guarantees, beyond `hub.balancing.shedding`: no load is out for longer than `outage_max_s`, as long
as others can give way in its place; where they cannot, the verdict says so. Not: least power off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar, Final

from hub.balancing.demand import Switchable
from hub.balancing.errors import BadParameter
from hub.balancing.limits import Parameters, number
from hub.balancing.policy import Verdict, View
from hub.balancing.pool import RelayName
from hub.balancing.shedding import DEFAULTS, balance, check_parameters

TURNS: Final[Mapping[str, int]] = {**DEFAULTS, "outage_max_s": 900, "ahead_s": 5}
_FOREVER_MS: Final = 1 << 62


class Rotation:
    """Fair turns with a bounded outage."""

    name: ClassVar[str] = "rotation"

    def check(self, parameters: Parameters) -> None:
        """Raise BadParameter unless the parameters can be used."""
        check_parameters(self.name, parameters, TURNS)
        outage_s = number(parameters, "outage_max_s", TURNS["outage_max_s"])
        if outage_s <= number(parameters, "ahead_s", TURNS["ahead_s"]):
            raise BadParameter("rotation: outage_max_s is more than ahead_s, or all turns are over")

    def decide(self, view: View) -> Verdict:
        """Cut who was fed longest, restore who was without longest."""
        outage_s = number(view.parameters, "outage_max_s", TURNS["outage_max_s"])
        ahead_s = number(view.parameters, "ahead_s", TURNS["ahead_s"])
        return balance(view, _Turns((outage_s - ahead_s) * 1000))


@dataclass(frozen=True, slots=True)
class _Turns:
    """The rule for one length of turns. [ms]"""

    turn_ms: int
    name: ClassVar[str] = Rotation.name
    words: ClassVar[str] = "who was fed longest gives way, each for a bounded time"

    def shed(self, loads: Sequence[Switchable], need_mw: int) -> Set[RelayName]:
        """Those that were fed longest, until it is enough."""
        gone: set[RelayName] = set()
        for load in self.rank(loads, frozenset()):
            if need_mw <= 0:
                break
            if load.power_mw > 0:
                gone.add(load.relay.name)
                need_mw -= load.power_mw
        return gone

    def rank(self, loads: Sequence[Switchable], cut: Set[RelayName]) -> list[Switchable]:
        """Fed longest first; then those that are out, the longest last."""
        return sorted(loads, key=_turn)

    def is_due(self, load: Switchable) -> bool:
        """Whether its time without is over, or nobody can tell how long it lasts."""
        since_ms = load.relay.since_ms
        return load.is_cut and (since_ms is None or since_ms >= self.turn_ms)


def _turn(load: Switchable) -> tuple[bool, int, RelayName]:
    since_ms = _FOREVER_MS if load.relay.since_ms is None else load.relay.since_ms
    return (load.is_cut, since_ms if load.is_cut else -since_ms, load.relay.name)
