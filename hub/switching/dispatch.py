"""From live samples to orders for relays: builds the view, asks the policy, says what changed.

Decides and remembers; it appends, signs and publishes nothing. A view is complete or the policy is
told what is missing: a meter that was not heard, or whose age nobody can tell, is stale, and stale
means danger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hub.balancing import deciding, supply
from hub.balancing.agenda import SHIFTED, Agenda, agendas_of
from hub.balancing.limits import limits_of
from hub.balancing.policy import (
    DispatchPolicy,
    MeterPower,
    Order,
    RelayState,
    Verdict,
    View,
    view_root,
)
from hub.balancing.sources import BATTERY
from hub.core.banking import supply_of
from hub.core.pricing import policy_at
from hub.core.records import Contact, Policy, Relay
from hub.core.state import State
from hub.link.nodes import ContactSeen, Newsroom
from hub.switching.islanding import BusWatch
from hub.switching.leases import Leases, RelayName, Standing
from messages.entries import Decision, Output

START_GRACE_MS = 5_000  # after a start or an enrolment, before silence counts as danger
GATHER_MS = 150  # how long the first sample of an instant waits for the others
ABSENT_MS = 2_500  # a meter that was not heard for so long is not waited for
SPACING_MS = 20  # least time between two looks, however many samples come
FOLLOW_MS = 5_000  # for how long an order counts as obeyed before its contact says so

Policies = Mapping[str, Callable[[], DispatchPolicy]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision that changes something: append it, then let its orders stand.

    `body` is the view, kept beside the telemetry, so that an audit can decide again.
    """

    decision: Decision
    body: bytes
    orders: tuple[Order, ...]


