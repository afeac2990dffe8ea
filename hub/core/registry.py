"""Genesis and key entries: who is who. Valid by place in the log, never by a clock."""

from __future__ import annotations

from typing import Final

from hub.core.effects import RegistryChanged
from hub.core.events import Event
from hub.core.headers import first_draw, first_standing
from hub.core.outcome import Outcome, ignore
from hub.core.proposers import rule_row
from hub.core.records import Key, Meter, Network, Relay
from hub.core.state import Change, State
from messages.entries import Genesis, KeyEntry
from messages.errors import BadKey
from messages.membership import ROLES, entry_fault, fuel_complaint, key_id, key_of
from messages.proposing import rules_fault
from messages.publickey import PublicKey, parse_cose_key
from messages.topics import NAME

FOUNDER: Final = "administrator"


def found(state: State, event: Event, genesis: Genesis) -> Outcome:
    """Entry 0: the parameters of the microgrid and its first three keys."""
    try:
        administrator = parse_cose_key(genesis.administrator)
        hub, log = parse_cose_key(genesis.hub), parse_cose_key(genesis.log)
    except BadKey as error:
        return ignore(event, f"genesis names a bad key: {error}")
    fault = _genesis_fault(event, genesis, administrator)
    if fault:
        return ignore(event, fault)
    network = Network(
        event.leaf_hash,
        genesis.microgrid,
        genesis.origin,
        genesis.slot_ms,
        genesis.close_after_ms,
        genesis.readings,
        genesis.simulation,
        genesis.policy,
        rule_row(genesis.proposers),
    )
    return Outcome(
        (
            Change("network", (), network),
            first_draw(network.network_id),
            _founded(administrator, "member", FOUNDER, ROLES),
            _founded(hub, "hub", "hub", ()),
            _founded(log, "log", "log", ()),
        ),
        (RegistryChanged(event.index, "the microgrid is founded"),),
    )


def _genesis_fault(event: Event, genesis: Genesis, administrator: PublicKey) -> str | None:
    if event.kid != administrator.kid:
        return "genesis is signed by the administrator it names"
    if genesis.slot_ms <= 0 or NAME.fullmatch(genesis.microgrid) is None:
        return "genesis needs a slot length above 0 and a name for the microgrid"
    return rules_fault(genesis.proposers) or None


def _founded(key: PublicKey, holder: str, name: str, roles: tuple[str, ...]) -> Change:
    return Change("key", key.kid, Key(key.cose_key, holder, name, "", roles, 1, 0))


def change_key(state: State, event: Event, entry: KeyEntry) -> Outcome:
    """Enrol, rotate or revoke a key, or give its holder other roles."""
    fault = entry_fault(entry)
    return ignore(event, fault) if fault else _ACTIONS[entry.action](state, event, entry)


def _enrol(state: State, event: Event, entry: KeyEntry) -> Outcome:
    key = key_of(entry)
    if key.kid in state.keys:
        return ignore(event, f"the key {key.kid.hex()} is registered already")
    if _current_kids(state, entry.holder, entry.name):
        return ignore(event, f"{entry.holder} {entry.name} has a key: rotate or revoke it first")
    row = Key(
        key.cose_key,
        entry.holder,
        entry.name,
        entry.name if entry.holder == "node" else entry.node,
        entry.roles,
        entry.first_sequence,
        event.index,
        vrf=entry.vrf,
        facts=tuple(sorted(entry.facts.items())),
    )
    changes = [Change("key", key.kid, row)]
    if entry.holder == "meter":
        changes += _meter_rows(state, event, entry)
    elif entry.holder == "node":
        changes += _relay_rows(state, entry)
    elif entry.holder == "replica":
        changes.append(first_standing(state, entry.name))
    return _changed(event, changes, f"{entry.holder} {entry.name} enrolled")


def _meter_rows(state: State, event: Event, entry: KeyEntry) -> list[Change]:
    """The meter's row. A new device under an old name counts from its own first register."""
    old = state.meters.get(entry.name)
    since = old.member_index if old and old.member == entry.member else event.index
    meter = Meter(
        key_of(entry).kid,
        entry.node,
        entry.member,
        entry.purpose,
        entry.parent,
        entry.model,
        entry.rated_mw,
        entry.serial,
        fuel=entry.fuel,
        location=entry.location,
        member_index=since,
    )
    rows = [Change("meter", entry.name, meter)]
    if old is not None:
        rows += [Change("cursor", entry.name, None), Change("calibration", entry.name, None)]
        rows += [Change("edge", key, None) for key in sorted(state.edges) if key[1] == entry.name]
    return rows


