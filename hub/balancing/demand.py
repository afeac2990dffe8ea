"""What each member has and wants at one moment, from the view alone.

Missing data is danger, never zero: a silent generator gives nothing, any other silent meter draws
its rated power, a load nobody measured draws its rated power. Loads that cannot be cut now
(critical, just switched on, nobody's, behind a relay that nobody can count on) count as firm. So do
those behind relays that are not fail-safe, unless the parameter `cut_not_failsafe` is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hub.balancing.policy import SILENT, MeterPower, RelayState, View

CUT_NOT_FAILSAFE: Final = "cut_not_failsafe"


class Switchable(NamedTuple):
    """A relay with what its load wants. [mW]

    `is_firm`: it is to be fed, whatever happens. `is_waiting`: it was cut too recently to be fed.
    """

    relay: RelayState
    power_mw: int
    is_cut: bool
    is_firm: bool
    is_waiting: bool


class Demand(NamedTuple):
    """One member now. `firm_mw` no relay can cut; `meter_id` is his first settled meter's. [mW]

    `assumed_mw` of the firm power is what silent meters might draw: nobody saw it.
    """

    member: str
    meter_id: str
    supply_mw: int
    firm_mw: int
    loads: tuple[Switchable, ...]
    stale: tuple[str, ...] = ()
    assumed_mw: int = 0

    @property
    def wanted_mw(self) -> int:
        """Everything he would draw if nothing were cut. [mW]"""
        return self.firm_mw + sum(load.power_mw for load in self.flexible)

    @property
    def flexible(self) -> tuple[Switchable, ...]:
        """Loads that may be cut, or fed again."""
        return tuple(load for load in self.loads if not load.is_firm)


def demands(view: View) -> tuple[Demand, ...]:
    """Return every member's demand, by member."""
    stale_ms = view.limits.stale_after_ms
    meters = {meter.meter_id: meter for meter in view.meters}
    measured = switched_mw(view)
    loads: dict[str, list[Switchable]] = {}
    for relay in sorted(view.relays, key=lambda relay: relay.name):
        meter = meters.get(relay.load)
        member = relay.member or (meter.member if meter else "")
        is_firm = not (relay.is_failsafe or view.parameters.get(CUT_NOT_FAILSAFE)) or not member
        switchable = _switchable(relay, meter, stale_ms, is_firm=is_firm)
        loads.setdefault(member, []).append(switchable)
    settled: dict[str, list[MeterPower]] = {member: [] for member in loads}
    stale: dict[str, list[str]] = {}
    for meter in view.meters:
        doubt = meter.doubt(stale_ms)
        if doubt:
            named = meter.meter_id if doubt == SILENT else f"{meter.meter_id} ({doubt})"
            stale.setdefault(meter.member, []).append(named)
        if not meter.parent and meter.purpose not in ("appliance", "boundary"):
            settled.setdefault(meter.member, []).append(meter)
    return tuple(
        _demand(member, settled[member], loads.get(member, []), measured, stale_ms)._replace(
            stale=tuple(sorted(stale.get(member, ())))
        )
        for member in sorted(settled)
    )


def switched_mw(view: View) -> dict[str, int]:
    """Return for each settled meter the power of its switched loads, as it counts them. [mW]"""
    meters = {meter.meter_id: meter for meter in view.meters}
    found: dict[str, int] = {}
    for relay in view.relays:
        meter = meters.get(relay.load)
        if meter is not None and meter.parent:
            shown_mw = _shown_mw(relay, meter, view.limits.stale_after_ms)
            found[meter.parent] = found.get(meter.parent, 0) + shown_mw
    return found


def _switchable(
    relay: RelayState, meter: MeterPower | None, stale_ms: int, *, is_firm: bool
) -> Switchable:
    is_cut = _is_cut(relay)
    if relay.unusable:
        power_mw = 0 if is_cut and meter is None else _drawn_mw(relay, meter, stale_ms)
        return Switchable(relay, power_mw, is_cut, is_firm=True, is_waiting=False)
    since_ms = relay.since_ms
    is_new = not is_cut and since_ms is not None and since_ms < relay.min_fed_ms
    return Switchable(
        relay=relay,
        power_mw=_held_mw(relay) if is_cut else _drawn_mw(relay, meter, stale_ms),
        is_cut=is_cut,
        is_firm=is_firm or relay.is_critical or is_new,
        is_waiting=is_cut and since_ms is not None and since_ms < relay.min_cut_ms,
    )


def _is_cut(relay: RelayState) -> bool:
    """Whether its load is cut; a contact nobody spoke of stands safe."""
    return relay.deenergised == "cut" if relay.is_cut is None else relay.is_cut


def _shown_mw(relay: RelayState, meter: MeterPower, stale_ms: int) -> int:
    """What the meter above shows of a load: of a silent one, all that it may draw.

    Of one that is cut it shows nothing, or something else would count as cut with it.
    """
    if meter.is_stale(stale_ms):
        return 0 if _is_cut(relay) and not relay.unusable else meter.rated_mw
    return max(meter.power_mw or 0, 0)


def _held_mw(relay: RelayState) -> int:
    """What a load that is cut would draw: its last signed power, its rated one where none is."""
    return relay.rated_mw if relay.held_power_mw is None else relay.held_power_mw


def _drawn_mw(relay: RelayState, meter: MeterPower | None, stale_ms: int) -> int:
    """What a fed load draws. A sample that may be older than the switching counts as too low."""
    if meter is None or meter.power_mw is None or meter.is_stale(stale_ms):
        return relay.rated_mw if meter is None else max(relay.rated_mw, meter.rated_mw)
    shown_mw = max(meter.power_mw, 0)
    is_after = relay.since_ms is None or (meter.age_ms or 0) < relay.since_ms
    return shown_mw if is_after else max(shown_mw, relay.held_power_mw or 0)


def _demand(
    member: str,
    meters: list[MeterPower],
    loads: list[Switchable],
    measured: Mapping[str, int],
    stale_ms: int,
) -> Demand:
    supply_mw = fixed_mw = assumed_mw = 0
    for meter in meters:
        rest_mw = _power_mw(meter, stale_ms) - measured.get(meter.meter_id, 0)
        if meter.purpose == "consumption" or meter.is_stale(stale_ms):
            rest_mw = max(rest_mw, 0)
        if meter.is_stale(stale_ms):
            assumed_mw += rest_mw
        supply_mw += max(-rest_mw, 0)
        fixed_mw += max(rest_mw, 0)
    firm_mw = sum(load.power_mw for load in loads if load.is_firm)
    return Demand(
        member=member,
        meter_id=min((meter.meter_id for meter in meters), default=""),
        supply_mw=supply_mw,
        firm_mw=fixed_mw + firm_mw,
        loads=tuple(loads),
        assumed_mw=assumed_mw,
    )


def _power_mw(meter: MeterPower, stale_ms: int) -> int:
    if meter.power_mw is None or meter.is_stale(stale_ms):
        return 0 if meter.purpose == "generation" else meter.rated_mw
    return meter.power_mw
