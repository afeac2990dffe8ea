"""To obey a lease or to refuse it. Pure: the guard checks the signature and moves the contacts.

A lease runs from the moment this guard made its nonce, on the boottime clock, so that a delayed
message eats its own life and no wall clock matters. Safe is de-energised, always: leaving a contact
safe is what the rules restrict, and returning it to safe is never refused when a lease ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from messages.lease import TTL_MS_MAX, TTL_MS_MIN, Lease

NONCES_MAX = 16
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What protects one relay and its load, whatever the hub wants. [ms]

    Of the relays of one `interlock` group at most one is energised; "" is no group. A contact is
    energised only while its release, too, fits into `switches_per_minute_max`.
    `setpoint_mw_max`: the largest set-point it takes; None: it is a relay and takes none. A battery
    takes one as far below 0 (`is_battery`). [mW]
    """

    min_on_ms: int = 0
    min_off_ms: int = 0
    interlock: str = ""
    switches_per_minute_max: int = 6
    setpoint_mw_max: int | None = None
    is_battery: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact as last commanded. Times are boottime. [ms]

    Attributes:
        energised: whether the coil is driven.
        since_ms: when that began; at the start of the guard, its start.
        ends_ms: when the lease is over; 0 without one.
        sequence: of the newest lease obeyed since the guard's start.
        decision: leaf index of that lease's reason; -1 for none.
        reason: of that lease, or why the contact is safe.
        changes_ms: when it was energised or released in the last minute, for whatever reason.
        setpoint_mw: what it is to keep to, where it is a set-point. [mW]
    """

    energised: bool = False
    since_ms: int = 0
    ends_ms: int = 0
    sequence: int = 0
    decision: int = -1
    reason: str = "start"
    changes_ms: tuple[int, ...] = ()
    setpoint_mw: int | None = None


@dataclass(frozen=True, slots=True)
class Obey:
    """The contact as it is to be. `news`: another decision than the last, to be acknowledged.

    `moves`: the coil is to change, or the set-point; what stands already is told again all the
    same where it is a set-point, whose device forgets it.
    """

    contact: Contact
    moves: bool
    news: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Why a lease changes nothing, in plain words."""

    reason: str


def decide(
    lease: Lease,
    rules: Mapping[str, Rules],
    contacts: Mapping[str, Contact],
    nonces: Mapping[bytes, int],
    now_ms: int,
) -> Obey | Refuse:
    """Return what to do about a lease whose signature is the hub's.

    Args:
        lease: what the hub wants.
        rules: of each relay of this node.
        contacts: of each relay of this node.
        nonces: the newest nonces this guard made -> when it made them. [ms boottime]
        now_ms: boottime. [ms]
    """
    if lease.relay not in contacts:
        return Refuse(f'"{lease.relay}" is no relay of this node')
    before = contacts[lease.relay]
    complaint = _unfit(lease, before, nonces, now_ms) or _untellable(lease, rules[lease.relay])
    switches = lease.energised != before.energised
    if not complaint and switches:
        complaint = unsafe(lease.relay, rules, contacts, now_ms)
    if complaint:
        return Refuse(complaint)
    after = replace(
        before,
        energised=lease.energised,
        ends_ms=nonces[lease.nonce] + lease.ttl_ms,
        sequence=lease.sequence,
        decision=lease.decision,
        reason=lease.reason,
        setpoint_mw=lease.setpoint_mw,
    )
    if switches:
        recent = _recent(before, now_ms)
        after = replace(after, since_ms=now_ms, changes_ms=(*recent, now_ms))
    moves = switches or lease.setpoint_mw != before.setpoint_mw
    return Obey(after, moves, moves or lease.decision != before.decision)


def is_over(contact: Contact, now_ms: int) -> bool:
    """Whether a contact has a lease that has ended."""
    return 0 < contact.ends_ms <= now_ms


