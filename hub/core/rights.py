"""Who may sign what: one table, one function. Everything that is not in the table is refused.

A key has the role of its holder (meter, node, hub, log, member) and those that an administrator
gave it. The first administrator, named by genesis, holds every role of a member, so that one
person can run a microgrid; `key` entries of action "role" spread them later.

Source: paper 000, section 3: the administrator alone adds policies, adopted from the regulator; the
manager deploys the local contracts that the members agreed on, and enrols members.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.core.events import Body, Event
from hub.core.pricing import keeps_prices
from hub.core.records import Key
from hub.core.state import State
from messages.banking import CONTRACT as BANKING
from messages.banking import DEPOSIT
from messages.disputes import CONTRACT as DISPUTES
from messages.entries import (
    Ack,
    BlockHeader,
    Calibration,
    Call,
    Close,
    Decision,
    Epoch,
    Gap,
    Genesis,
    KeyEntry,
    NodeEvent,
    PolicyEntry,
    Seal,
)
from messages.errors import BadKey
from messages.feeding import Feed
from messages.investigation import Notice
from messages.logkeeping import Quorum, Takeover
from messages.membership import OFFICE_HOLDERS, ORDINARY_ROLES, key_id
from messages.reading import STREAM as REGISTER
from messages.reading import Reading
from messages.relayfault import WORKS, RelayFault

EVENT: Final = "event"
CASES: Final = "cases"
"""The built-in contract of investigations (`hub.core.investigating`)."""
RULE: Final = "rule"

DEVICES: Final = ("meter", "node", "replica", "feeder", "hub", "log")
"""Holders whose role cannot be given to anybody else."""

RIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    "reading": ("meter",),
    "ack": ("node",),
    "epoch": ("node",),
    "calibration": ("node",),
    "close": ("hub",),
    "gap": ("hub",),
    "decision": ("hub",),
    "fault": ("hub",),
    "fault cleared": ("hub", "administrator", "manager"),
    "seal": ("hub",),
    "block": ("hub", "replica"),
    "feed": ("feeder",),
    "call": ("member",),
    "call case": ("regulator",),
    "bank deposit": ("bank",),
    "notice": ("hub",),
    "dispute": ("member",),
    "dispute ruling": ("regulator",),
    "key enrol": ("administrator", "manager"),
    "key rotate": ("administrator", "manager"),
    "key revoke": ("administrator", "manager"),
    "key role": ("administrator",),
    "key describe": ("administrator", "manager"),
    "key of an office": ("administrator",),
    "key rotate own": ("meter", "node", "replica", "feeder", "member"),
    "policy prices": ("administrator",),
    "policy rules": ("administrator", "manager"),
    "quorum": ("administrator",),
    "takeover": ("administrator",),
}
"""Kind of entry -> roles that may sign it. Genesis is signed by the key it names, once.

"key of an office": enrols, rotates or revokes a key that holds an office (`messages.membership`),
or revokes that of hub or log.
"key rotate own": the old key itself names its successor.
"fault cleared": a relay works again, as measurement has it or who mended it.
"call case": opens, uses or closes a case of the regulator's.
"bank deposit": mints; payouts are asked for by any "call".
"dispute": opens, answers, concedes or withdraws one; whose it is, `hub.core.disputing` judges.
"""

_KINDS: Final[Mapping[type, str]] = {
    Reading: "reading",
    Ack: "ack",
    Epoch: "epoch",
    Calibration: "calibration",
    Close: "close",
    Gap: "gap",
    Decision: "decision",
    RelayFault: "fault",
    Seal: "seal",
    BlockHeader: "block",
    Call: "call",
    Notice: "notice",
    Feed: "feed",
    Genesis: "genesis",
    KeyEntry: "key",
    PolicyEntry: "policy",
    Quorum: "quorum",
    Takeover: "takeover",
}


def kind_of(body: Body) -> str:
    """Return the word for what an entry is: reading, close, key, ..."""
    return _KINDS[type(body)]


def cell(state: State, event: Event) -> str:
    """Return the row of RIGHTS that an entry falls under.

    A policy that leaves the regulator's prices as they are at its slot is a matter of rules.
    """
    body = event.body
    if isinstance(body, RelayFault) and body.fault == WORKS:
        return "fault cleared"
    if isinstance(body, KeyEntry):
        return _key_cell(state, event.kid, body)
    if isinstance(body, PolicyEntry):
        return "policy rules" if keeps_prices(state, body) else "policy prices"
    if isinstance(body, Call) and body.contract == CASES:
        return "call case"
    if isinstance(body, Call) and (body.contract, body.method) == (BANKING, DEPOSIT):
        return "bank deposit"
    if isinstance(body, Call) and body.contract == DISPUTES:
        return "dispute ruling" if body.method == RULE else "dispute"
    return _KINDS[type(body)]


def _key_cell(state: State, signer: bytes, entry: KeyEntry) -> str:
    if entry.action == "rotate" and entry.replaces and _names(entry.replaces, signer):
        return "key rotate own"
    held = {
        role
        for key in state.keys.values()
        if (key.holder, key.name) == (entry.holder, entry.name) and key.is_current
        for role in key.roles
    }
    is_office = entry.holder in OFFICE_HOLDERS or not {*entry.roles, *held} <= set(ORDINARY_ROLES)
    if entry.action != "role" and is_office:
        return "key of an office"
    return f"key {entry.action}"


def _names(named: bytes, kid: bytes) -> bool:
    try:
        return key_id(named) == kid
    except BadKey:
        return False


def objection(state: State, event: Event) -> str | None:
    """Say why an entry has no right to change the state; None: it has."""
    body = event.body
    if isinstance(body, Genesis):
        return None if event.index == 0 else "only entry 0 can be the genesis"
    key = state.keys.get(event.kid)
    if key is None:
        return f"no key {event.kid.hex()} is registered"
    if key.until_index is not None:
        return f"the key of {key.holder} {key.name} was revoked at entry {key.until_index}"
    row = cell(state, event)
    allowed = RIGHTS.get(row, ())
    if key.holder not in allowed and not any(role in allowed for role in key.roles):
        return f"a {row} entry is signed by {_either(allowed)}, not by {key.holder} {key.name}"
    return _stranger(state, key, body) or (_retired(key, body) if key.rotated_to else None)


def _stranger(state: State, key: Key, body: Body) -> str | None:
    """Say why a device speaks of what is not its own."""
    if isinstance(body, Reading) and body.meter_id != key.name:
        return f"the key is of meter {key.name}, the reading of {body.meter_id}"
    if isinstance(body, NodeEvent) and body.node != key.name:
        return f"the key is of node {key.name}, the entry of {body.node}"
    if isinstance(body, Ack) and (body.node, body.relay) not in state.relays:
        return f"node {body.node} has no relay {body.relay}"
    if isinstance(body, Epoch | Calibration):
        meter = state.meters.get(body.meter_id)
        if meter is None or meter.node != body.node:
            return f"node {body.node} has no meter {body.meter_id}"
    return None


def _retired(key: Key, body: Body) -> str | None:
    """Say why a rotated key no longer counts: only what it had signed before still does."""
    last = dict(key.last_sequences)
    if isinstance(body, Reading):
        is_late = body.sequence <= last.get(REGISTER, 0)
    else:
        is_late = isinstance(body, NodeEvent) and body.event <= last.get(EVENT, 0)
    return None if is_late else f"{key.holder} {key.name} has a new key"


def _either(roles: tuple[str, ...]) -> str:
    return " or ".join(roles) if roles else "nobody"
