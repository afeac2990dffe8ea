"""Who can be what, and what a key entry must say: the rules that need no state.

The fold, the verifier of a ledger and the reader of enrolment files all ask here, so that an entry
that means nothing to one of them means nothing to any.
"""

from __future__ import annotations

import re
from typing import Final

from messages.entries import DEENERGISED, PURPOSES, SETPOINTS, KeyEntry
from messages.errors import BadKey
from messages.feeding import facts_fault
from messages.fuels import FUELS
from messages.possession import Claim
from messages.publickey import EDDSA, KID_BYTES, SIGNATURE_BYTES, PublicKey, parse_cose_key
from messages.topics import NAME

ACTIONS: Final = ("enrol", "rotate", "revoke", "role", "describe")
HOLDERS: Final = ("meter", "node", "replica", "feeder", "member")
FOUNDED: Final = ("hub", "log")
"""Holders of keys that genesis names and trust.toml repeats: they can be revoked, not replaced."""
OFFICE_HOLDERS: Final = (*FOUNDED, "replica", "feeder")
"""Holders whose keys only an administrator touches."""

ROTATION: Final = "key"
"""The stream of a key's word on its own successor: one message, sequence 1, in receipts alone."""

ROLES: Final = (
    "member",
    "administrator",
    "manager",
    "regulator",
    "supplier",
    "bank",
    "storage",
    "prosumer",
    "consumer",
    "service",
    "witness",
)
"""Roles that a member's key can hold."""
ORDINARY_ROLES: Final = ("member", "prosumer", "consumer")
"""What a manager can call a member who joins."""
OFFICES: Final = tuple(role for role in ROLES if role not in ORDINARY_ROLES)
"""Only an administrator gives these, and touches the keys that hold them."""

SOURCES: Final = ("generation", "storage", "net")
"""Purposes of meters behind which energy can come from."""
LOCATION_CHARS_MAX: Final = 48

_REVOCABLE: Final = tuple(("revoke", holder) for holder in FOUNDED)
_LOCATION: Final = re.compile(r"[^\W_](?:[\w .,'()/+-]*[\w.)])?")
_FINE: Final = re.compile(r"\d[.,]\d{3}")


def location_complaint(location: str) -> str:
    """Return what is wrong with where a meter says it is, or an empty text.

    >>> location_complaint("Upper Mill, north bank")
    ''
    >>> location_complaint("46.53, 7.47")
    ''
    >>> location_complaint("46.53071, 7.47892")
    'at most two decimals (1 km): the ledger keeps it for ever, for all to read'
    """
    if location and not _LOCATION.fullmatch(location):
        return "a place in letters, digits, blanks and .,'()/+-"
    if len(location) > LOCATION_CHARS_MAX:
        return f"at most {LOCATION_CHARS_MAX} characters"
    if _FINE.search(location):
        return "at most two decimals (1 km): the ledger keeps it for ever, for all to read"
    return ""


def fuel_complaint(fuel: str, purpose: str) -> str:
    """Return what is wrong with a meter's fuel, or an empty text."""
    if fuel and fuel not in FUELS:
        return f"no fuel {fuel!r}: {', '.join(FUELS)}"
    if fuel and purpose not in SOURCES:
        return f"a meter for {purpose} has no fuel: {', '.join(SOURCES)} have"
    return ""


def entry_fault(entry: KeyEntry) -> str | None:
    """Say why a key entry can mean nothing, whatever came before it; None: it can."""
    if entry.action not in ACTIONS:
        return f"no action {entry.action!r}: {', '.join(ACTIONS)}"
    if entry.holder not in HOLDERS and (entry.action, entry.holder) not in _REVOCABLE:
        return f"no holder {entry.holder!r}: {', '.join(HOLDERS)}"
    if NAME.fullmatch(entry.name) is None:
        return f"{entry.name!r} is no name"
    if not set(entry.roles) <= set(ROLES) or (entry.roles and entry.holder != "member"):
        return f"roles are for members: {', '.join(ROLES)}"
    try:
        return _FAULTS[entry.action](entry)
    except BadKey as error:
        return str(error)


def check_proof(entry: KeyEntry, network_id: bytes) -> None:
    """Check that the key which an entry registers agreed; an enrolment may lack its word.

    An entry that can mean nothing registers no key, and is passed over.

    Raises:
        BadSignature: it did not agree.
    """
    registers = entry.action == "rotate" or (entry.action == "enrol" and entry.proof)
    if registers and entry_fault(entry) is None:
        Claim(network_id, entry.holder, entry.name).check(key_of(entry), entry.proof)


def key_of(entry: KeyEntry) -> PublicKey:
    """Return the key that an enrol or rotate entry names; BadKey if it cannot be registered."""
    return parse_cose_key(entry.key)


