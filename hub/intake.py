"""From bytes off the broker to a message that may enter the log, or a refusal with its reason. Pure.

Two halves. `verify` judges one message by itself: size, form, signature, whose key, what it may say
on that channel. Any worker can do it. `Sequencer.admit` judges order: the next contiguous sequence
of each (key, stream) and nothing else. There is one. Neither stores anything, and bytes from
outside never raise past this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from messages import cose, network_aad
from messages.entries import Ack, Call, Epoch
from messages.errors import BadSignature, MessageError
from messages.live import Live
from messages.log.tree import leaf_hash
from messages.publickey import PublicKey
from messages.reading import Reading
from messages.slots import is_edge, slot_start
from messages.status import Hello, Status
from messages.telemetry import Pack

MESSAGE_BYTES_MAX: Final = 32_768
FUTURE_MS_MAX: Final = 120_000  # how far a meter's clock may be ahead of the hub's
WINDOW: Final = 16  # early messages held for each stream
WINDOWS_MAX: Final = 4_096  # held in all


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


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One registered key as intake needs it; the fold's registry says all this.

    `role`: meter, node or member. `name`: its meter id, node name or member name. `node`: the one
    node that may carry its messages, "" for any. `last_sequences`: a rotated key's last for each
    stream. `first_sequence`: what each of its streams begins with.
    """

    key: PublicKey
    role: str
    name: str
    node: str
    first_sequence: int = 1
    last_sequences: Mapping[str, int] = field(default_factory=dict)
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What does not change from message to message. `slot_ms` as genesis has it."""

    network_id: bytes
    microgrid: str
    slot_ms: int
    future_ms_max: int = FUTURE_MS_MAX


Body = Reading | Pack | Live | Ack | Epoch | Hello | Status | Call


@dataclass(frozen=True, slots=True)
class Verified:
    """One message whose signer, form and content are in order; its order is not judged yet.

    `stream` is register, telemetry, event (acks and epochs), live, hello, status or call;
    `sequence` is 0 for the last three, which have no order. `name` is the signer's.
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

    @property
    def is_final(self) -> bool:
        """Whether a gap may stand in its place."""
        return self.sequence > 0


Parse = Callable[[cose.Envelope], Body]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one content type is read on one channel, and who may sign it there."""

    word: str
    role: str
    stream: str
    parse: Parse
    is_bound: bool  # to the network, by external_aad


def verify(
    raw: bytes, node: str, channel: str, registry: Mapping[bytes, KnownKey], rules: Rules, now_ms: int
) -> Verified | Refused:
    """Judge one message by itself.

    Args:
        raw: the bytes as they came; the same bytes are stored and hashed.
        node: the node in the topic, `channel` the last part of it: register, ack, ...
        registry: the keys in force, by kid.
        rules: network id, microgrid and slot length.
        now_ms: the hub's clock. [ms UTC]
    """
    if len(raw) > MESSAGE_BYTES_MAX:
        sentence = f"{len(raw)} bytes are too many: a message has at most {MESSAGE_BYTES_MAX}"
        return Refused(Reason.TOO_LARGE, sentence, node)
    try:
        envelope = cose.parse(raw)
    except MessageError as error:
        return Refused(Reason.MALFORMED, str(error), node)
    known = registry.get(envelope.kid)
    refused = _refuse_signer(envelope, known, node, channel)
    if refused or known is None:
        return refused or _unknown(envelope, node)
    kind = KINDS[channel, envelope.content_type]
    try:
        cose.verify(envelope, known.key, network_aad(rules.network_id) if kind.is_bound else b"")
    except BadSignature as error:
        return Refused(Reason.BAD_SIGNATURE, f"{known.role} {known.name}: {error}", node)
    try:
        body = kind.parse(envelope)
    except MessageError as error:
        return Refused(Reason.MALFORMED, f"{known.role} {known.name}: {error}", node)
    return _judge(_Signed(envelope, known, kind, body, node), rules, now_ms)
