"""From bytes off the broker to a verified message, or to a refusal with its reason. Pure.

`verify` judges one message by itself: size, form, signature, whose key, what it may say on that
channel. Any worker can do it. Order is judged in `hub.sequencer`. Bytes from outside never raise
past this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from messages import cose, sealed, senml, telemetry
from messages.cose import Envelope
from messages.entries import (
    Ack,
    Calibration,
    Call,
    Epoch,
    KeyEntry,
    NodeEvent,
    content_type,
    network_aad,
    parse_as,
)
from messages.errors import BadSignature, MalformedMessage, MessageError
from messages.live import Live, parse_live
from messages.log.tree import leaf_hash
from messages.membership import check_proof, entry_fault, key_id
from messages.publickey import PublicKey
from messages.reading import STREAM as REGISTER
from messages.reading import Reading, decode_reading, parse_reading
from messages.slots import crosses_edge, is_edge
from messages.status import Hello, Status
from messages.telemetry import Pack, parse_pack

MESSAGE_BYTES_MAX: Final = 32_768
FUTURE_MS_MAX: Final = 120_000  # how far a meter's clock may be ahead of the hub's
ORDERED: Final = frozenset(("register", "telemetry", "event"))  # contiguous and durable


class Reason(StrEnum):
    """Why a message was refused: the word that is counted, sent and never changes its meaning."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    REVOKED_KEY = "revoked-key"
    RETIRED_KEY = "retired-key"
    WRONG_SIGNER = "wrong-signer"
    WRONG_NODE = "wrong-node"
    WRONG_CHANNEL = "wrong-channel"
    WRONG_MICROGRID = "wrong-microgrid"
    WRONG_METER = "wrong-meter"
    OFF_SLOT_EDGE = "off-slot-edge"
    CROSSES_SLOT_EDGE = "crosses-slot-edge"
    FROM_THE_FUTURE = "from-the-future"
    BAD_ROTATION = "bad-rotation"
    NOT_SEALED = "not-sealed"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One registered key as intake needs it; the fold's registry says all this.

    `holder`: meter, node or member. `name`: its meter id, node name or member name. `node`: the one
    node that may carry its messages, "" for any. `first_sequence`: what each of its streams begins
    with. `last_sequences`: what a rotated key may still send, None while it is the current one.
    """

    key: PublicKey
    holder: str
    name: str
    node: str
    first_sequence: int = 1
    last_sequences: Mapping[str, int] | None = None
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What does not change from message to message. `slot_ms`, `readings`: as genesis has them."""

    network_id: bytes
    microgrid: str
    slot_ms: int
    future_ms_max: int = FUTURE_MS_MAX
    readings: str = "open"


Body = Reading | Pack | Live | NodeEvent | Hello | Status | Call | KeyEntry


