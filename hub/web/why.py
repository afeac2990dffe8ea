"""Why a relay stands as it does, as who asks may see it: the answer of page and REST. Pure.

The reason is on the ledger, and what the hub saw lies beside it: both name other members. So it
passes the same gate as samples: what is another's, and hidden, is left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub.balancing.policy import MeterPower, RelayState, View
from hub.core.disclosing import OPEN
from hub.lens import Lens
from hub.switching.explaining import Done, Why
from hub.switching.leases import COUNTER_BITS, RelayName
from hub.web.view import Picture, RelayView
from messages.entries import Ack, Decision


@dataclass(frozen=True, slots=True)
class SeenView:
    """What the hub had of one meter. `counted`: as measured, or as danger, since stale. [mW, ms]"""

    meter_id: str
    power_mw: int | None
    age_ms: int | None
    rated_mw: int
    counted: str
    quality: str


@dataclass(frozen=True, slots=True)
class AlternativeView:
    """What the policy wanted of another relay at the same look, and why it was not this one."""

    node: str
    relay: str
    load: str
    cut: bool
    reason: str


@dataclass(frozen=True, slots=True)
class DoneView:
    """What the guard said of the lease, and the entry that has it. [ms UTC]"""

    at_ms: int
    entry: int
    outcome: str
    energised: bool
    reason: str


@dataclass(frozen=True, slots=True)
class WhyView:
    """A relay at a moment: decision, limit, values, alternatives. Times in ms UTC.

    `override`: since when a switch on the node holds it, None where none does. `entry` None: no
    decision has spoken of it. `because` is the decision's reason, which names
    members: "" where that is hidden; `order` the reason for this relay. `view_kept` False: what the
    hub saw is no longer kept. `hidden`: how many values and alternatives are not shown to who asks.
    """

    node: str
    relay: str
    load: str
    failsafe: str
    entry: int | None = None
    decided_ms: int | None = None
    policy: str = ""
    cut: bool | None = None
    power_mw: int | None = None
    limit: str = ""
    rule: str = ""
    because: str = ""
    order: str = ""
    done: tuple[DoneView, ...] = ()
    seen: tuple[SeenView, ...] = ()
    others: tuple[AlternativeView, ...] = ()
    view_kept: bool = False
    override: DoneView | None = None
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Decided:
    """The newest decision that spoke of a relay. [ms UTC]"""

    index: int
    at_ms: int
    limit: str
    rule: str
    cut: bool
    applied: str = ""


class Decisions:
    """Owns what the newest decision said of each relay, as the ledger is folded.

    `applied` is the reason that came with it, as its guard signed that the contact followed.
    """

    def __init__(self) -> None:
        self._newest: dict[RelayName, Decided] = {}

    def note(self, index: int, body: object) -> None:
        """Take in an entry, in the order of the ledger."""
        if isinstance(body, Decision):
            for output in body.outputs:
                self._newest[output.node, output.relay] = Decided(
                    index, body.at_ms, body.limit, body.rule, output.cut
                )
        elif isinstance(body, Ack) and body.outcome == "applied":
            name = (body.node, body.relay)
            newest = self._newest.get(name)
            if newest is not None and body.lease_sequence >> COUNTER_BITS == newest.index:
                self._newest[name] = replace(newest, applied=body.reason)

    def note_on(self, picture: Picture) -> Picture:
        """Return a picture with what was decided of each of its relays last."""
        members = (
            replace(member, relays=tuple(map(self._noted, member.relays)))
            for member in picture.members
        )
        return replace(picture, members=tuple(members))

    def _noted(self, relay: RelayView) -> RelayView:
        newest = self._newest.get((relay.node, relay.relay))
        if newest is None:
            return relay
        stands = relay.fed is not None and relay.fed != newest.cut and not relay.lease_left_ms
        return replace(
            relay,
            reason=newest.applied or relay.reason if stands else relay.reason,
            wanted_cut=newest.cut,
            decision=newest.index,
            decided_ms=newest.at_ms,
            limit=newest.limit,
            rule=newest.rule,
        )


def show_why(why: Why, lens: Lens) -> WhyView:
    """Return what the asker, who may see the relay itself, sees of its reason."""
    node, relay = why.name
    override = None if why.override is None else _done(why.override)
    plain = WhyView(node, relay, why.relay.load, why.relay.deenergised, override=override)
    if why.decision is None or why.output is None:
        return plain
    decision, output, rule = why.decision, why.output, lens.at(why.decision.at_ms)
    seen, others = _seen(why.view, lens, rule), _others(why, lens, rule)
    whole = 0 if why.view is None else len(why.view.meters) + len(why.others)
    return WhyView(
        node=node,
        relay=relay,
        load=why.relay.load,
        failsafe=why.relay.deenergised,
        entry=why.index,
        decided_ms=decision.at_ms,
        policy=decision.policy,
        cut=output.cut,
        power_mw=output.power_mw,
        limit=decision.limit,
        rule=decision.rule,
        because=decision.reason if rule == OPEN else "",
        order=why.reason,
        done=tuple(_done(each) for each in why.done),
        override=override,
        seen=seen,
        others=others,
        view_kept=why.view is not None,
        hidden=whole - len(seen) - len(others),
    )


def _done(done: Done) -> DoneView:
    ack = done.ack
    return DoneView(ack.at_ms, done.index, ack.outcome, ack.energised, ack.reason)


def _seen(view: View | None, lens: Lens, rule: str) -> tuple[SeenView, ...]:
    if view is None:
        return ()
    stale_after_ms = view.limits.stale_after_ms
    return tuple(
        _meter(meter, stale_after_ms)
        for meter in view.meters
        if lens.sees("live", meter.member, rule)
    )


def _meter(meter: MeterPower, stale_after_ms: int) -> SeenView:
    counted = "danger" if meter.is_stale(stale_after_ms) else "measured"
    return SeenView(
        meter.meter_id, meter.power_mw, meter.age_ms, meter.rated_mw, counted, meter.quality
    )


def _others(why: Why, lens: Lens, rule: str) -> tuple[AlternativeView, ...]:
    if why.view is None:
        return ()
    owners = {relay.name: _owner(relay, why.view) for relay in why.view.relays}
    return tuple(
        AlternativeView(order.node, order.relay, order.load, order.cut, order.reason)
        for order in why.others
        if lens.sees("live", owners.get((order.node, order.relay), ""), rule)
    )


def _owner(relay: RelayState, view: View) -> str:
    if relay.member:
        return relay.member
    return next((meter.member for meter in view.meters if meter.meter_id == relay.load), "")
