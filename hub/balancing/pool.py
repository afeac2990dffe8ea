"""The microgrid as one pool: which limits bind, and which loads can give way. Powers in mW."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from hub.balancing.demand import Demand, Switchable, demands
from hub.balancing.policy import Feeder, View

RelayName = tuple[str, str]  # (node, relay)


class Bound(NamedTuple):
    """One limit: what flexible loads of these members may draw together, `room_mw`.

    `capacity_mw` is what the limit leaves for everything, firm demand and all; `members` None:
    everybody's.
    """

    name: str
    members: frozenset[str] | None
    capacity_mw: int
    room_mw: int

    def binds(self, load: Switchable, owner: str) -> bool:
        """Whether a load counts here."""
        return self.members is None or owner in self.members

    def permille_mw(self, permille: int) -> int:
        """Return so many thousandths of the capacity. [mW]"""
        return max(self.capacity_mw, 0) * permille // 1000


@dataclass(frozen=True, slots=True)
class Pool:
    """What all members have and want at one moment. `owners`: relay -> whose load it is."""

    members: tuple[Demand, ...]
    loads: tuple[Switchable, ...]
    owners: dict[RelayName, str]
    bounds: tuple[Bound, ...]

    @property
    def deficit_mw(self) -> int:
        """What members want beyond what they have; below 0: what is left over."""
        return sum(member.wanted_mw - member.supply_mw for member in self.members)

    def within(self, bound: Bound, loads: Iterable[Switchable]) -> list[Switchable]:
        """Return those of the loads that count against a limit."""
        return [load for load in loads if bound.binds(load, self.owners[load.relay.name])]

    def excess_mw(self, bound: Bound, fed: Iterable[Switchable]) -> int:
        """Return by how much these loads exceed a limit; below 0: what is still free. [mW]"""
        return sum(load.power_mw for load in self.within(bound, fed)) - bound.room_mw

    def fits(self, fed: Iterable[Switchable], more: Switchable, margin_permille: int = 0) -> bool:
        """Whether one load more stays within every limit that it counts against."""
        on = [*fed, more]
        return all(
            self.excess_mw(bound, on) + bound.permille_mw(margin_permille) <= 0
            for bound in self.bounds
            if bound.binds(more, self.owners[more.relay.name])
        )


def pool_of(view: View) -> Pool:
    """Return the pool: feeders first, each by itself, then the supply that all share."""
    members = demands(view)
    owned = [(load, member.member) for member in members for load in member.flexible]
    limits = view.limits
    supply_mw = sum(member.supply_mw for member in members)
    capacity_mw = supply_mw + limits.import_mw_max - limits.reserve_mw
    firm_mw = sum(member.firm_mw for member in members)
    return Pool(
        members=members,
        loads=tuple(sorted((load for load, _ in owned), key=lambda load: load.relay.name)),
        owners={load.relay.name: owner for load, owner in owned},
        bounds=(
            *(_feeder_bound(feeder, members) for feeder in limits.feeders),
            Bound("supply", None, capacity_mw, capacity_mw - firm_mw),
        ),
    )


def _feeder_bound(feeder: Feeder, members: tuple[Demand, ...]) -> Bound:
    on_it = [member for member in members if member.member in feeder.members]
    capacity_mw = feeder.power_mw_max + sum(member.supply_mw for member in on_it)
    firm_mw = sum(member.firm_mw for member in on_it)
    return Bound(
        f"feeder {feeder.name}", frozenset(feeder.members), capacity_mw, capacity_mw - firm_mw
    )
