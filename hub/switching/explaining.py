"""Why a relay stands as it does: the decision that spoke of it last, from the ledger alone.

What the hub saw then is kept beside the log for a while; where it still is, the policy decides
again here, and says of every other relay why it was left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from hub.balancing import deciding
from hub.balancing.orders import power_text
from hub.balancing.policy import SILENT, DispatchPolicy, MeterPower, Order, View
from hub.core.events import read_event
from hub.errors import NoSuchEntry
from hub.ledger.store import Store
from hub.switching.leases import COUNTER_BITS, RelayName
from messages.entries import Ack, Decision, KeyEntry, Output, RelayEntry
from messages.relayfault import RelayFault
from messages.timetext import format_time

Policies = Mapping[str, Callable[[], DispatchPolicy]]


@dataclass(frozen=True, slots=True)
class Done:
    """What the relay's guard said of a decision's lease; `index` is the entry that says so."""

    index: int
    ack: Ack


@dataclass(frozen=True, slots=True)
class Why:
    """A relay at a moment. Without a decision that spoke of it, its coil is left alone: safe.

    `done`: the guard's words about this decision, the oldest first. `view` and `others` (what the
    policy says of every other relay) are empty where the view is no longer kept. `override`: the
    word with which somebody on the spot took it over, None where nobody holds it so. `fault`: why
    no policy counts on it, as measurement has it.
    """

    name: RelayName
    relay: RelayEntry
    index: int | None = None
    decision: Decision | None = None
    output: Output | None = None
    done: tuple[Done, ...] = ()
    view: View | None = None
    others: tuple[Order, ...] = ()
    reason: str = ""
    override: Done | None = None
    fault: RelayFault | None = None


def explain(store: Store, wanted: str, at_ms: int | None, policies: Policies) -> Why:
    """Return why a relay, named as RELAY or NODE/RELAY, stood as it did at a time, or stands now.

    Raises:
        NoSuchEntry: no relay is called so, or more than one; the text names those there are.
    """
    name, relay = _find(store, wanted)
    why = _decided(store, name, relay, at_ms, policies)
    override, fault = _override(store, name, at_ms), _fault(store, name, at_ms)
    return replace(why, override=override, fault=fault)


def _decided(
    store: Store, name: RelayName, relay: RelayEntry, at_ms: int | None, policies: Policies
) -> Why:
    for entry in store.newest("decision"):
        decision = read_event(entry.index, entry.raw).body
        if not isinstance(decision, Decision) or (at_ms is not None and decision.at_ms > at_ms):
            continue
        for output in decision.outputs:
            if (output.node, output.relay) == name:
                done = _done(store, name, entry.index, at_ms)
                view, orders = _decide_again(store, decision, policies)
                return Why(
                    name,
                    relay,
                    entry.index,
                    decision,
                    output,
                    done,
                    view,
                    tuple(order for order in orders if (order.node, order.relay) != name),
                    next((o.reason for o in orders if (o.node, o.relay) == name), ""),
                )
    return Why(name, relay)


def _find(store: Store, wanted: str) -> tuple[RelayName, RelayEntry]:
    relays: dict[RelayName, RelayEntry] = {}
    for entry in store.of_kind("key"):
        body = read_event(entry.index, entry.raw).body
        if isinstance(body, KeyEntry) and body.holder == "node" and body.relays:
            relays |= {(body.name, relay.relay): relay for relay in body.relays}
    name = find_relay(relays, wanted)
    return name, relays[name]


def relay_of(store: Store, wanted: str) -> RelayName:
    """Return the node and name of a relay that was enrolled, named as RELAY or NODE/RELAY.

    Raises:
        NoSuchEntry: none is called so, or more than one.
    """
    return _find(store, wanted)[0]


def find_relay(names: Iterable[RelayName], wanted: str) -> RelayName:
    """Return the one relay that RELAY or NODE/RELAY means.

    Raises:
        NoSuchEntry: none is called so, or more than one; the text names those there are.
    """
    there = sorted(names)
    found = [name for name in there if wanted in ("/".join(name), name[1])]
    if len(found) == 1:
        return found[0]
    named = ", ".join("/".join(name) for name in found or there) or "none"
    what = f"{len(found)} relays are called" if found else "no relay is called"
    raise NoSuchEntry(f"{what} {wanted}; there are {named}")


def _done(store: Store, name: RelayName, decision: int, at_ms: int | None) -> tuple[Done, ...]:
    """Return what the guard said of the leases of a decision; entries before it cannot."""
    said = []
    for entry in store.newest("ack"):
        if entry.index < decision:
            break
        ack = read_event(entry.index, entry.raw).body
        if (
            isinstance(ack, Ack)
            and (ack.node, ack.relay) == name
            and ack.lease_sequence >> COUNTER_BITS == decision
            and (at_ms is None or ack.at_ms <= at_ms)
        ):
            said.append(Done(entry.index, ack))
    return tuple(reversed(said))


def _override(store: Store, name: RelayName, at_ms: int | None) -> Done | None:
    """Return the first word of the override that holds a relay; None where none does."""
    found = None
    for entry in store.newest("ack"):
        ack = read_event(entry.index, entry.raw).body
        if not isinstance(ack, Ack) or (ack.node, ack.relay) != name or ack.outcome == "refused":
            continue
        if at_ms is not None and ack.at_ms > at_ms:
            continue
        if ack.outcome != "override":
            break
        found = Done(entry.index, ack)
    return found


def _fault(store: Store, name: RelayName, at_ms: int | None) -> RelayFault | None:
    """Return the fault of a relay that stood; None where it worked, or nobody had found one."""
    for entry in store.newest("fault"):
        body = read_event(entry.index, entry.raw).body
        if not isinstance(body, RelayFault) or (body.node, body.relay) != name:
            continue
        if at_ms is None or body.at_ms <= at_ms:
            return body if body.fault else None
    return None


def _decide_again(
    store: Store, decision: Decision, policies: Policies
) -> tuple[View | None, tuple[Order, ...]]:
    body = store.views.body(decision.view_root)
    make = policies.get(decision.policy)
    if body is None or make is None:
        return None, ()
    view = View.loads(body)
    return view, deciding.decide(make(), view).orders


def why_lines(why: Why) -> Iterator[str]:
    """Say it in plain words, a line each."""
    node, relay = why.name
    if why.override is not None:
        ack, coil = why.override.ack, "on" if why.override.ack.energised else "off"
        yield (
            f"{node}/{relay}: {ack.reason}, since {format_time(ack.at_ms)}, coil {coil} "
            f"(entry {why.override.index}); the hub's orders wait"
        )
    if why.fault is not None:
        since = format_time(why.fault.at_ms)
        yield f"{node}/{relay}: not to be counted on since {since}: {why.fault.reason}"
    if why.decision is None or why.output is None:
        yield f"{node}/{relay}: no decision has spoken of it, so its coil is off"
        yield f"load      {_load(why)} is {why.relay.deenergised}, as always when nobody decides"
        return
    decision, output = why.decision, why.output
    yield f"{node}/{relay}: {_load(why)} is to be {_wanted(why.relay, output)}"
    yield f"decided   {format_time(decision.at_ms)}, entry {why.index}"
    yield f"rule      {decision.rule}"
    yield f"limit     {decision.limit}"
    yield f"because   {decision.reason}"
    if why.reason:
        yield f"order     {why.reason}"
    yield from _done_lines(why)
    yield from _seen_lines(why)


def _wanted(relay: RelayEntry, output: Output) -> str:
    told_mw = output.setpoint_mw
    if told_mw is None:
        return "cut" if output.cut else "fed"
    if relay.setpoint == "battery":
        return f"told to {'give' if told_mw < 0 else 'take'} {power_text(abs(told_mw))}"
    return f"limited to {power_text(told_mw)}"


def _load(why: Why) -> str:
    load = why.relay.load or "its load"
    power_mw = why.output.power_mw if why.output else None
    return load if power_mw is None else f"{load} ({power_text(power_mw)} at last)"


def _done_lines(why: Why) -> Iterator[str]:
    if not why.done:
        yield "contact   its node has not said yet that it moved"
    for done in why.done:
        ack = done.ack
        coil = "on" if ack.energised else "off"
        reason = f", {ack.reason}" if ack.reason else ""
        yield (
            f"contact   {format_time(ack.at_ms)}, entry {done.index}: "
            f"{ack.outcome}, coil {coil}{reason}"
        )


def _seen_lines(why: Why) -> Iterator[str]:
    if why.view is None:
        yield "seen      no longer kept; its root stands in the decision"
        return
    for meter in why.view.meters:
        yield f"seen      {_seen(meter, why.view.limits.stale_after_ms)}"
    for order in why.others:
        state = "cut" if order.cut else "fed"
        yield f"beside    {order.node}/{order.relay}: {state}, {order.reason}"


def _seen(meter: MeterPower, stale_after_ms: int) -> str:
    if meter.power_mw is None:
        return f"{meter.meter_id}: nothing, so it counted as {power_text(meter.rated_mw)} of danger"
    age = "of unknown age" if meter.age_ms is None else f"{meter.age_ms} ms old"
    doubt = meter.doubt(stale_after_ms)
    stale = ", too old to count" if doubt == SILENT else ", so it does not count" if doubt else ""
    quality = f", {meter.quality}" if meter.quality else ""
    return f"{meter.meter_id}: {power_text(meter.power_mw)}, {age}{quality}{stale}"