def key_id(named: bytes) -> bytes:
    """Return the key id in a key id, a thumbprint or a COSE_Key; BadKey if it is none."""
    return named[:KID_BYTES] if len(named) in (KID_BYTES, 32) else parse_cose_key(named).kid


def _enrol_fault(entry: KeyEntry) -> str | None:
    key_of(entry)
    if entry.first_sequence < 1:
        return "sequences start at 1 or later"
    if entry.proof and len(entry.proof) != SIGNATURE_BYTES:
        return f"a proof of possession has {SIGNATURE_BYTES} bytes"
    if entry.holder == "replica" or entry.vrf:
        return _replica_fault(entry)
    if entry.holder == "feeder":
        return facts_fault(entry.facts)
    if entry.facts:
        return f"a {entry.holder} tells no facts from outside: a feeder does"
    if entry.holder == "meter":
        return _meter_fault(entry)
    return _relay_fault(entry) if entry.holder == "node" else None


def _replica_fault(entry: KeyEntry) -> str | None:
    """A replica draws lots with a key of its own, which signs nothing."""
    if entry.holder != "replica":
        return f"a {entry.holder} has no random function"
    vrf = parse_cose_key(entry.vrf)
    if vrf.alg != EDDSA:
        return "a replica's random function has an Ed25519 key"
    return "a replica's random function has a key of its own" if vrf == key_of(entry) else None


def _rotate_fault(entry: KeyEntry) -> str | None:
    key_of(entry)
    if entry.vrf:
        return "a rotation leaves the random function as it is: revoke and enrol the replica"
    key_id(entry.replaces)
    if len(entry.proof) != SIGNATURE_BYTES:
        return "a rotation is countersigned by the new key"
    if entry.first_sequence < 1 or min(entry.last_sequences.values(), default=0) < 0:
        return "sequences start at 1 or later, and none that was the last is negative"
    return None


def _revoke_fault(entry: KeyEntry) -> str | None:
    if entry.key:
        key_id(entry.key)
    return None


def _role_fault(entry: KeyEntry) -> str | None:
    return None if entry.holder == "member" else f"roles are for members: {', '.join(ROLES)}"


def _describe_fault(entry: KeyEntry) -> str | None:
    if entry.holder != "meter":
        return "only meters have a fuel and a location"
    if complaint := fuel_complaint(entry.fuel, SOURCES[0]):
        return complaint
    where = location_complaint(entry.location)
    return f"its location: {where}" if where else None


_FAULTS: Final = {
    "enrol": _enrol_fault,
    "rotate": _rotate_fault,
    "revoke": _revoke_fault,
    "role": _role_fault,
    "describe": _describe_fault,
}


def _meter_fault(entry: KeyEntry) -> str | None:
    for what, name in (("node", entry.node), ("member", entry.member)):
        if NAME.fullmatch(name) is None:
            return f"meter {entry.name} has no {what}"
    if entry.purpose not in PURPOSES:
        return f"meter {entry.name}: no purpose {entry.purpose!r}: {', '.join(PURPOSES)}"
    if entry.parent == entry.name or (entry.parent and NAME.fullmatch(entry.parent) is None):
        return f"meter {entry.name}: {entry.parent!r} cannot be its parent"
    complaint = fuel_complaint(entry.fuel, entry.purpose)
    if not complaint and (where := location_complaint(entry.location)):
        complaint = f"its location: {where}"
    if complaint:
        return f"meter {entry.name}: {complaint}"
    return "a rated power is not negative" if entry.rated_mw < 0 else None


def _relay_fault(entry: KeyEntry) -> str | None:
    for relay in entry.relays:
        if NAME.fullmatch(relay.relay) is None or relay.deenergised not in DEENERGISED:
            return f"relay {relay.relay!r} needs a name, and deenergised: fed or cut"
        if relay.member and NAME.fullmatch(relay.member) is None:
            return f"relay {relay.relay}: {relay.member!r} is no member"
        if relay.setpoint not in SETPOINTS:
            return f"relay {relay.relay}: no set-point {relay.setpoint!r}"
        if relay.setpoint and (relay.deenergised, bool(relay.load)) != ("fed", True):
            return f"relay {relay.relay}: a set-point names its meter, and is fed without it"
        if min(relay.rated_mw, relay.min_on_ms, relay.min_off_ms) < 0:
            return f"relay {relay.relay}: rated power and least times are not negative"
        if min(relay.importance, relay.shed_price_utok_per_kwh) < 0:
            return f"relay {relay.relay}: importance and price are not negative"
    if len({relay.relay for relay in entry.relays}) < len(entry.relays):
        return f"node {entry.name} has two relays of one name"
    return None
