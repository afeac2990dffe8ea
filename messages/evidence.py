"""Evidence that somebody signed two things that cannot both be true, as a file for strangers.

Canonical JSON (`messages.jsontext`); bytes are base64, keys hex of a COSE_Key.

    {"format": "gridtally-evidence-1", "kind": "heads", "first": <signed note>,
     "second": <signed note>, "prefix_root": <base64 or "">, "proof": [<base64>]}

Two heads of one log. Of one size they have different roots, and "prefix_root" is "". Else the
first is the smaller one, and the proof (RFC 6962 consistency, from its size to the second's) shows
that the tree under the second begins with "prefix_root", which is not the root of the first: so
no consistency proof between the two can exist.

    {"format": "gridtally-evidence-1", "kind": "contents", "key": <hex>, "first": <base64>,
     "second": <base64>}

Two messages of one key for one place, with different content: the same sequence of a stream, the
same slot closed, the same height of a block. Signatures are not compared: a signer can make many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from messages import cose, entries, live, reading, schema, senml, telemetry
from messages.cose import Envelope
from messages.entries import BlockHeader, Close, NodeEvent, network_aad
from messages.errors import BadProof, MalformedMessage, MessageError
from messages.jsontext import format_json, parse_json
from messages.log.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from messages.log.cosignature import open_cosignatures
from messages.log.note import NoteKey, parse_note, unbase64
from messages.log.tree import check_consistency
from messages.publickey import PublicKey

FORMAT: Final = "gridtally-evidence-1"
METER_STREAMS: Final = ("register", "live", "telemetry")


@dataclass(frozen=True, slots=True)
class Heads:
    """Two heads of one log, as signed notes; the first is not the larger one."""

    first: str
    second: str
    prefix_root: str = ""
    proof: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """Two messages (base64) that one key (COSE_Key in hex) signed for one place."""

    key: str
    first: str
    second: str


KINDS: Final = {"heads": Heads, "contents": Contents}
Evidence = Heads | Contents


def format_evidence(evidence: Evidence) -> str:
    """Return the text of an evidence file."""
    kind = next(name for name, known in KINDS.items() if isinstance(evidence, known))
    return format_json({"format": FORMAT, "kind": kind, **schema.to_map(evidence)})


def parse_evidence(text: str) -> Evidence:
    """Return what an evidence file holds; it need not hold good.

    Raises:
        MalformedMessage: another format, or a field missing, unknown or of another type.
    """
    fields = parse_json(text)
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise MalformedMessage(f"no evidence file: its format is not {FORMAT}")
    kind = KINDS.get(str(fields.pop("kind", "")))
    if kind is None:
        raise MalformedMessage(f"evidence is of kind {' or '.join(KINDS)}")
    found: Evidence = schema.from_map(kind, fields)
    return found


def check_heads(
    evidence: Heads, log_key: NoteKey, witnesses: Sequence[NoteKey] = ()
) -> tuple[Checkpoint, Checkpoint]:
    """Return the two heads that cannot both be true.

    The first is signed by the log; the second by the log or by a witness, whom the log showed it.

    Raises:
        MalformedMessage, BadSignature: a note is none, or a signature does not verify.
        BadProof: nobody known signed one of them, or both can be true.
    """
    first = open_checkpoint(evidence.first, log_key)
    second = _open_head(evidence.second, log_key, witnesses)
    if first.size == second.size:
        if first.root == second.root:
            raise BadProof("both heads say the same")
        return first, second
    prefix_root = unbase64(evidence.prefix_root)
    if prefix_root == first.root:
        raise BadProof("the second tree begins with the first: both heads can be true")
    hashes = [unbase64(line) for line in evidence.proof]
    check_consistency(first.size, second.size, hashes, prefix_root, second.root)
    return first, second


def _open_head(note: str, log_key: NoteKey, witnesses: Sequence[NoteKey]) -> Checkpoint:
    try:
        return open_checkpoint(note, log_key)
    except BadProof:
        head = parse_checkpoint(parse_note(note).text)
        if head.origin != log_key.name or not open_cosignatures(note, tuple(witnesses)):
            raise
        return head


def check_contents(evidence: Contents, key: PublicKey, network_id: bytes) -> str:
    """Return the place for which a key signed two contents, in words.

    Raises:
        MalformedMessage: a message of another form, or one that has no place of its own.
        BadSignature: the key did not sign one of them.
        BadProof: two places, or one content.
    """
    messages = [cose.parse(unbase64(text)) for text in (evidence.first, evidence.second)]
    places = [place_of(message) for message in messages]
    for message, (stream, _) in zip(messages, places, strict=True):
        aad = b"" if stream in METER_STREAMS else network_aad(network_id)
        cose.verify(message, key, aad)
    if places[0] != places[1]:
        raise BadProof(f"two places: {_told(places[0])} and {_told(places[1])}")
    if messages[0].payload == messages[1].payload:
        raise BadProof("both messages say the same")
    return _told(places[0])


def place_of(envelope: Envelope) -> tuple[str, int]:
    """Return where a message of a key stands: (stream, sequence), or what it is the only one of.

    Raises:
        MessageError: it has no place of its own, or is sealed and does not show it.
    """
    if envelope.content_type == senml.CONTENT_TYPE:
        try:
            return reading.STREAM, reading.parse_reading(envelope).sequence
        except MessageError:
            return live.STREAM, live.parse_live(envelope).sequence
    if envelope.content_type == telemetry.CONTENT_TYPE:
        return telemetry.STREAM, telemetry.parse_pack(envelope).sequence
    body: Any = entries.parse_entry(envelope)
    if isinstance(body, NodeEvent):
        return "event", body.event
    if isinstance(body, Close):
        return "slot", body.slot_start_ms
    if isinstance(body, BlockHeader):
        return "block", body.height
    raise MalformedMessage(f"a {body.KIND} has no place that only one can have")


def _told(place: tuple[str, int]) -> str:
    return f"{place[0]} {place[1]}"
