"""What stands beside the log and was signed by somebody: cosignatures, and evidence.

Each row has to be what its signer signed. The counts of what was refused are the hub's own diary:
nobody signed them, so nobody can check them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.ledger.log import Log
from hub.ledger.records import Cosigned, Evidence
from hub.ledger.strangers import Strangers
from messages import cose, telemetry
from messages.cose import Envelope
from messages.entries import NodeEvent, network_aad, parse_entry
from messages.errors import MessageError
from messages.keyring import KeyRing
from messages.log.cosignature import open_cosignatures
from messages.log.policy import LogPolicy, parse_policy
from messages.log.tree import leaf_hash
from messages.reading import parse_reading
from messages.senml import CONTENT_TYPE
from messages.trust import Trust

BOUND: Final = frozenset(("event",))  # streams whose messages are bound to the network


def faults_beside(log: Log, trust: Trust, ring: KeyRing) -> Iterator[str]:
    """Yield every row beside the log that is not what it says."""
    policy, notes = parse_policy(trust.policy), {}
    for row in log.cosignatures.all():
        if row.size not in notes:
            notes.update({note.size: note.note for note in log.checkpoints(row.size, row.size)})
        fault = _cosignature_fault(row, notes.get(row.size), policy)
        if fault:
            yield f"the cosignature by {row.name} over {row.size} entries: {fault}"
    for found in Strangers(log.engine).evidence():
        try:
            fault = _evidence_fault(log, found, network_aad(trust.network_id), ring)
        except MessageError as error:
            fault = str(error)
        if fault:
            place = f"{found.stream} {found.sequence} of key {found.kid.hex()}"
            yield f"the evidence about {place}: {fault}"


def _cosignature_fault(row: Cosigned, note: str | None, policy: LogPolicy) -> str:
    if note is None:
        return "no such checkpoint is stored"
    try:
        found = open_cosignatures(note + row.line, tuple(policy.witnesses.values()))
    except MessageError as error:
        return str(error)
    if not found and (row.name, row.key_id) not in _named(policy):
        return ""  # of a witness that hub.toml names, or trust.toml once did: it counts for nothing
    said = [(each.key.name, each.key.key_id, each.time_s, each.line) for each in found]
    if said != [(row.name, row.key_id, row.time_s, row.line)]:
        return "the line is not what its row says"
    return ""


def _named(policy: LogPolicy) -> set[tuple[str, bytes]]:
    return {(key.name, key.key_id) for key in policy.witnesses.values()}


def _evidence_fault(log: Log, found: Evidence, aad: bytes, ring: KeyRing) -> str:
    if leaf_hash(found.offered) != found.leaf_hash:
        return "what was offered is not what was hashed"
    if _stored(log, found) != found.stored:
        return "what it says is stored there is not"
    for raw in (found.stored, found.offered):
        envelope = cose.parse(raw)
        if envelope.kid != found.kid:
            return "one of the two is of another key"
        cose.verify(envelope, ring.key(found.kid), aad if found.stream in BOUND else b"")
        if not envelope.sealed and _place(envelope) != (found.stream, found.sequence):
            return "one of the two is of another place"
    return ""


def _stored(log: Log, found: Evidence) -> bytes | None:
    if found.stream == "telemetry":
        pack = log.packs.pack(found.kid, found.sequence)
        if pack is None:
            return None
        return pack.raw or found.stored  # its body may be gone by retention
    entry = log.stored(found.kid, found.stream, found.sequence)
    return None if entry is None else entry.raw


def _place(envelope: Envelope) -> tuple[str, int]:
    if envelope.content_type == CONTENT_TYPE:
        return "register", parse_reading(envelope).sequence
    if envelope.content_type == telemetry.CONTENT_TYPE:
        return "telemetry", telemetry.parse_pack(envelope).sequence
    body = parse_entry(envelope)
    return ("event", body.event) if isinstance(body, NodeEvent) else ("", 0)
