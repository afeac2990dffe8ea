"""From a ledger entry to what the fold reads: its place in the log, its signer, what it says.

Signatures are not looked at here: `hub.intake` did before the entry was appended, and an audit does
it again (`hub.ledger.verify`). The fold trusts the bytes and judges rights and meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from messages import cose
from messages.cose import Envelope
from messages.entries import (
    BlockHeader,
    Call,
    Close,
    Decision,
    Gap,
    Genesis,
    KeyEntry,
    NodeEvent,
    PolicyEntry,
    Seal,
    parse_entry,
)
from messages.errors import MalformedMessage
from messages.feeding import Feed
from messages.investigation import Notice
from messages.log.tree import leaf_hash
from messages.logkeeping import LogEntry
from messages.reading import Reading, decode_reading, parse_reading
from messages.relayfault import RelayFault
from messages.senml import CONTENT_TYPE

Body: TypeAlias = (
    Reading
    | Genesis
    | KeyEntry
    | PolicyEntry
    | Close
    | Gap
    | Decision
    | Seal
    | BlockHeader
    | NodeEvent
    | Call
    | Notice
    | LogEntry
    | Feed
    | RelayFault
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log. `leaf_hash` is its entry id, `kid` says whose key signed it."""

    index: int
    leaf_hash: bytes
    kid: bytes
    body: Body


def read_event(index: int, raw: bytes, preimage: bytes | None = None) -> Event:
    """Return the event in the bytes of an entry.

    Raises:
        MessageError: the bytes are no entry of ours; such bytes are never appended.
    """
    envelope = cose.parse(raw)
    return Event(index, leaf_hash(raw), envelope.kid, read_body(envelope, preimage))


def read_body(envelope: Envelope, preimage: bytes | None = None) -> Body:
    """Return what an entry says; a sealed reading says what its preimage does.

    Raises:
        MessageError: no entry of ours, or a preimage that the entry does not commit to.
    """
    if envelope.content_type != CONTENT_TYPE:
        return parse_entry(envelope)
    if not envelope.sealed:
        return parse_reading(envelope)
    if preimage is None:
        raise MalformedMessage("a sealed reading without its preimage cannot be folded")
    return decode_reading(cose.open_sealed(envelope, preimage))