def _relay_rows(state: State, entry: KeyEntry) -> list[Change]:
    gone = [key for key in sorted(state.relays) if key[0] == entry.name]
    rows = [Change("relay", key, None) for key in gone]
    rows += [Change("contact", key, None) for key in gone if key in state.contacts]
    rows += [Change("fault", key, None) for key in gone if key in state.faults]
    for relay in entry.relays:
        record = Relay(
            relay.deenergised,
            relay.load,
            relay.member,
            relay.rated_mw,
            relay.critical,
            relay.min_on_ms,
            relay.min_off_ms,
            relay.failsafe,
            relay.importance,
            relay.shed_price_utok_per_kwh,
            relay.setpoint,
        )
        rows.append(Change("relay", (entry.name, relay.relay), record))
    return rows


def _rotate(state: State, event: Event, entry: KeyEntry) -> Outcome:
    new, old_kid = key_of(entry), key_id(entry.replaces)
    old = state.keys.get(old_kid)
    if old is None or old.until_index is not None or old.rotated_to:
        return ignore(event, f"{old_kid.hex()} is no key that could be rotated")
    if (old.holder, old.name) != (entry.holder, entry.name):
        return ignore(event, f"{old_kid.hex()} is no key of {entry.holder} {entry.name}")
    if new.kid in state.keys:
        return ignore(event, f"the key {new.kid.hex()} is registered already")
    last = tuple(sorted(entry.last_sequences.items()))
    row = old._replace(
        cose_key=new.cose_key, first_sequence=entry.first_sequence, from_index=event.index
    )
    changes = [
        Change("key", old_kid, old._replace(rotated_to=new.kid, last_sequences=last)),
        Change("key", new.kid, row),
    ]
    meter = state.meters.get(old.name)
    if old.holder == "meter" and meter is not None:
        changes.append(Change("meter", old.name, meter._replace(kid=new.kid)))
    return _changed(event, changes, f"{old.holder} {old.name} has a new key")


def _revoke(state: State, event: Event, entry: KeyEntry) -> Outcome:
    """End one key of somebody, or all of them: also what a rotated one might still have sent."""
    wanted = key_id(entry.key) if entry.key else None
    rows = {
        kid: key
        for kid, key in sorted(state.keys.items())
        if (key.holder, key.name) == (entry.holder, entry.name) and key.until_index is None
        if wanted in (None, kid)
    }
    if not rows:
        return ignore(event, f"{entry.holder} {entry.name} has no such key")
    if _leaves_nobody(state, tuple(rows)):
        return ignore(event, "the microgrid would be left without an administrator")
    changes = [
        Change("key", kid, row._replace(until_index=event.index)) for kid, row in rows.items()
    ]
    meter = state.meters.get(entry.name)
    if entry.holder == "meter" and meter is not None and meter.kid in rows:
        changes.append(Change("meter", entry.name, meter._replace(is_retired=True)))
    return _changed(event, changes, f"the key of {entry.holder} {entry.name} is revoked")


def _role(state: State, event: Event, entry: KeyEntry) -> Outcome:
    kids = _current_kids(state, "member", entry.name)
    if not kids:
        return ignore(event, f"member {entry.name} has no key")
    if "administrator" not in entry.roles and _leaves_nobody(state, kids):
        return ignore(event, "the microgrid would be left without an administrator")
    changes = [Change("key", kid, state.keys[kid]._replace(roles=entry.roles)) for kid in kids]
    return _changed(event, changes, f"member {entry.name} has other roles")


def _describe(state: State, event: Event, entry: KeyEntry) -> Outcome:
    """Say anew what a source's energy comes from, and where it is."""
    meter = state.meters.get(entry.name)
    if meter is None:
        return ignore(event, f"there is no meter {entry.name}")
    if complaint := fuel_complaint(entry.fuel, meter.purpose):
        return ignore(event, complaint)
    row = meter._replace(fuel=entry.fuel, location=entry.location)
    return _changed(event, [Change("meter", entry.name, row)], f"meter {entry.name} is described")


_ACTIONS: Final = {
    "enrol": _enrol,
    "rotate": _rotate,
    "revoke": _revoke,
    "role": _role,
    "describe": _describe,
}


def _changed(event: Event, changes: list[Change], what: str) -> Outcome:
    return Outcome(tuple(changes), (RegistryChanged(event.index, what),))


def _current_kids(state: State, holder: str, name: str) -> tuple[bytes, ...]:
    """Return the ids of the keys that count for somebody now, in order."""
    return tuple(
        sorted(
            kid
            for kid, key in state.keys.items()
            if (key.holder, key.name) == (holder, name) and key.is_current
        )
    )


def _leaves_nobody(state: State, without: tuple[bytes, ...]) -> bool:
    return not any(
        "administrator" in key.roles and key.is_current
        for kid, key in state.keys.items()
        if kid not in without
    )
