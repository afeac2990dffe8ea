"""From the fold's registry, the verified samples and the hub's health to one picture. Pure.

It has everything; what of it somebody may see, `hub.web.showing` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hub.banking.showing import bank_seen
from hub.config import HubConfig
from hub.core.disclosing import disclosure_at, round_at
from hub.core.loads import owner_of
from hub.core.records import Calibrated, Meter
from hub.core.state import State
from hub.feeds.showing import facts_seen
from hub.switching.leases import RelayName
from hub.web.samples import Samples
from hub.web.view import (
    Badge,
    CalibrationView,
    LedgerView,
    MemberView,
    MeterView,
    Picture,
    RelayView,
    SourceView,
    power_text,
)
from messages.live import Live
from messages.membership import SOURCES
from messages.trust import Trust

LATE_MS = 5_000
SILENT_MS = 30_000
UNREAD = LedgerView(0, "", False, 0, None, "", False)


def compose_picture(
    config: HubConfig,
    trust: Trust,
    state: State,
    samples: Samples,
    health: Mapping[str, Any],
    now_ms: int,
) -> Picture:
    """Return the picture without ledger and markets; `now_ms`: the monotonic clock of `samples`."""
    meters = {
        name: meter_view(name, meter, state.calibrations.get(name), samples, now_ms)
        for name, meter in sorted(state.meters.items())
        if not meter.is_retired
    }
    told = {(each["node"], each["relay"]): each for each in health.get("relays", ())}
    relays = [
        replace(
            relay_view(name, state, meters, samples, now_ms),
            unusable=str(told.get(name, {}).get("unusable", "")),
        )
        for name in sorted(state.relays)
    ]
    boundary = next((view for view in meters.values() if view.purpose == "boundary"), None)
    names = sorted({view.member for view in meters.values() if view.purpose != "boundary"})
    members = tuple(member_view(name, meters, relays, state) for name in names)
    instants = [heard.live.at_ms for heard in samples.live.values()]
    return Picture(
        microgrid=config.microgrid,
        simulation=trust.simulation,
        at_ms=max(instants, default=None),
        members=members,
        boundary=boundary,
        unaccounted_mw=unaccounted_mw(members, boundary),
        slots=(),
        ledger=UNREAD,
        alarms=tuple(str(text) for text in health.get("alarms", ())),
        request=request_text(samples),
        disclosure=disclosure_at(state),
        pseudonyms="stable" if round_at(state) is None else "fresh",
        facts=facts_seen(state),
        bank=bank_seen(state),
        refused={str(k): int(v) for k, v in health.get("refused", {}).items()},
    )


def meter_view(
    name: str, meter: Meter, calibrated: Calibrated | None, samples: Samples, now_ms: int
) -> MeterView:
    """Return one meter with the newest sample its key signed, and how old that is."""
    heard = samples.live.get(name)
    age_ms = None
    badge: Badge = "silent"
    if heard is not None:
        age_ms = now_ms - (heard.heard_ms if heard.beacon_ms is None else heard.beacon_ms)
        badge = "signed" if age_ms < LATE_MS else "late" if age_ms < SILENT_MS else "silent"
        if heard.beacon_ms is None and badge == "signed":
            badge = "late"  # it echoes no beacon we know: nobody can say how old it is
    live = heard.live if heard is not None and badge != "silent" else None
    return MeterView(
        meter_id=name,
        member=meter.member,
        node=meter.node,
        purpose=meter.purpose,
        parent=meter.parent,
        badge=badge,
        power_mw=None if live is None else live.power_mw,
        age_ms=age_ms,
        quality=heard.live.quality if heard is not None else "",
        calibration=calibration_view(calibrated, live),
        fuel=meter.fuel,
        location=meter.location,
    )


def calibration_view(calibrated: Calibrated | None, live: Live | None) -> CalibrationView | None:
    """Return how a meter is corrected, and what its device says behind a sample taken since."""
    if calibrated is None:
        return None
    power_mw = live.power_mw if live is not None and live.at_ms > calibrated.at_ms else None
    return CalibrationView(
        since_ms=calibrated.at_ms,
        power_gain_ppm=calibrated.power_gain_ppm,
        power_offset_mw=calibrated.power_offset_mw,
        device_mw=None if power_mw is None else calibrated.power.raw_of(power_mw),
        entry_index=calibrated.entry_index,
    )


def relay_view(
    name: RelayName, state: State, meters: Mapping[str, MeterView], samples: Samples, now_ms: int
) -> RelayView:
    """Return one relay as its guard reads it back, with its lease, and what its load draws."""
    node, relay = name[0], state.relays[name]
    energised, left_ms, reason, age_ms = None, 0, "", None
    if node in samples.status:
        status, heard_ms = samples.status[node]
        age_ms = now_ms - heard_ms
        for row in status.relays:
            if row.relay == name[1] and age_ms < SILENT_MS:
                energised, reason = row.energised, row.reason
                left_ms = max(0, row.lease_left_ms - age_ms)
    lease = samples.leases.get(name)
    if lease is not None and left_ms:
        reason = lease[0].reason
    load, contact = meters.get(relay.load), state.contacts.get(name)
    return RelayView(
        relay=name[1],
        member=owner_of(state, relay),
        node=node,
        load=relay.load,
        fed=None
        if energised is None
        else bool(relay.setpoint) or not relay.is_cut(energised=energised),
        energised=energised,
        lease_left_ms=left_ms,
        reason=reason,
        failsafe=relay.deenergised,
        is_failsafe=relay.is_failsafe,
        lease_ttl_ms=None if lease is None else lease[0].ttl_ms,
        age_ms=age_ms,
        load_power_mw=None if load is None else load.power_mw,
        load_age_ms=None if load is None else load.age_ms,
        since_ms=None if contact is None else contact.at_ms or None,
    )


def member_view(
    name: str, meters: Mapping[str, MeterView], relays: list[RelayView], state: State
) -> MemberView:
    """Return one member: sums over his settled meters, None where one of them is not known."""
    mine = [view for view in meters.values() if view.member == name and view.purpose != "boundary"]
    settled = [view for view in mine if not view.parent and view.purpose != "appliance"]
    generation = [view.power_mw for view in settled if view.purpose == "generation"]
    load = [view.power_mw for view in settled if view.purpose == "consumption"]
    return MemberView(
        member=name,
        generation_mw=_sum([None if p is None else -p for p in generation]),
        load_mw=_sum(load),
        net_mw=_sum([view.power_mw for view in settled]),
        account_utok=state.accounts.get(name),
        meters=tuple(mine),
        relays=tuple(relay for relay in relays if relay.member == name),
        sources=sources_of(mine),
    )


def sources_of(meters: Iterable[MeterView]) -> tuple[SourceView, ...]:
    """Return what a member's energy comes from and where, each pair once, in order."""
    found = {
        SourceView(meter.fuel, meter.location)
        for meter in meters
        if meter.fuel or (meter.location and meter.purpose in SOURCES)
    }
    return tuple(sorted(found, key=lambda each: (each.fuel, each.location)))


def _sum(powers: list[int | None]) -> int | None:
    known = [power for power in powers if power is not None]
    return sum(known) if powers and len(known) == len(powers) else None


def unaccounted_mw(members: tuple[MemberView, ...], boundary: MeterView | None) -> int | None:
    """Return boundary import minus what the members take; None where one of them is not known."""
    nets = _sum([member.net_mw for member in members])
    if boundary is None or boundary.power_mw is None or nets is None:
        return None
    return boundary.power_mw - nets


def request_text(samples: Samples) -> str:
    """Return the hub's newest balance request in plain words."""
    request = samples.request
    if request is None:
        return ""
    if request.direction == "balanced":
        return "balance request: none, the microgrid is balanced"
    return f"balance request: {request.direction} of {power_text(abs(request.amount_mw))}"
