"""Records off the ledger: who owns which, who may read it until when, and who did.

A built-in contract that every policy has, called by members like any other (`Call.contract` is
"records"); so each request is signed, counts once and is timed, and each one, served or refused,
is an entry that stays. Ids only: what a record says is never here.

    put     commitment (RFC 9995), purpose, locators, owner     answer {record}
    grant   what, grantee, until_slot_ms                        answer {}
    revoke  what, grantee                                       answer {}
    read    record, reply_key                                   answer {record, owner, why}
    unseal  meter, from_ms, until_ms, reply_key, case           answer {meter, owner, why}
    erase   record                                              answer {record}

`what` is a record's id in hex, or a purpose: then all of that purpose, those to come included;
"reading" is what the sealed readings of one's meters say. A
record's id is the entry id of its put. `case` is the regulator's, who reads under an open one
(`hub.core.investigating`). Source: paper 000 section 3, owner grants and revokes, and the regulator
reads where malpractice is investigated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hub.core.asking import Answer, Methods, Request, is_member, serve
from hub.core.draft import Draft
from hub.core.events import Event
from hub.core.investigating import use_case
from hub.core.records import Access, Kept, Meter
from hub.market.contract import Value
from hub.market.errors import CallRefused
from messages import cose
from messages.entries import Call, network_aad
from messages.errors import MessageError
from messages.publickey import parse_cose_key

CONTRACT: Final = "records"
PURPOSES: Final = ("bill", "profile", "consent", "identity", "other")
READING: Final = "reading"
GRANTED: Final = (*PURPOSES, READING)
"""What is granted as a whole: records by purpose, and the sealed readings of all one's meters."""
UNSEAL_MS_MAX: Final = 31 * 86_400_000
"""The longest stretch of readings in one answer. [ms]"""
KEEPERS: Final = ("administrator", "manager", "service")
"""Roles that may put a record that is somebody else's, such as a bill."""
REPLY_KEY_BYTES: Final = 32
LOCATORS_MAX: Final = 1_000
COMMITMENT_BYTES_MAX: Final = 400

_RECORD_ID: Final = re.compile(r"[0-9a-f]{64}")
_LOCATORS: Final = re.compile(r"[^\n]+/[0-9a-f]{64}")


def keep_records(draft: Draft, event: Event, call: Call, next_slot_ms: int) -> Mapping[str, Value]:
    """Serve one call, and return its answer.

    Raises:
        CallRefused: the text says why; nothing has changed.
    """
    return serve(draft, event, call, next_slot_ms, _METHODS)


def _put(asked: Request) -> Answer:
    owner, purpose = asked.text("owner") or asked.member, asked.text("purpose")
    if owner != asked.member and not set(KEEPERS) & set(asked.key.roles):
        raise CallRefused(
            f"a record of {owner} is put by {owner}, or by a {' or a '.join(KEEPERS)}"
        )
    if purpose not in PURPOSES:
        raise CallRefused(f"no purpose {purpose!r}: {', '.join(PURPOSES)}")
    if not is_member(asked.draft, owner):
        raise CallRefused(f"no member {owner}")
    locators = asked.text("locators")
    if len(locators) > LOCATORS_MAX or _LOCATORS.fullmatch(locators) is None:
        raise CallRefused(f"locators have 1 to {LOCATORS_MAX} characters, and end in /<sha-256>")
    record_id, digest = asked.event.leaf_hash, _committed(asked)
    if asked.draft.row("committed", digest) is not None:
        # The hub knows a record's key by its digest: who repeats one would be given that key.
        raise CallRefused("another record has this commitment")
    asked.draft.put("committed", digest, record_id)
    asked.draft.put("record", record_id, Kept(owner, purpose, digest, locators, asked.member))
    return {"record": record_id, "owner": owner}


def _committed(asked: Request) -> bytes:
    """Return the hash that the caller's own RFC 9995 message commits to."""
    raw, network = asked.octets("commitment"), asked.draft.state.network
    try:
        envelope = cose.parse(raw, limit=COMMITMENT_BYTES_MAX)
        aad = network_aad(network.network_id if network else b"")
        cose.verify(envelope, parse_cose_key(asked.key.cose_key), aad)
    except MessageError as error:
        raise CallRefused(f"the commitment: {error}") from None
    if not envelope.sealed:
        raise CallRefused("the commitment is no sealed message (RFC 9995)")
    return envelope.payload


