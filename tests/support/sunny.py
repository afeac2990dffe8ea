"""A bench with generators that can be limited or cut off, as it is a moment after it obeyed. [W]"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from hub.balancing.policy import MeterPower, RelayState, Verdict, View
from tests.support.bench import meter, obeyed, relay

NONE: Mapping[str, int] = MappingProxyType({})


def limit(member: str, rated_w: int, **changes: object) -> RelayState:
    """A set-point of that member's roof, where none stands."""
    return relay(
        f"{member}-limit",
        member,
        f"{member}-pv",
        setpoint="limit",
        rated_mw=rated_w * 1000,
        **changes,
    )


def battery(member: str, rated_w: int, **changes: object) -> RelayState:
    """A set-point of that member's battery, where none stands."""
    fields = {"setpoint": "battery", "rated_mw": rated_w * 1000, **changes}
    return relay(f"{member}-battery", member, f"{member}-store", **fields)


def stored(shown: View, member: str, gives_w: int, told: RelayState) -> View:
    """The view with a battery of a member's, and what it gives now."""
    store = meter(f"{member}-store", member, "storage", -gives_w, rated_w=told.rated_mw // 1000)
    meters = sorted([*shown.meters, store], key=lambda each: each.meter_id)
    return with_relays(replace(shown, meters=tuple(meters)), told)


def roof(member: str, rated_w: int, **changes: object) -> RelayState:
    """A relay in the line of that member's roof."""
    return relay(f"{member}-roof", member, f"{member}-pv", rated_mw=rated_w * 1000, **changes)


def with_relays(shown: View, *relays: RelayState) -> View:
    """The view with these relays, too."""
    every = sorted([*shown.relays, *relays], key=lambda each: each.name)
    return replace(shown, relays=tuple(every))


def later(
    shown: View,
    verdict: Verdict,
    sun_mw: Mapping[str, int],
    passed_ms: int = 10_000,
    *,
    batteries: Mapping[str, int] = NONE,
) -> View:
    """The same bench when everything obeyed, and the sun shines as said on each generator.

    `batteries`: what each, by its set-point's name, can give. [mW]
    """
    orders = {(each.node, each.relay): each for each in verdict.orders}
    sources = [each for each in shown.relays if each.load in sun_mw or each.relay in batteries]
    loads = replace(shown, relays=tuple(each for each in shown.relays if each not in sources))
    loads = obeyed(loads, verdict, passed_ms)
    now = []
    for each in sources:
        told = orders[each.name]
        same = (each.is_cut, each.setpoint_mw) == (told.cut, told.setpoint_mw)
        since_ms = passed_ms + (each.since_ms or 0) if same else passed_ms
        now.append(replace(each, is_cut=told.cut, setpoint_mw=told.setpoint_mw, since_ms=since_ms))
    meters = tuple(_lit(each, now, sun_mw) for each in loads.meters)
    meters = tuple(_given(each, now, batteries) for each in meters)
    return with_relays(replace(loads, meters=meters), *now)


def _lit(meter: MeterPower, sources: list[RelayState], sun_mw: Mapping[str, int]) -> MeterPower:
    if meter.meter_id not in sun_mw:
        return meter
    given_mw = sun_mw[meter.meter_id]
    for each in sources:
        if each.load == meter.meter_id and each.is_cut:
            given_mw = 0 if each.setpoint_mw is None else min(given_mw, each.setpoint_mw)
    return replace(meter, power_mw=-given_mw)


def _given(
    meter: MeterPower, sources: list[RelayState], batteries: Mapping[str, int]
) -> MeterPower:
    """A battery that is told nothing does nothing."""
    for each in sources:
        if each.load == meter.meter_id and each.relay in batteries:
            given_mw = min(-(each.setpoint_mw or 0), batteries[each.relay])
            return replace(meter, power_mw=-given_mw)
    return meter


def outflow_mw(shown: View) -> int:
    """What leaves through the grid tie, by the meters."""
    return -sum(
        meter.power_mw or 0
        for meter in shown.meters
        if not meter.parent and meter.purpose in ("generation", "consumption", "storage", "net")
    )