def safe(contact: Contact, reason: str, now_ms: int) -> Contact:
    """Return the contact de-energised and without a lease; what it was obeying is forgotten."""
    return held(contact, reason, now_ms, energised=False)


def _unfit(lease: Lease, before: Contact, nonces: Mapping[bytes, int], now_ms: int) -> str:
    """Return what is wrong with the lease itself."""
    if not TTL_MS_MIN <= lease.ttl_ms <= TTL_MS_MAX:
        return f"a life of {lease.ttl_ms} ms is not from {TTL_MS_MIN} to {TTL_MS_MAX}"
    made_ms = nonces.get(lease.nonce)
    if made_ms is None:
        return "its nonce is not one of the newest of this guard"
    if lease.sequence <= before.sequence:
        return f"sequence {lease.sequence} is not above {before.sequence}"
    if now_ms >= made_ms + lease.ttl_ms:
        return f"it was over {now_ms - made_ms - lease.ttl_ms} ms before it came"
    return ""


def spent(contact: Contact, rules: Rules, now_ms: int) -> Contact:
    """Return the contact safe, with no switching left this minute: it did not do as it was told."""
    changes_ms = (now_ms,) * max(rules.switches_per_minute_max, 1)
    return replace(safe(contact, contact.reason, now_ms), changes_ms=changes_ms)


def held(contact: Contact, reason: str, now_ms: int, *, energised: bool) -> Contact:
    """Return the contact as somebody on the spot holds it, without a lease."""
    if contact.energised == energised:
        return replace(contact, ends_ms=0, decision=-1, reason=reason, setpoint_mw=None)
    changes_ms = (*_recent(contact, now_ms), now_ms)
    moved = replace(contact, energised=energised, since_ms=now_ms, changes_ms=changes_ms)
    return replace(moved, ends_ms=0, decision=-1, reason=reason, setpoint_mw=None)


def rivals(relay: str, rules: Mapping[str, Rules], contacts: Mapping[str, Contact]) -> list[str]:
    """Return which relays of its interlock group are energised beside a relay."""
    group = rules[relay].interlock
    return [
        name
        for name, contact in contacts.items()
        if name != relay and group and contact.energised and rules[name].interlock == group
    ]


def _untellable(lease: Lease, rule: Rules) -> str:
    """Return why what the lease tells besides on and off cannot be told to this relay."""
    told_mw, most_mw = lease.setpoint_mw, rule.setpoint_mw_max
    if told_mw is None:
        return ""
    if most_mw is None:
        return "it is a relay and takes no set-point"
    if not lease.energised:
        return "a set-point that does not stand has no power"
    least_mw = -most_mw if rule.is_battery else 0
    if not least_mw <= told_mw <= most_mw:
        return f"a set-point of {told_mw} mW is not from {least_mw} to {most_mw}"
    return ""


def unsafe(
    relay: str, rules: Mapping[str, Rules], contacts: Mapping[str, Contact], now_ms: int
) -> str:
    """Return which rule of the relay forbids that it moves now, "" if none does."""
    rule, contact = rules[relay], contacts[relay]
    stayed_ms = now_ms - contact.since_ms
    if contact.energised:
        short = stayed_ms < rule.min_on_ms
        return f"energised for {stayed_ms} ms of at least {rule.min_on_ms}" if short else ""
    if stayed_ms < rule.min_off_ms:
        return f"released for {stayed_ms} ms of at least {rule.min_off_ms}"
    if len(_recent(contact, now_ms)) >= max(rule.switches_per_minute_max - 1, 1):
        return f"switched {rule.switches_per_minute_max} times within a minute"
    for other in rivals(relay, rules, contacts):
        return f'interlock "{rule.interlock}": {other} is energised'
    return ""


def _recent(contact: Contact, now_ms: int) -> tuple[int, ...]:
    return tuple(at_ms for at_ms in contact.changes_ms if now_ms - at_ms < MINUTE_MS)
