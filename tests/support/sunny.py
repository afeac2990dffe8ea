"""A bench with generators that can be limited or cut off, as it is a moment after it obeyed. [W]"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hub.balancing.policy import MeterPower, RelayState, Verdict, View
from tests.support.bench import obeyed, relay


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


def roof(member: str, rated_w: int, **changes: object) -> RelayState:
    """A relay in the line of that member's roof."""
    return relay(f"{member}-roof", member, f"{member}-pv", rated_mw=rated_w * 1000, **changes)


def with_relays(shown: View, *relays: RelayState) -> View:
    """The view with these relays, too."""
    every = sorted([*shown.relays, *relays], key=lambda each: each.name)
    return replace(shown, relays=tuple(every))


def later(
    shown: View, verdict: Verdict, sun_mw: Mapping[str, int], passed_ms: int = 10_000
) -> View:
    """The same bench when everything obeyed, and the sun shines as said on each generator."""
    orders = {(each.node, each.relay): each for each in verdict.orders}
    sources = [each for each in shown.relays if each.load in sun_mw]
    loads = replace(shown, relays=tuple(each for each in shown.relays if each not in sources))
    loads = obeyed(loads, verdict, passed_ms)
    now = []
    for each in sources:
        told = orders[each.name]
        same = (each.is_cut, each.setpoint_mw) == (told.cut, told.setpoint_mw)
        since_ms = passed_ms + (each.since_ms or 0) if same else passed_ms
        now.append(replace(each, is_cut=told.cut, setpoint_mw=told.setpoint_mw, since_ms=since_ms))
    meters = tuple(_lit(meter, now, sun_mw) for meter in loads.meters)
    return with_relays(replace(loads, meters=meters), *now)


def _lit(meter: MeterPower, sources: list[RelayState], sun_mw: Mapping[str, int]) -> MeterPower:
    if meter.meter_id not in sun_mw:
        return meter
    given_mw = sun_mw[meter.meter_id]
    for each in sources:
        if each.load == meter.meter_id and each.is_cut:
            given_mw = 0 if each.setpoint_mw is None else min(given_mw, each.setpoint_mw)
    return replace(meter, power_mw=-given_mw)


def outflow_mw(shown: View) -> int:
    """What leaves through the grid tie, by the meters."""
    return -sum(
        meter.power_mw or 0
        for meter in shown.meters
        if not meter.parent and meter.purpose in ("generation", "consumption", "storage", "net")
    )