@dataclass(frozen=True, slots=True)
class Verified:
    """One message whose signer, form and content are in order; its order is not judged yet.

    `stream` is register, telemetry, event (acks, epochs, calibrations), live, hello, status or
    call; `sequence` is 0 for the last three, which have no order. `name` is the signer's. A sealed
    reading's `raw` is the signed message alone, `preimage` what it commits to.
    """

    raw: bytes
    leaf_hash: bytes
    kid: bytes
    name: str
    node: str
    kind: str
    stream: str
    sequence: int
    first_sequence: int
    at_ms: int
    body: Body
    preimage: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """One message that stays outside: a stable word and a sentence for the sender's log.

    `kid`, `stream` and `sequence` are set only if the signature is good and the message can never
    be admitted, so that a gap entry may stand in its place.
    """

    reason: Reason
    sentence: str
    node: str
    kid: bytes = b""
    stream: str = ""
    sequence: int = 0
    first_sequence: int = 1

    @property
    def is_final(self) -> bool:
        """Whether a gap may stand in its place."""
        return self.sequence > 0


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one content type is read on one channel, and who may sign it there; "": anybody."""

    word: str
    holder: str
    stream: str
    parse: Callable[[Envelope], Body]
    is_bound: bool  # to the network, by external_aad


def _said(
    kind: type[NodeEvent | Hello | Status | Call | KeyEntry], holder: str, stream: str
) -> _Kind:
    return _Kind(kind.KIND, holder, stream, lambda envelope: parse_as(kind, envelope), True)


# (last word of the topic, content type) -> how it is read. What is not here is refused.
KINDS: Final[Mapping[tuple[str, int | str], _Kind]] = MappingProxyType(
    {
        ("register", senml.CONTENT_TYPE): _Kind(
            "reading", "meter", "register", parse_reading, False
        ),
        ("telemetry", telemetry.CONTENT_TYPE): _Kind(
            "telemetry", "meter", "telemetry", parse_pack, False
        ),
        ("live", senml.CONTENT_TYPE): _Kind("live", "meter", "live", parse_live, False),
        ("ack", content_type(Ack.KIND)): _said(Ack, "node", "event"),
        ("ack", content_type(Epoch.KIND)): _said(Epoch, "node", "event"),
        ("ack", content_type(Calibration.KIND)): _said(Calibration, "node", "event"),
        ("hello", content_type(Hello.KIND)): _said(Hello, "node", "hello"),
        ("status", content_type(Status.KIND)): _said(Status, "node", "status"),
        ("call", content_type(Call.KIND)): _said(Call, "member", "call"),
        ("call", content_type(KeyEntry.KIND)): _said(KeyEntry, "", "call"),
    }
)


def verify(
    raw: bytes,
    node: str,
    channel: str,
    registry: Mapping[bytes, KnownKey],
    rules: Rules,
    now_ms: int,
) -> Verified | Refused:
    """Judge one message by itself.

    Args:
        raw: the bytes as they came; the same bytes are stored and hashed.
        node: the node in the topic.
        channel: the last word of the topic: register, telemetry, live, ack, ...
        registry: the keys in force, by kid.
        rules: network id, microgrid and slot length.
        now_ms: the hub's clock. [ms UTC]
    """
    if len(raw) > MESSAGE_BYTES_MAX:
        sentence = f"{len(raw)} bytes are too many: a message has at most {MESSAGE_BYTES_MAX}"
        return Refused(Reason.TOO_LARGE, sentence, node)
    try:
        raw, preimage = sealed.split(raw)
        envelope = cose.parse(raw)
        known = registry.get(envelope.kid)
        kind = KINDS.get((channel, envelope.content_type))
        if known is None or kind is None:
            return _refuse_stranger(envelope, known, node, channel)
        aad = network_aad(rules.network_id) if kind.is_bound else b""
        cose.verify(envelope, known.key, aad)
        body = kind.parse(envelope) if preimage is None else _open(kind, envelope, preimage)
    except BadSignature as error:
        return Refused(Reason.BAD_SIGNATURE, str(error), node)
    except MessageError as error:
        return Refused(Reason.MALFORMED, str(error), node)
    sequence, at_ms = _place(body)
    verified = Verified(
        raw,
        leaf_hash(raw),
        envelope.kid,
        known.name,
        node,
        kind.word,
        kind.stream,
        sequence,
        known.first_sequence,
        at_ms,
        body,
        preimage,
    )
    return (
        _refuse_signer(verified, known, kind) or _refuse_body(verified, rules, now_ms) or verified
    )


def _refuse_stranger(
    envelope: Envelope, known: KnownKey | None, node: str, channel: str
) -> Refused:
    if known is None:
        sentence = f"no key {envelope.kid.hex()} is enrolled here: run `gridtally-hub enrol`"
        return Refused(Reason.UNKNOWN_KEY, sentence, node)
    sentence = f"content type {envelope.content_type} does not belong on the channel {channel}"
    return Refused(Reason.WRONG_CHANNEL, sentence, node)


def _open(kind: _Kind, envelope: Envelope, preimage: bytes) -> Body:
    """Return what a sealed reading says."""
    if kind.stream != REGISTER:
        raise MalformedMessage(f"a {kind.word} is never sealed")
    return decode_reading(cose.open_sealed(envelope, preimage))


def _place(body: Body) -> tuple[int, int]:
    """Return the (sequence, instant) that a body carries, 0 where it has none."""
    if isinstance(body, Reading | Live):
        return body.sequence, body.at_ms
    if isinstance(body, Pack):
        return body.sequence, body.last_ms
    if isinstance(body, NodeEvent):
        return body.event, body.at_ms
    return 0, body.at_ms if isinstance(body, Status) else 0


def _refuse_signer(message: Verified, known: KnownKey, kind: _Kind) -> Refused | None:
    if kind.holder and known.holder != kind.holder:
        sentence = f"{kind.word} is for a {kind.holder}'s key to sign, this is a {known.holder}'s"
        return Refused(Reason.WRONG_SIGNER, sentence, message.node)
    if known.node and known.node != message.node:
        sentence = f"{known.holder} {known.name} belongs to node {known.node}, not {message.node}"
        return Refused(Reason.WRONG_NODE, sentence, message.node)
    if known.is_revoked:
        sentence = f"the key {message.kid.hex()} of {known.holder} {known.name} was revoked"
        return Refused(Reason.REVOKED_KEY, sentence, message.node)
    if message.sequence and known.last_sequences is not None:
        last = known.last_sequences.get(message.stream, 0)
        if message.sequence > last:
            sentence = (
                f"{known.holder} {known.name} has a new key; its old one counts up to {last} of "
                f"{message.stream}, this is {message.sequence}"
            )
            return Refused(Reason.RETIRED_KEY, sentence, message.node)
    return None


def _refuse_body(message: Verified, rules: Rules, now_ms: int) -> Refused | None:
    body = message.body
    if isinstance(body, Reading | Live | Pack):
        if body.microgrid != rules.microgrid:
            sentence = f"it is of microgrid {body.microgrid}, this is {rules.microgrid}"
            return _final(message, Reason.WRONG_MICROGRID, sentence)
        if body.meter_id != message.name:
            sentence = f"the key is of meter {message.name}, the message of {body.meter_id}"
            return _final(message, Reason.WRONG_METER, sentence)
    elif isinstance(body, KeyEntry):
        return _refuse_rotation(message, body, rules)
    elif not isinstance(body, Call) and body.node != message.node:
        sentence = f"the message says node {body.node}, its topic {message.node}"
        return _final(message, Reason.WRONG_NODE, sentence)
    if isinstance(body, Reading) and rules.readings == "sealed" and message.preimage is None:
        sentence = 'readings are sealed in this microgrid: set readings = "sealed" in edge.toml'
        return _final(message, Reason.NOT_SEALED, sentence)
    if message.at_ms > now_ms + rules.future_ms_max:
        ahead_s = (message.at_ms - now_ms) // 1000
        sentence = f"its time is {ahead_s} s ahead of the hub's clock: check both clocks"
        return Refused(Reason.FROM_THE_FUTURE, sentence, message.node)
    return _refuse_slot(message, rules.slot_ms)


def _refuse_rotation(message: Verified, entry: KeyEntry, rules: Rules) -> Refused | None:
    """A key may name its own successor from afar; all else about keys comes through the inbox."""
    sentence = entry_fault(entry) or ""
    if not sentence and (entry.action != "rotate" or key_id(entry.replaces) != message.kid):
        sentence = "a key names its own successor this way, and changes no other"
    if not sentence:
        try:
            check_proof(entry, rules.network_id)
        except MessageError as error:
            sentence = f"the new key did not agree: {error}"
    return Refused(Reason.BAD_ROTATION, sentence, message.node) if sentence else None


def _refuse_slot(message: Verified, slot_ms: int) -> Refused | None:
    body = message.body
    if isinstance(body, Reading) and not is_edge(body.at_ms, slot_ms):
        sentence = f"{body.at_ms} is no edge of a slot of {slot_ms} ms"
        return _final(message, Reason.OFF_SLOT_EDGE, sentence)
    if isinstance(body, Pack) and crosses_edge(body.t0_ms, body.last_ms, slot_ms):
        sentence = f"samples from {body.t0_ms} to {body.last_ms} cross an edge of {slot_ms} ms"
        return _final(message, Reason.CROSSES_SLOT_EDGE, sentence)
    return None


def _final(message: Verified, reason: Reason, sentence: str) -> Refused:
    if message.stream not in ORDERED:
        return Refused(reason, sentence, message.node)
    return Refused(
        reason,
        sentence,
        message.node,
        message.kid,
        message.stream,
        message.sequence,
        message.first_sequence,
    )
