"""The homes as a market sees them: members, their slots, where they stand and what they bid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import TYPE_CHECKING

from hub.market.contract import ASK, BID, Order, Position, Site, Tariff
from testbed.compare.battery import Battery, Stored, store
from testbed.compare.members import Member
from testbed.homes import MS_PER_DAY, MS_PER_MINUTE, Homes

if TYPE_CHECKING:
    from hub.scheduling.rounds import Schedule

SHARED = "shared storage"
"""Group of a storage for all."""
START_MS = 1_704_067_200_000
"""2024-01-01T00:00Z: files of homes say the time of day and no date, so all begin on this one."""


@dataclass(frozen=True, slots=True)
class Household:
    """One member's slots: measured, and what his battery adds to either side. [uWh]

    `is_shared`: no home, but a storage for all of them: it generates and consumes nothing.
    """

    member: Member
    generation_uwh: Sequence[int]
    consumption_uwh: Sequence[int]
    stored: Stored | None = None
    is_shared: bool = False

    def position(self, slot: int) -> Position:
        """Return what the meters of this home show: its battery is behind them."""
        generated, consumed = self.generation_uwh[slot], self.consumption_uwh[slot]
        if self.stored is not None:
            generated += self.stored.discharged_uwh[slot]
            consumed += self.stored.charged_uwh[slot]
        meter = meter_of(self.member.home)
        return Position(self.member.home, meter, meter, generated, consumed)


@dataclass(frozen=True, slots=True)
class Community:
    """All households over the same slots. `plans`: of days planned ahead, by their first slot."""

    households: tuple[Household, ...]
    slots: int
    slot_ms: int
    start_ms: int
    sites: Mapping[str, Site] = field(default_factory=dict)
    plans: Mapping[int, Schedule] = field(default_factory=dict)

    members: Mapping[str, Member] = field(init=False)
    places: Mapping[str, int] = field(init=False)
    shared: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find members and their places by name once: every match asks for them."""
        found = {each.member.home: each.member for each in self.households}
        object.__setattr__(self, "members", found)
        places = {name: place for place, name in enumerate(found)}
        object.__setattr__(self, "places", places)
        shared = tuple(each.member.home for each in self.households if each.is_shared)
        object.__setattr__(self, "shared", shared)

    @property
    def homes(self) -> tuple[Household, ...]:
        """Return the households that are homes."""
        return tuple(each for each in self.households if not each.is_shared)

    @property
    def slots_a_day(self) -> int:
        """Return how many slots make a day."""
        return MS_PER_DAY // self.slot_ms

    def at_ms(self, slot: int) -> int:
        """Return when a slot begins. [ms UTC]"""
        return self.start_ms + slot * self.slot_ms

    def positions(self, slot: int) -> tuple[Position, ...]:
        """Return each member's slot, in member order."""
        return tuple(household.position(slot) for household in self.households)

    def distance_m(self, one: str, other: str) -> int | None:
        """Return how far two members' meters are apart, rounded down; None if nobody knows. [m]"""
        a, b = self.sites[meter_of(one)], self.sites[meter_of(other)]
        if a.x_m is None or a.y_m is None or b.x_m is None or b.y_m is None:
            return None
        return isqrt((a.x_m - b.x_m) ** 2 + (a.y_m - b.y_m) ** 2)


def meter_of(home: str) -> str:
    """Return the id of a home's one settled meter."""
    return f"{home}-net"


def community(homes: Homes, members: Sequence[Member]) -> Community:
    """Return the homes as members: PV dropped where a member has none, batteries run."""
    by_name = {member.home: member for member in members}
    households = []
    for home in sorted(homes.homes, key=lambda home: home.name):
        member = by_name[home.name]
        generation = home.generation_uwh if member.has_pv else [0] * homes.slots
        stored = None
        if member.battery is not None:
            stored = store(member.battery, generation, home.consumption_uwh, homes.slot_ms)
        households.append(Household(member, generation, home.consumption_uwh, stored))
    sites = {
        meter_of(each.home): Site(each.fuel, each.area, each.x_m, each.y_m) for each in members
    }
    start_ms = START_MS + homes.start_minute * MS_PER_MINUTE
    return Community(tuple(households), homes.slots, homes.slot_ms, start_ms, sites)


def with_storage(rows: Community, name: str, battery: Battery) -> Community:
    """Return the homes with a storage for all: their surplus in, their deficits out."""
    positions = [rows.positions(slot) for slot in range(rows.slots)]
    over = [sum(each.surplus_uwh for each in slot) for slot in positions]
    lacked = [sum(each.deficit_uwh for each in slot) for slot in positions]
    nothing = [0] * rows.slots
    member = Member(name, group=SHARED, has_pv=False, battery=battery)
    stored = store(battery, over, lacked, rows.slot_ms)
    shared = Household(member, nothing, nothing, stored, is_shared=True)
    sites = {**rows.sites, meter_of(name): Site()}
    return replace(rows, households=(*rows.households, shared), sites=sites)


def limits(member: Member, tariff: Tariff) -> tuple[int, int]:
    """Return the most a member pays and the least he sells for. [utok per kWh]

    Where the members file says nothing: what the grid takes and gives, since nobody need accept
    anything worse.
    """
    bid, ask = member.bid_utok_per_kwh, member.ask_utok_per_kwh
    return (
        tariff.price_utok_per_kwh if bid is None else bid,
        tariff.feed_in_utok_per_kwh if ask is None else ask,
    )


def standing_orders(
    community: Community, positions: Sequence[Position], tariff: Tariff
) -> tuple[Order, ...]:
    """Return everybody's standing orders: as much as his meter will show, at his limit."""
    return tuple(
        _order(community, position, side, None, tariff)
        for position in positions
        for side in (BID, ASK)
    )


def firm_orders(
    community: Community, expected: Sequence[Position], tariff: Tariff
) -> tuple[Order, ...]:
    """Return orders for one slot: as much as each expects to lack or to have over."""
    return tuple(
        _order(community, position, side, energy, tariff)
        for position in expected
        for side, energy in ((BID, position.deficit_uwh), (ASK, position.surplus_uwh))
        if energy
    )


def _order(
    community: Community, position: Position, side: str, energy_uwh: int | None, tariff: Tariff
) -> Order:
    bid, ask = limits(community.members[position.member], tariff)
    meter = position.import_meter if side == BID else position.export_meter
    return Order(
        member=position.member,
        side=side,
        energy_uwh=energy_uwh,
        price_utok_per_kwh=bid if side == BID else ask,
        sequence=community.places[position.member],
        meter=meter,
        area=community.sites[meter].area,
        order_id=f"{position.member}-{side}",
    )
