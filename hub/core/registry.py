"""Genesis and key entries: who is who. Valid by place in the log, never by a clock."""

from __future__ import annotations

from typing import Final

from hub.core.effects import RegistryChanged
from hub.core.events import Event
from hub.core.outcome import Outcome, ignore
from hub.core.records import Key, Meter, Network, Relay
from hub.core.rights import PEOPLE
from hub.core.state import Change, State
from messages.entries import DEENERGISED, PURPOSES, Genesis, KeyEntry
from messages.errors import BadKey
from messages.publickey import KID_BYTES, PublicKey, parse_cose_key
from messages.topics import NAME

FOUNDER: Final = "administrator"
HOLDERS: Final = ("meter", "node", "member")


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
    )
    return Outcome(
        (
            Change("network", (), network),
            _founded(administrator, "member", FOUNDER, PEOPLE),
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
    return None


def _founded(key: PublicKey, holder: str, name: str, roles: tuple[str, ...]) -> Change:
    return Change("key", key.kid, Key(key.cose_key, holder, name, "", roles, 1, 0))


def change_key(state: State, event: Event, entry: KeyEntry) -> Outcome:
    """Enrol, rotate or revoke a key, or give its holder other roles."""
    return _ACTIONS[entry.action](state, event, entry)  # `rights` knows no others


def _enrol(state: State, event: Event, entry: KeyEntry) -> Outcome:
    try:
        key = parse_cose_key(entry.key)
    except BadKey as error:
        return ignore(event, str(error))
    fault = _enrol_fault(state, key, entry)
    if fault:
        return ignore(event, fault)
    row = Key(
        key.cose_key,
        entry.holder,
        entry.name,
        entry.name if entry.holder == "node" else entry.node,
        entry.roles,
        entry.first_sequence,
        event.index,
    )
    changes = [Change("key", key.kid, row)]
    if entry.holder == "meter":
        changes += _meter_rows(state, key.kid, entry)
    elif entry.holder == "node":
        changes += _relay_rows(state, entry)
    return _changed(event, changes, f"{entry.holder} {entry.name} enrolled")


def _enrol_fault(state: State, key: PublicKey, entry: KeyEntry) -> str | None:
    if entry.holder not in HOLDERS:
        return f"no holder {entry.holder!r}: {', '.join(HOLDERS)}"
    if NAME.fullmatch(entry.name) is None:
        return f"{entry.name!r} is no name"
    if key.kid in state.keys:
        return f"the key {key.kid.hex()} is registered already"
    if _holder_kids(state, entry.holder, entry.name):
        return f"{entry.holder} {entry.name} has a key: rotate or revoke it first"
    if entry.first_sequence < 1:
        return "sequences start at 1 or later"
    if not set(entry.roles) <= set(PEOPLE) or (entry.roles and entry.holder != "member"):
        return f"roles are for members: {', '.join(PEOPLE)}"
    if entry.holder == "meter":
        return _meter_fault(state, entry)
    return _relay_fault(entry) if entry.holder == "node" else None


def _meter_fault(state: State, entry: KeyEntry) -> str | None:
    for what, name in (("node", entry.node), ("member", entry.member)):
        if NAME.fullmatch(name) is None:
            return f"meter {entry.name} has no {what}"
    if entry.purpose not in PURPOSES:
        return f"meter {entry.name}: no purpose {entry.purpose!r}: {', '.join(PURPOSES)}"
    if entry.parent == entry.name or (entry.parent and NAME.fullmatch(entry.parent) is None):
        return f"meter {entry.name}: {entry.parent!r} cannot be its parent"
    return "a rated power is not negative" if entry.rated_mw < 0 else None


def _relay_fault(entry: KeyEntry) -> str | None:
    for relay in entry.relays:
        if NAME.fullmatch(relay.relay) is None or relay.deenergised not in DEENERGISED:
            return f"relay {relay.relay!r} needs a name, and deenergised: fed or cut"
        if relay.member and NAME.fullmatch(relay.member) is None:
            return f"relay {relay.relay}: {relay.member!r} is no member"
        if min(relay.rated_mw, relay.min_on_ms, relay.min_off_ms) < 0:
            return f"relay {relay.relay}: rated power and least times are not negative"
    if len({relay.relay for relay in entry.relays}) < len(entry.relays):
        return f"node {entry.name} has two relays of one name"
    return None


def _meter_rows(state: State, kid: bytes, entry: KeyEntry) -> list[Change]:
    """The meter's row. A new device under an old name counts from its own first register."""
    meter = Meter(
        kid,
        entry.node,
        entry.member,
        entry.purpose,
        entry.parent,
        entry.model,
        entry.rated_mw,
        entry.serial,
    )
    rows = [Change("meter", entry.name, meter)]
    if entry.name in state.meters:
        rows += [Change("cursor", entry.name, None), Change("calibration", entry.name, None)]
        rows += [Change("edge", key, None) for key in sorted(state.edges) if key[1] == entry.name]
    return rows


def _relay_rows(state: State, entry: KeyEntry) -> list[Change]:
    gone = [key for key in sorted(state.relays) if key[0] == entry.name]
    rows = [Change("relay", key, None) for key in gone]
    rows += [Change("contact", key, None) for key in gone if key in state.contacts]
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
        )
        rows.append(Change("relay", (entry.name, relay.relay), record))
    return rows


def _rotate(state: State, event: Event, entry: KeyEntry) -> Outcome:
    try:
        new = parse_cose_key(entry.key)
        old_kid = _kid(entry.replaces)
    except BadKey as error:
        return ignore(event, str(error))
    old = state.keys.get(old_kid)
    if old is None or old.until_index is not None or old.rotated_to:
        return ignore(event, f"{old_kid.hex()} is no key that could be rotated")
    if new.kid in state.keys:
        return ignore(event, f"the key {new.kid.hex()} is registered already")
    last = tuple(sorted(entry.last_sequences.items()))
    row = old._replace(
        cose_key=new.cose_key, first_sequence=max(entry.first_sequence, 1), from_index=event.index
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
    try:
        named = [_kid(entry.key)] if entry.key else []
    except BadKey as error:
        return ignore(event, str(error))
    named = named or [*_holder_kids(state, entry.holder, entry.name)]
    kids = tuple(kid for kid in named if kid in state.keys)
    if not kids:
        return ignore(event, f"{entry.holder} {entry.name} has no such key")
    if _leaves_nobody(state, kids):
        return ignore(event, "the microgrid would be left without an administrator")
    rows = {kid: state.keys[kid] for kid in kids}
    changes = [
        Change("key", kid, row._replace(until_index=event.index))
        for kid, row in rows.items()
        if row.until_index is None
    ]
    for kid, row in rows.items():
        meter = state.meters.get(row.name)
        if row.holder == "meter" and meter is not None and meter.kid == kid:
            changes.append(Change("meter", row.name, meter._replace(is_retired=True)))
    return _changed(event, changes, f"the key of {entry.holder} {entry.name} is revoked")


def _role(state: State, event: Event, entry: KeyEntry) -> Outcome:
    kids = _holder_kids(state, "member", entry.name)
    if not kids:
        return ignore(event, f"member {entry.name} has no key")
    if not set(entry.roles) <= set(PEOPLE):
        return ignore(event, f"roles are {', '.join(PEOPLE)}")
    if "administrator" not in entry.roles and _leaves_nobody(state, kids):
        return ignore(event, "the microgrid would be left without an administrator")
    changes = [Change("key", kid, state.keys[kid]._replace(roles=entry.roles)) for kid in kids]
    return _changed(event, changes, f"member {entry.name} has other roles")


_ACTIONS: Final = {"enrol": _enrol, "rotate": _rotate, "revoke": _revoke, "role": _role}


def _changed(event: Event, changes: list[Change], what: str) -> Outcome:
    return Outcome(tuple(changes), (RegistryChanged(event.index, what),))


def _kid(raw: bytes) -> bytes:
    """Return the key id in a key id, a thumbprint or a COSE_Key; raises BadKey."""
    return raw[:KID_BYTES] if len(raw) in (KID_BYTES, 32) else parse_cose_key(raw).kid


def _holder_kids(state: State, holder: str, name: str) -> tuple[bytes, ...]:
    """Return the ids of the keys that count for somebody now, in order."""
    return tuple(
        sorted(
            kid
            for kid, key in state.keys.items()
            if key.holder == holder and key.name == name
            if key.until_index is None and not key.rotated_to
        )
    )


def _leaves_nobody(state: State, without: tuple[bytes, ...]) -> bool:
    return not any(
        "administrator" in key.roles
        for kid, key in state.keys.items()
        if kid not in without and key.until_index is None and not key.rotated_to
    )
