"""Plan every day of a comparison ahead, as members of `day_ahead` would.

Each midnight everybody says what he expects of the day, by one of the forecasts, without his
battery; ADMM plans all batteries together (`hub.scheduling`). They then do as planned, whatever the
day brings: what differs from the plan is load and sun. A battery begins empty, and each day as the
one before left it; it may end empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hub.scheduling.homes import Home
from hub.scheduling.rounds import Day, Schedule, schedule
from messages.scheduling import Plan
from testbed.compare.battery import Stored
from testbed.compare.community import Community
from testbed.compare.forecasting import PERFECT
from testbed.compare.tariff import Prices
from testbed.homes import MS_PER_DAY

ROUNDS_MAX = 120


def planned(homes: Community, prices: Prices, forecast: str) -> Community:
    """Return the homes with batteries that do as their plans say, and the plans."""
    flows = {each.member.home: Stored([], [], []) for each in homes.households}
    plans: dict[int, Schedule] = {}
    midnight = -homes.at_ms(0) % MS_PER_DAY // homes.slot_ms
    _follow(homes, None, midnight, flows)
    for slot in range(midnight, homes.slots, homes.slots_a_day):
        left = homes.slots - slot
        found = _planned_day(homes, prices, forecast, slot, flows)
        if found is not None:
            plans[slot] = found
        _follow(homes, plans.get(slot), min(left, homes.slots_a_day), flows)
    households = tuple(replace(each, stored=flows[each.member.home]) for each in homes.households)
    return replace(homes, households=households, plans=plans)


def _planned_day(
    homes: Community, prices: Prices, forecast: str, slot: int, flows: Mapping[str, Stored]
) -> Schedule | None:
    """Return a day's schedule; None where nobody expects one, or it is cut short."""
    first = slot if forecast == PERFECT else slot - homes.slots_a_day
    if first < 0 or slot + homes.slots_a_day > homes.slots:
        return None
    places = range(first, first + homes.slots_a_day)
    tariffs = [prices.at(homes.at_ms(slot + n)) for n in range(homes.slots_a_day)]
    rows = []
    for each in homes.households:
        level = flows[each.member.home].level_uwh
        rows.append(
            Home(
                each.member.home,
                each.member.devices,
                tuple(each.consumption_uwh[n] - each.generation_uwh[n] for n in places),
                (0,) * homes.slots_a_day,
                level[-1] if level else 0,
            )
        )
    day = Day(
        homes.at_ms(slot),
        homes.slot_ms,
        tuple(each.price_utok_per_kwh for each in tariffs),
        tuple(each.feed_in_utok_per_kwh for each in tariffs),
    )
    return schedule(rows, day, rounds_max=ROUNDS_MAX)


def _follow(
    homes: Community, found: Schedule | None, count: int, flows: Mapping[str, Stored]
) -> None:
    """Let every battery do a day's plan, or nothing in so many slots where there is none."""
    for each in homes.households:
        stored, battery = flows[each.member.home], each.member.devices.battery
        level = stored.level_uwh[-1] if stored.level_uwh else 0
        for into, out in _flows(found, each.member.home, count):
            if battery is not None:
                level = battery.level_after(level, into, out)
            stored.charged_uwh.append(into)
            stored.discharged_uwh.append(out)
            stored.level_uwh.append(level)


def _flows(found: Schedule | None, member: str, count: int) -> Iterator[tuple[int, int]]:
    if found is None:
        yield from [(0, 0)] * count
        return
    plan: Plan = found.plans[member]
    yield from zip(plan.charged_uwh, plan.discharged_uwh, strict=True)