def _grant(asked: Request) -> Answer:
    place, until_ms = _place(asked), asked.number("until_slot_ms")
    if not is_member(asked.draft, place[2]):
        raise CallRefused(f"no member {place[2]}")
    if until_ms < asked.next_slot_ms:
        raise CallRefused(f"the grant would have ended at {until_ms}, now is {asked.next_slot_ms}")
    asked.draft.put("grant", place, until_ms)
    return {}


def _revoke(asked: Request) -> Answer:
    place = _place(asked)
    if asked.draft.row("grant", place) is None:
        raise CallRefused(f"{place[2]} has no grant to {place[1]} of {place[0]}")
    asked.draft.put("grant", place, None)
    return {}


def _read(asked: Request) -> Answer:
    record_id, record = _record(asked)
    reply_key = _reply_key(asked)
    why = _why(asked, record.owner, (record_id.hex(), record.purpose))
    if not why:
        raise CallRefused(f"{asked.member} has no grant to this record")
    access = Access(record_id, asked.member, why, reply_key, asked.event.index)
    asked.draft.put("access", asked.call_id, access)
    return {"record": record_id, "owner": record.owner, "why": why}


def _unseal(asked: Request) -> Answer:
    meter_id = asked.text("meter")
    meter: Meter | None = asked.draft.row("meter", meter_id)
    from_ms, until_ms = asked.number("from_ms"), asked.number("until_ms")
    if not 0 <= from_ms < until_ms <= from_ms + UNSEAL_MS_MAX:
        raise CallRefused(f"readings are asked for at most {UNSEAL_MS_MAX // 86_400_000} days")
    reply_key = _reply_key(asked)
    why = "" if meter is None else _why(asked, meter.member, (READING,))
    if meter is None or not why:
        # One sentence for both, which names nobody: names of meters can be guessed.
        raise CallRefused(f"{asked.member} has no grant to a meter {meter_id!r}")
    access = Access(
        b"", asked.member, why, reply_key, asked.event.index, meter_id, from_ms, until_ms
    )
    asked.draft.put("access", asked.call_id, access)
    return {"meter": meter_id, "owner": meter.member, "why": why}


def _reply_key(asked: Request) -> bytes:
    key = asked.octets("reply_key")
    if len(key) != REPLY_KEY_BYTES:
        raise CallRefused(f"a reply key has {REPLY_KEY_BYTES} bytes (X25519)")
    return key


def _why(asked: Request, owner: str, grants: tuple[str, ...]) -> str:
    """Return the word for why the caller may read what is an owner's, empty if he may not.

    `grants` are the grants that would do. A case that is named has to do by itself.
    """
    case = asked.text("case")
    if case:
        use_case(asked, case, owner)
        return f"case {case}"
    if asked.member == owner:
        return "owner"
    for what in grants:
        until_ms = asked.draft.row("grant", (owner, what, asked.member))
        if until_ms is not None and until_ms >= asked.next_slot_ms:
            return "grant"
    return ""


def _erase(asked: Request) -> Answer:
    record_id, record = _record(asked)
    if asked.member != record.owner:
        raise CallRefused("only its owner erases a record")
    asked.draft.put("record", record_id, record._replace(erased_index=asked.event.index))
    return {"record": record_id}


_METHODS: Final[Methods[Answer]] = {
    "put": (("commitment", "purpose", "locators", "owner"), _put),
    "grant": (("what", "grantee", "until_slot_ms"), _grant),
    "revoke": (("what", "grantee"), _revoke),
    "read": (("record", "reply_key", "case"), _read),
    "unseal": (("meter", "from_ms", "until_ms", "reply_key", "case"), _unseal),
    "erase": (("record",), _erase),
}


def _record(asked: Request) -> tuple[bytes, Kept]:
    record_id = asked.octets("record")
    found: Kept | None = asked.draft.row("record", record_id)
    if found is None or found.erased_index is not None:
        raise CallRefused("no such record" if found is None else "that record was erased")
    return record_id, found


def _place(asked: Request) -> tuple[str, str, str]:
    """Return whose, what and to whom; what is the caller's own, or a purpose."""
    what, grantee = asked.text("what"), asked.text("grantee")
    if _RECORD_ID.fullmatch(what):
        record: Kept | None = asked.draft.row("record", bytes.fromhex(what))
        if record is None or record.owner != asked.member:
            raise CallRefused(f"{asked.member} has no record {what}")
    elif what not in GRANTED:
        raise CallRefused(f"{what!r} is neither a record nor a purpose: {', '.join(GRANTED)}")
    return asked.member, what, grantee
