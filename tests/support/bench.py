"""Views of a bench for tests of dispatch policies: members, their powers, their relays. [W]"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hub.balancing.demand import demands
from hub.balancing.limits import limits_of
from hub.balancing.policy import MeterPower, RelayState, Verdict, View

FRESH_MS = 200


def meter(
    meter_id: str,
    member: str,
    purpose: str,
    power_w: float | None,
    parent: str = "",
    *,
    rated_w: int = 100,
    age_ms: int | None = FRESH_MS,
) -> MeterPower:
    """A meter as it was last seen."""
    power_mw = None if power_w is None else round(power_w * 1000)
    return MeterPower(meter_id, member, purpose, parent, rated_w * 1000, power_mw, age_ms)


def relay(name: str, member: str, load: str = "", **changes: Any) -> RelayState:
    """A relay that feeds its load, wired so that de-energised is fed."""
    fields: dict[str, Any] = {
        "deenergised": "fed",
        "rated_mw": 100_000,
        "is_critical": False,
        "is_cut": False,
        "since_ms": None,
        "held_power_mw": None,
    }
    return RelayState("pi", name, member, load, **(fields | changes))


def house(
    member: str, supply_w: float, loads_w: dict[str, float], base_w: float = 0
) -> tuple[tuple[MeterPower, ...], tuple[RelayState, ...]]:
    """A member with a roof, a consumption meter, and a relay with a meter for each load.

    A load of negative power is cut now and drew that much before.
    """
    total_w = base_w + sum(max(power, 0) for power in loads_w.values())
    pv, whole = f"{member}-pv", f"{member}-load"
    meters = [
        meter(pv, member, "generation", -supply_w),
        meter(whole, member, "consumption", total_w),
    ]
    relays = []
    for name, power_w in loads_w.items():
        meters.append(meter(f"{name}-m", member, "appliance", max(power_w, 0), whole))
        held_mw = round(-power_w * 1000) if power_w < 0 else None
        relays.append(relay(name, member, f"{name}-m", is_cut=power_w < 0, held_power_mw=held_mw))
    return tuple(meters), tuple(relays)


def view(
    *houses: tuple[tuple[MeterPower, ...], tuple[RelayState, ...]],
    import_w: float = 0,
    **parameters: int | str,
) -> View:
    """A view of some houses, with the limits that its parameters set."""
    limits = replace(limits_of(parameters), import_mw_max=round(import_w * 1000))
    return View(
        microgrid="bench",
        at_ms=0,
        meters=tuple(sorted((m for meters, _ in houses for m in meters), key=lambda m: m.meter_id)),
        relays=tuple(sorted((r for _, relays in houses for r in relays), key=lambda r: r.name)),
        limits=limits,
        parameters=parameters,
    )


def kept(verdict: Verdict) -> set[str]:
    """Return the relays whose loads are fed."""
    return {order.relay for order in verdict.orders if not order.cut}


def obeyed(shown: View, verdict: Verdict, passed_ms: int = 0) -> View:
    """The same bench a moment later: contacts moved, meters measure what is left."""
    cut = {(order.node, order.relay): order.cut for order in verdict.orders}
    powers = {load.relay.name: load.power_mw for m in demands(shown) for load in m.loads}
    names = {relay.load: relay.name for relay in shown.relays}
    now = {meter: 0 if cut[name] else powers[name] for meter, name in names.items()}
    was = {m.meter_id: m.power_mw or 0 for m in shown.meters}
    parents = {m.meter_id: m.parent for m in shown.meters}
    change: dict[str, int] = {}
    for meter_id, power_mw in now.items():
        parent = parents[meter_id]
        change[parent] = change.get(parent, 0) + power_mw - was[meter_id]
    meters = tuple(
        replace(m, power_mw=now.get(m.meter_id, was[m.meter_id] + change.get(m.meter_id, 0)))
        for m in shown.meters
    )
    relays = tuple(
        replace(
            r,
            is_cut=cut[r.name],
            held_power_mw=powers[r.name],
            since_ms=_since_ms(r, cut[r.name], passed_ms),
        )
        for r in shown.relays
    )
    return replace(shown, meters=meters, relays=relays)


def _since_ms(relay: RelayState, cut: bool, passed_ms: int) -> int | None:
    if cut != relay.is_cut:
        return passed_ms
    return None if relay.since_ms is None else relay.since_ms + passed_ms
