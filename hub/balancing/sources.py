"""What gives, beside what draws: generators behind relays, and devices that keep a set-point.

Where a load is counted at its rating for danger, a source counts twice, each time at its worst: as
nothing where supply is asked for (`hub.balancing.demand`), as its rating where outflow is. [mW]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from hub.balancing.demand import Switchable
from hub.balancing.orders import order
from hub.balancing.policy import MeterPower, Order, RelayState, View

LIMIT: Final = "limit"
"""A set-point: the most that a generator may give. [mW]"""
BATTERY: Final = "battery"
"""A set-point: what a battery takes, below 0 what it gives. [mW]"""
FOLLOW_MS: Final = 2_000
"""How long a device may take to do what its newest set-point says, before what it shows counts."""
SLACK_PERMILLE: Final = 20
"""By how much of its rating a device may miss its set-point."""


class Source(NamedTuple):
    """A relay or set-point, and the meter that shows what it gives."""

    relay: RelayState
    meter: MeterPower
    is_stale: bool

    @property
    def shown_mw(self) -> int:
        """What its meter shows it to give now; below 0 it draws. 0 where nobody knows."""
        return 0 if self.is_stale else -(self.meter.power_mw or 0)

    @property
    def most_mw(self) -> int:
        """What it gives now, or the most it can where nobody knows."""
        if not self.is_stale:
            return max(self.shown_mw, 0)
        if self.relay.setpoint != LIMIT:
            return 0 if self.relay.is_cut and not self.relay.setpoint else self.meter.rated_mw
        standing_mw = self.relay.setpoint_mw
        return self.relay.rated_mw if standing_mw is None else min(standing_mw, self.relay.rated_mw)

    @property
    def slack_mw(self) -> int:
        """By how much it may miss its set-point."""
        return self.relay.rated_mw * SLACK_PERMILLE // 1000

    @property
    def is_following(self) -> bool:
        """Whether its newest order is so new that what it shows may be from before."""
        return self.relay.since_ms is not None and self.relay.since_ms < FOLLOW_MS

    @property
    def is_bound(self) -> bool:
        """Whether it gives as much as its limit lets it, so that it might give more."""
        standing_mw = self.relay.setpoint_mw
        if self.is_stale or self.is_following:
            return not self.is_stale
        return standing_mw is not None and self.shown_mw + self.slack_mw >= standing_mw

    @property
    def potential_mw(self) -> int:
        """What it might give without a limit."""
        is_held = self.relay.setpoint == LIMIT and self.is_bound
        return max(self.relay.rated_mw, self.most_mw) if is_held else self.most_mw


def sources_of(view: View) -> tuple[Source, ...]:
    """Return every relay that switches a generator and every set-point, in relay order."""
    meters = {meter.meter_id: meter for meter in view.meters}
    stale_ms = view.limits.stale_after_ms
    return tuple(
        Source(relay, meter, meter.is_stale(stale_ms))
        for relay in sorted(view.relays, key=lambda relay: relay.name)
        if (meter := meters.get(relay.load)) is not None
        if relay.setpoint or meter.purpose == "generation"
    )


def unshown_orders(view: View, sources: Iterable[Source]) -> list[Order]:
    """Return the orders for set-points that no meter shows: they are left to themselves."""
    shown = {source.relay.name for source in sources}
    return [
        order(Switchable(relay, 0, False, False, False), False, "no meter shows what it does")
        for relay in view.relays
        if relay.setpoint and relay.name not in shown
    ]


def outflow_mw(view: View, sources: Iterable[Source], orders: Iterable[Order]) -> int:
    """Return what leaves through the grid tie once loads are cut as ordered, at worst.

    Loads that come back do not count yet: they may draw nothing.
    """
    most = {source.meter.meter_id: source.most_mw for source in sources}
    was_cut = {relay.name for relay in view.relays if relay.is_cut}
    flows = (_out_mw(meter, most, view.limits.stale_after_ms) for meter in view.meters)
    gone = (
        each.power_mw or 0 for each in orders if each.cut and (each.node, each.relay) not in was_cut
    )
    return sum(flows) + sum(gone)


def _out_mw(meter: MeterPower, most: dict[str, int], stale_ms: int) -> int:
    if meter.parent or meter.purpose in ("appliance", "boundary"):
        return 0
    if not meter.is_stale(stale_ms):
        return -(meter.power_mw or 0)
    return most.get(meter.meter_id, 0 if meter.purpose == "consumption" else meter.rated_mw)


def giving(view: View, powers_mw: dict[str, int]) -> View:
    """Return the view as if these meters, and what they are parts of, showed so much given.

    So does the boundary, which brings in so much less.
    """
    meters = {meter.meter_id: meter for meter in view.meters}
    shown = {meter.meter_id: meter.power_mw for meter in view.meters}
    boundary = min(
        (each.meter_id for each in view.meters if each.purpose == "boundary"), default=""
    )
    for meter_id, power_mw in sorted(powers_mw.items()):
        more_mw = -power_mw - (shown[meter_id] or 0)
        at, passed = meter_id, set[str]()
        while at in meters and at not in passed:
            passed.add(at)
            shown[at] = (shown[at] or 0) + more_mw
            at = meters[at].parent or boundary
    return replace(
        view, meters=tuple(replace(each, power_mw=shown[each.meter_id]) for each in view.meters)
    )


def source_order(source: Source, reason: str, setpoint_mw: int | None = None) -> Order:
    """Return the order for a set-point to stand or to end, or for a generator's relay to feed."""
    return _order(source, cut=setpoint_mw is not None, reason=reason)._replace(
        setpoint_mw=setpoint_mw
    )


def cut_order(source: Source, reason: str) -> Order:
    """Return the order that cuts a generator off."""
    return _order(source, cut=True, reason=reason)


def as_load(source: Source) -> Switchable:
    """Return a generator behind a relay as what can give way."""
    relay, since_ms = source.relay, source.relay.since_ms
    is_new = not relay.is_cut and since_ms is not None and since_ms < relay.min_fed_ms
    return Switchable(
        relay=relay,
        power_mw=source.most_mw,
        is_cut=bool(relay.is_cut),
        is_firm=relay.is_critical or is_new or bool(relay.unusable),
        is_waiting=bool(relay.is_cut) and since_ms is not None and since_ms < relay.min_cut_ms,
    )


def _order(source: Source, *, cut: bool, reason: str) -> Order:
    """What is held back of a source is no energy that a load goes without: it has no power."""
    return order(as_load(source), cut, reason)._replace(power_mw=None)