class Dispatcher:
    """Owns when to look, what was wanted last, and since when each contact stands as it does."""

    def __init__(self, news: Newsroom, leases: Leases, policies: Policies, started_ms: int) -> None:
        self._news = news
        self._leases = leases
        self._policies = policies
        self._grace_ends_ms = started_ms + START_GRACE_MS
        self._looked_ms = started_ms - SPACING_MS
        self._newest_at_ms = 0
        self._first_unseen_ms: int | None = None
        self._verdict: Verdict | None = None
        self._fault = ""
        self._ordered_ms: dict[RelayName, int] = {}
        self._bus = BusWatch()

    @property
    def verdict(self) -> Verdict | None:
        """What the policy said last, None before its first word."""
        return self._verdict

    @property
    def fault(self) -> str:
        """Why no policy can be asked, empty if one can."""
        return self._fault

    def note_enrolment(self, now_ms: int) -> None:
        """Give a new meter time to be heard before its silence counts."""
        self._grace_ends_ms = max(self._grace_ends_ms, now_ms + START_GRACE_MS)

    def note_change(self, now_ms: int) -> None:
        """Note that a sample, a contact or the policy is new: a look is due soon."""
        if self._first_unseen_ms is None:
            self._first_unseen_ms = now_ms

    def wait_ms(self, state: State, now_ms: int) -> int:
        """How long until the next look is due: at once when an instant is complete. [ms]"""
        idle_ms = self._looked_ms + 1_000 - now_ms
        if self._first_unseen_ms is None:
            return max(idle_ms, 0)
        gather_ms = (
            0 if self._is_complete(state, now_ms) else self._first_unseen_ms + GATHER_MS - now_ms
        )
        return max(min(idle_ms, gather_ms), self._looked_ms + SPACING_MS - now_ms, 0)

    def _is_complete(self, state: State, now_ms: int) -> bool:
        """Whether every meter that speaks lately has its sample of the newest instant in."""
        instants = {
            sample.live.at_ms
            for meter_id, sample in self._news.samples.items()
            if meter_id in state.meters and now_ms - sample.heard_ms < ABSENT_MS
        }
        return len(instants) <= 1

    def look(self, state: State, now_ms: int, at_ms: int) -> Proposal | None:
        """Ask the policy; return a proposal if it wants anything else than what stands.

        Args:
            state: the fold's, for meters, relays and the policy in force.
            now_ms: the hub's monotonic clock.
            at_ms: the time to write into the decision. [ms UTC]
        """
        self._looked_ms, self._first_unseen_ms = now_ms, None
        if not state.relays:
            self._leases.keep_only(())
        policy = policy_at(state, at_ms)
        rule = self._find(policy)
        if policy is None or rule is None:
            return None
        view = build_view(state, policy, self._news, now_ms, at_ms, self._on_the_way(now_ms))
        view = self._bus.seen(view, self._news.samples, now_ms)
        view = replace(view, relays=tuple(self._as_told(each, now_ms) for each in view.relays))
        if now_ms < self._grace_ends_ms and _has_silent_meter(view):
            return None
        self._leases.keep_only(
            relay.name for relay in view.relays if not self._news.unavailable(relay.name)
        )
        verdict = self._verdict = deciding.decide(rule, view)
        changed = self._changed(view, verdict)
        if any(self._is_coming_back(state, order, now_ms) for order in self._leases.standing):
            changed = tuple(order for order in changed if order.cut or _is_told(view, order))
        if not changed:
            return None
        decision = Decision(
            at_ms=at_ms,
            policy=rule.name,
            code_id=policy.code_id,
            view_root=view_root(view),
            limit=verdict.limit,
            rule=verdict.rule,
            reason=verdict.reason,
            outputs=tuple(_output(order) for order in changed),
        )
        return Proposal(decision, view.dumps(), changed)

    def accept(self, proposal: Proposal, index: int) -> None:
        """Let the orders of an appended decision stand."""
        for order in proposal.orders:
            self._ordered_ms[order.node, order.relay] = self._looked_ms
            self._leases.order(
                Standing(
                    node=order.node,
                    relay=order.relay,
                    energised=order.energised,
                    cut=order.cut,
                    decision=index,
                    reason=order.reason,
                    setpoint_mw=order.setpoint_mw,
                    shift=order.shift,
                )
            )

    def _is_coming_back(self, state: State, standing: Standing, now_ms: int) -> bool:
        """Whether a load was let in just now and no sample shows yet what it draws.

        Until one does, another load that seems to fit may not: it waits.
        """
        if standing.cut or now_ms - self._ordered_ms[standing.name] >= FOLLOW_MS:
            return False
        relay, seen = state.relays.get(standing.name), self._news.contacts.get(standing.name)
        if relay is None or seen is None or seen.since_ms is None:
            return False  # it never was anything but fed
        sample = self._news.samples.get(relay.load)
        if relay.is_cut(energised=seen.energised):
            return True
        return sample is not None and sample.heard_ms <= seen.since_ms

    def _on_the_way(self, now_ms: int) -> dict[RelayName, bool]:
        """Return the orders that are new, as if obeyed: relay -> whether its load is cut.

        A load's power may fall before the word that its contact moved. Without this a policy would
        see a fed load that draws nothing, and order it back.
        """
        return {
            standing.name: standing.cut
            for standing in self._leases.standing
            if now_ms - self._ordered_ms[standing.name] < FOLLOW_MS
        }

    def _as_told(self, relay: RelayState, now_ms: int) -> RelayState:
        """Return a set-point with what was ordered last, and when; without an order as it says."""
        standing = self._leases.order_of(relay.name) if relay.setpoint else None
        if standing is None:
            return relay
        since_ms = now_ms - self._ordered_ms[relay.name]
        return replace(relay, setpoint_mw=standing.setpoint_mw, since_ms=since_ms)

    def _find(self, policy: Policy | None) -> DispatchPolicy | None:
        if policy is None:
            self._fault = "no policy is in force: sign one with `gridtally-hub policy`"
            return None
        make = self._policies.get(policy.dispatch)
        if make is None:
            self._fault = (
                f"dispatch policy {policy.dispatch!r} is not installed here; there are "
                f"{', '.join(sorted(self._policies))}. Relays stay safe until it is."
            )
            return None
        self._fault = ""
        return make()

    def _changed(self, view: View, verdict: Verdict) -> tuple[Order, ...]:
        """Orders that differ from what stands; after a start, those that move or need a lease."""
        moved = {(order.node, order.relay) for order in verdict.changed(view)}
        stuck = {relay.name for relay in view.relays if relay.unusable}
        changed = []
        for order in verdict.orders:
            name = (order.node, order.relay)
            if name in stuck:
                continue  # no chatter: it stays as it is until it can be counted on again
            standing = self._leases.order_of(name)
            if standing is None:
                if name in moved or order.energised:
                    changed.append(order)
            elif _stands_for(standing) != _stands_for(order):
                changed.append(order)
        return tuple(changed)


def build_view(
    state: State,
    policy: Policy,
    news: Newsroom,
    now_ms: int,
    at_ms: int,
    on_the_way: Mapping[RelayName, bool],
) -> View:
    """Return what a policy may look at now, in the order of names.

    `on_the_way`: orders that count as obeyed although no contact said so yet.
    """
    network, agendas = state.network, agendas_of(state.memory, policy.contract, at_ms)
    batteries = Counter(
        _owner(state, relay) for relay in state.relays.values() if relay.setpoint == BATTERY
    )
    parameters = {
        key: value
        for key, value in sorted(policy.dispatch_parameters.items())
        if isinstance(value, int | str)
    }
    return View(
        microgrid="" if network is None else network.microgrid,
        at_ms=at_ms,
        meters=tuple(
            _meter(state, news, meter_id, now_ms)
            for meter_id in sorted(state.meters)
            if not state.meters[meter_id].is_retired
        ),
        relays=tuple(
            _scheduled(
                replace(
                    _relay(state, news, name, now_ms, on_the_way.get(name)),
                    withheld=_withheld(state, policy, relay),
                ),
                agendas.get(_owner(state, relay)),
                at_ms,
                is_only=batteries[_owner(state, relay)] == 1,
            )
            for name, relay in sorted(state.relays.items())
        ),
        limits=limits_of(parameters),
        parameters=parameters,
    )


