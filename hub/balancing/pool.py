"""The microgrid as one pool: which limits bind, and which loads can give way. Powers in mW.

What the boundary meter brings in beyond what members' meters show is drawn by somebody: a wire, a
meter that shows too little, or one that is silent. It counts as firm, in place of what silent
meters were assumed to draw, so that no lie of a member's meter exceeds the limit of the tie. While
it is more than wires lose, loads come back by what they are rated for, not by what was shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hub.balancing.demand import Demand, Switchable, demands, switched_mw
from hub.balancing.policy import Feeder, View

RelayName = tuple[str, str]  # (node, relay)
WIRES_PERMILLE: Final = 20
"""What wires may lose, of what there is; whatever no meter shows beyond that, some meter hides."""


class Bound(NamedTuple):
    """One limit: what flexible loads of these members may draw together, `room_mw`.

    `capacity_mw` is what the limit leaves for everything, firm demand and all; `members` None:
    everybody's.
    """

    name: str
    members: frozenset[str] | None
    capacity_mw: int
    room_mw: int

    def permille_mw(self, permille: int) -> int:
        """Return so many thousandths of the capacity. [mW]"""
        return max(self.capacity_mw, 0) * permille // 1000


@dataclass(frozen=True, slots=True)
class Pool:
    """What all members have and want at one moment. `counts`: relay -> the bounds it counts in."""

    members: tuple[Demand, ...]
    loads: tuple[Switchable, ...]
    bounds: tuple[Bound, ...]
    counts: dict[RelayName, tuple[int, ...]]

    @property
    def deficit_mw(self) -> int:
        """What members want beyond what they have; below 0: what is left over."""
        return sum(member.wanted_mw - member.supply_mw for member in self.members)

    def within(self, place: int, loads: Iterable[Switchable]) -> list[Switchable]:
        """Return those of the loads that count against the limit at that place."""
        return [load for load in loads if place in self.counts[load.relay.name]]


class Feeding:
    """What is fed, while a plan is made, and by how much it exceeds each limit."""

    def __init__(self, pool: Pool, loads: Iterable[Switchable]) -> None:
        self._pool = pool
        self._excess_mw = [-bound.room_mw for bound in pool.bounds]
        self.fed: dict[RelayName, Switchable] = {}
        for load in loads:
            self.feed(load)

    def feed(self, load: Switchable) -> None:
        """Count one load more."""
        self.fed[load.relay.name] = load
        for place in self._pool.counts[load.relay.name]:
            self._excess_mw[place] += load.power_mw

    def cut(self, name: RelayName) -> None:
        """Count one load less."""
        load = self.fed.pop(name)
        for place in self._pool.counts[name]:
            self._excess_mw[place] -= load.power_mw

    def excess_mw(self, place: int) -> int:
        """Return by how much a limit is exceeded; below 0: what is still free. [mW]"""
        return self._excess_mw[place]

    def fits(self, load: Switchable, margin_permille: int = 0) -> bool:
        """Whether one load more stays within every limit that it counts against."""
        bounds = self._pool.bounds
        return all(
            self._excess_mw[n] + load.power_mw + bounds[n].permille_mw(margin_permille) <= 0
            for n in self._pool.counts[load.relay.name]
        )


def pool_of(view: View) -> Pool:
    """Return the pool: feeders first, each by itself, then the supply that all share."""
    members = demands(view)
    owned = [(load, member.member) for member in members for load in member.flexible]
    limits = view.limits
    supply_mw = sum(member.supply_mw for member in members)
    capacity_mw = supply_mw + limits.import_mw_max - limits.reserve_mw
    firm_mw = sum(member.firm_mw for member in members)
    unshown_mw = unshown(view)
    if unshown_mw is not None:
        firm_mw += unshown_mw - sum(member.assumed_mw for member in members)
        if unshown_mw * 1000 > capacity_mw * WIRES_PERMILLE:
            owned = [(_as_rated(load), member) for load, member in owned]
    bounds = (
        *(_feeder_bound(feeder, members) for feeder in limits.feeders),
        Bound("supply", None, capacity_mw, capacity_mw - firm_mw),
    )
    numbers = {
        member.member: tuple(
            number
            for number, bound in enumerate(bounds)
            if bound.members is None or member.member in bound.members
        )
        for member in members
    }
    return Pool(
        members=members,
        loads=tuple(sorted((load for load, _ in owned), key=lambda load: load.relay.name)),
        bounds=bounds,
        counts={load.relay.name: numbers[owner] for load, owner in owned},
    )


def _as_rated(load: Switchable) -> Switchable:
    """Return a load that is cut as what it may draw, whatever its meter once showed."""
    return load._replace(power_mw=max(load.power_mw, load.relay.rated_mw)) if load.is_cut else load


def unshown(view: View) -> int | None:
    """Return what the boundary brings in beyond what members' meters show; None: nobody can say.

    A silent generator counts as nothing, so what it feeds in is never given to others.
    """
    stale_ms = view.limits.stale_after_ms
    boundary = [meter for meter in view.meters if meter.purpose == "boundary"]
    if not boundary or any(meter.is_stale(stale_ms) for meter in boundary):
        return None
    switched = switched_mw(view)
    shown_mw = sum(
        switched.get(meter.meter_id, 0) if meter.is_stale(stale_ms) else meter.power_mw or 0
        for meter in view.meters
        if not meter.parent and meter.purpose not in ("appliance", "boundary")
    )
    return max(sum(meter.power_mw or 0 for meter in boundary) - shown_mw, 0)


def _feeder_bound(feeder: Feeder, members: tuple[Demand, ...]) -> Bound:
    on_it = [member for member in members if member.member in feeder.members]
    capacity_mw = feeder.power_mw_max + sum(member.supply_mw for member in on_it)
    firm_mw = sum(member.firm_mw for member in on_it)
    return Bound(
        f"feeder {feeder.name}", frozenset(feeder.members), capacity_mw, capacity_mw - firm_mw
    )