def _meter(state: State, news: Newsroom, meter_id: str, now_ms: int) -> MeterPower:
    meter = state.meters[meter_id]
    sample = news.samples.get(meter_id)
    return MeterPower(
        meter_id=meter_id,
        member=meter.member,
        purpose=meter.purpose,
        parent=meter.parent,
        rated_mw=meter.rated_mw,
        power_mw=None if sample is None else sample.live.power_mw,
        age_ms=None if sample is None else sample.age_ms(now_ms),
        quality="" if sample is None else sample.live.quality,
    )


def _relay(
    state: State, news: Newsroom, name: RelayName, now_ms: int, ordered_cut: bool | None
) -> RelayState:
    relay, contact = state.relays[name], state.contacts.get(name)
    seen = news.contacts.get(name)
    stuck = unusable(state, news, name, now_ms)
    is_cut = _is_cut(relay, contact, seen) if ordered_cut is None or stuck else ordered_cut
    return RelayState(
        node=name[0],
        relay=name[1],
        member=relay.member,
        load=relay.load,
        deenergised=relay.deenergised,
        rated_mw=relay.rated_mw,
        is_critical=relay.is_critical,
        is_cut=None if news.is_silent(name[0], now_ms) else is_cut,
        since_ms=None if seen is None or seen.since_ms is None else now_ms - seen.since_ms,
        held_power_mw=None if contact is None else contact.power_mw,
        min_on_ms=relay.min_on_ms,
        min_off_ms=relay.min_off_ms,
        is_failsafe=relay.is_failsafe,
        importance=relay.importance,
        shed_price_utok_per_kwh=relay.shed_price_utok_per_kwh,
        unusable=stuck,
        setpoint=relay.setpoint,
        setpoint_mw=news.setpoint_mw(name) if relay.setpoint else None,
        wish="" if stuck else news.wish(name, now_ms),
    )


def unusable(state: State, news: Newsroom, name: RelayName, now_ms: int) -> str:
    """Say why nobody can count on a relay now; "" if it does what it is told."""
    if news.is_silent(name[0], now_ms):
        return f"node {name[0]} is silent"
    fault = state.faults.get(name)
    return news.unavailable(name) or ("" if fault is None or not fault.fault else fault.reason)


def _withheld(state: State, policy: Policy, relay: Relay) -> str:
    """Say why the market keeps a relay's load cut; "" if it does not."""
    return supply.REASONS.get(supply_of(state, policy, _owner(state, relay)), "")


def _scheduled(
    relay: RelayState, agenda: Agenda | None, at_ms: int, *, is_only: bool
) -> RelayState:
    """Return a relay with what its member's schedule says of it now.

    `is_only`: he has no other battery that can be told, so that his plan can only mean this one.
    """
    if agenda is None:
        return relay
    if relay.setpoint == BATTERY:
        return replace(relay, planned_mw=agenda.battery_mw(at_ms)) if is_only else relay
    if not relay.withheld and agenda.shifts("/".join(relay.name), at_ms):
        return replace(relay, withheld=SHIFTED)
    return relay


def _owner(state: State, relay: Relay) -> str:
    load = state.meters.get(relay.load)
    return relay.member or (load.member if load else "")


def _is_cut(relay: Relay, contact: Contact | None, seen: ContactSeen | None) -> bool | None:
    if seen is not None:
        return relay.is_cut(energised=seen.energised)
    return None if contact is None else contact.is_cut


def _is_told(view: View, order: Order) -> bool:
    """Whether an order is for a set-point, which lets no load in."""
    return any(each.setpoint for each in view.relays if each.name == (order.node, order.relay))


def _has_silent_meter(view: View) -> bool:
    return any(meter.is_stale(view.limits.stale_after_ms) for meter in view.meters)


def _stands_for(row: Order | Standing) -> tuple[bool, int | None, str]:
    return row.cut, row.setpoint_mw, row.shift


def _output(order: Order) -> Output:
    return Output(
        node=order.node,
        relay=order.relay,
        member=order.member,
        load=order.load,
        energised=order.energised,
        cut=order.cut,
        power_mw=order.power_mw,
        setpoint_mw=order.setpoint_mw,
        shift=order.shift,
    )
