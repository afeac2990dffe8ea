"""Each bad message is refused for its own reason, with a sentence, and none raises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.intake import (
    FUTURE_MS_MAX,
    KINDS,
    MESSAGE_BYTES_MAX,
    KnownKey,
    Reason,
    Refused,
    Rules,
    Verified,
    verify,
)
from messages import cose
from messages.entries import Ack, Calibration, Call, Close, Epoch, KeyEntry, sign_entry
from messages.live import Live, sign_live
from messages.log.tree import leaf_hash
from messages.possession import Claim
from messages.publickey import P256_ORDER, Signer
from messages.reading import Reading, sign_reading
from messages.status import Hello, Status
from messages.telemetry import Pack, sign_pack
from messages.topics import UP
from tests.support.signers import ed25519, p256

NETWORK = bytes(range(32))
SLOT_MS = 900_000
NOW_MS = 1_767_225_600_000
RULES = Rules(NETWORK, "bench", SLOT_MS)
METER, CHIP, NODE, MEMBER = ed25519("m1"), p256("m2"), ed25519("n1"), ed25519("alice")
REGISTRY = {
    METER.public.kid: KnownKey(METER.public, "meter", "m1", "n1", first_sequence=3),
    CHIP.public.kid: KnownKey(CHIP.public, "meter", "m2", "n1"),
    NODE.public.kid: KnownKey(NODE.public, "node", "n1", "n1"),
    MEMBER.public.kid: KnownKey(MEMBER.public, "member", "alice", ""),
}
READING = Reading("bench", "m1", 5, NOW_MS, 1_000, 2_000)
PACK = Pack("bench", "m1", 6, NOW_MS, 1_000, ("power_mw",), (tuple(range(60)),))
LIVE = Live("bench", "m1", 7, NOW_MS, power_mw=-5)
ACK = Ack(8, "n1", "r1", 1, True, "applied", "", NOW_MS, bytes(16), 1)
EPOCH = Epoch(9, "n1", "m1", 1, 5, 6, 0, 0, "swapped", NOW_MS)
CALIBRATION = Calibration(
    10, "n1", "m1", 12_000, 0, 0, 0, 0, 1_000, None, None, 988, None, None, 30, "", NOW_MS
)
HELLO = Hello("n1", bytes(16), "", (), 0, "test")
STATUS = Status("n1", bytes(16), (), (), 0, 0, NOW_MS)
CALL = Call(bytes(16), NOW_MS, "market", "order", {})
HEIR = ed25519("m1 again")


def successor(**changes: Any) -> KeyEntry:
    """The meter's key names its successor."""
    entry = KeyEntry(
        "rotate",
        "meter",
        "m1",
        HEIR.public.cose_key,
        replaces=METER.public.kid,
        last_sequences={"register": 5},
        proof=Claim(NETWORK, "meter", "m1").prove(HEIR),
    )
    return replace(entry, **changes)


def said(signer: Signer, body: Any) -> bytes:
    return sign_entry(signer, body, NETWORK)


def judge(raw: bytes, channel: str = "register", **changes: Any) -> Verified | Refused:
    given: dict[str, Any] = {
        "node": "n1",
        "registry": REGISTRY,
        "rules": RULES,
        "now_ms": NOW_MS,
    }
    return verify(raw, channel=channel, **(given | changes))


@pytest.mark.parametrize(
    ("channel", "raw", "expected"),
    [
        ("register", sign_reading(METER, READING), ("reading", "register", 5, NOW_MS, "m1")),
        (
            "register",
            sign_reading(CHIP, replace(READING, meter_id="m2")),
            ("reading", "register", 5, NOW_MS, "m2"),
        ),
        ("telemetry", sign_pack(METER, PACK), ("telemetry", "telemetry", 6, NOW_MS + 59_000, "m1")),
        ("live", sign_live(METER, LIVE), ("live", "live", 7, NOW_MS, "m1")),
        ("ack", said(NODE, ACK), ("ack", "event", 8, NOW_MS, "n1")),
        ("ack", said(NODE, EPOCH), ("epoch", "event", 9, NOW_MS, "n1")),
        ("ack", said(NODE, CALIBRATION), ("calibration", "event", 10, NOW_MS, "n1")),
        ("hello", said(NODE, HELLO), ("hello", "hello", 0, 0, "n1")),
        ("status", said(NODE, STATUS), ("status", "status", 0, NOW_MS, "n1")),
        ("call", said(MEMBER, CALL), ("call", "call", 0, 0, "alice")),
        ("call", said(METER, successor()), ("key", "call", 0, 0, "m1")),
    ],
)
def test_what_is_right_is_verified(channel: str, raw: bytes, expected: tuple[object, ...]) -> None:
    found = judge(raw, channel)
    assert isinstance(found, Verified)
    assert (found.kind, found.stream, found.sequence, found.at_ms, found.name) == expected
    assert (found.raw, found.leaf_hash, found.node) == (raw, leaf_hash(raw), "n1")
    assert found.first_sequence == (3 if found.name == "m1" else 1)


def test_every_channel_is_read_somehow() -> None:
    assert {channel for channel, _ in KINDS} == set(UP)


OTHER = ed25519("stranger")
REASONS: list[tuple[Reason, str, str, bytes, dict[str, Any], bool]] = [
    (Reason.TOO_LARGE, "32769 bytes are too many", "register", bytes(32_769), {}, False),
    (Reason.MALFORMED, "COSE_Sign1", "register", b"\xff\x00", {}, False),
    (Reason.MALFORMED, "", "register", b"", {}, False),
    (Reason.MALFORMED, "", "register", sign_reading(METER, READING)[:-1], {}, False),
    (Reason.MALFORMED, "", "register", sign_reading(METER, READING) + b"\x00", {}, False),
    (Reason.MALFORMED, "", "register", cose.sign1(METER, 112, b"\x80"), {}, False),
    (
        Reason.UNKNOWN_KEY,
        f"no key {OTHER.public.kid.hex()} is enrolled here",
        "register",
        sign_reading(OTHER, READING),
        {},
        False,
    ),
    (
        Reason.WRONG_CHANNEL,
        "does not belong on the channel telemetry",
        "telemetry",
        sign_reading(METER, READING),
        {},
        False,
    ),
    (
        Reason.WRONG_CHANNEL,
        "gridtally.close+cbor does not belong",
        "ack",
        said(NODE, Close(NOW_MS, "complete", (), NOW_MS)),
        {},
        False,
    ),
    (
        Reason.MALFORMED,
        "",
        "live",
        sign_reading(METER, READING),
        {},
        False,
    ),
    (
        Reason.WRONG_SIGNER,
        "ack is for a node's key to sign, this is a meter's",
        "ack",
        said(METER, ACK),
        {},
        False,
    ),
    (
        Reason.WRONG_SIGNER,
        "reading is for a meter's key to sign, this is a node's",
        "register",
        sign_reading(NODE, READING),
        {},
        False,
    ),
    (
        Reason.WRONG_NODE,
        "meter m1 belongs to node n1, not n2",
        "register",
        sign_reading(METER, READING),
        {"node": "n2"},
        False,
    ),
    (
        Reason.WRONG_NODE,
        "says node n9, its topic n1",
        "ack",
        said(NODE, replace(ACK, node="n9")),
        {},
        True,
    ),
    (
        Reason.WRONG_MICROGRID,
        "it is of microgrid other, this is bench",
        "register",
        sign_reading(METER, replace(READING, microgrid="other")),
        {},
        True,
    ),
    (
        Reason.WRONG_METER,
        "the key is of meter m1, the message of m2",
        "register",
        sign_reading(METER, replace(READING, meter_id="m2")),
        {},
        True,
    ),
    (
        Reason.OFF_SLOT_EDGE,
        "no edge of a slot of 900000 ms",
        "register",
        sign_reading(METER, replace(READING, at_ms=NOW_MS + 1)),
        {},
        True,
    ),
    (
        Reason.CROSSES_SLOT_EDGE,
        "cross an edge",
        "telemetry",
        sign_pack(METER, replace(PACK, t0_ms=NOW_MS - 1_000)),
        {},
        True,
    ),
    (
        Reason.FROM_THE_FUTURE,
        "its time is 900 s ahead of the hub's clock",
        "register",
        sign_reading(METER, replace(READING, at_ms=NOW_MS + SLOT_MS)),
        {},
        False,
    ),
    (
        Reason.NOT_SEALED,
        'set readings = "sealed" in edge.toml',
        "register",
        sign_reading(METER, READING),
        {"rules": replace(RULES, readings="sealed")},
        True,
    ),
    (
        Reason.BAD_ROTATION,
        "the new key did not agree",
        "call",
        said(METER, successor(proof=Claim(bytes(32), "meter", "m1").prove(HEIR))),
        {},
        False,
    ),
    (
        Reason.BAD_ROTATION,
        "is countersigned by the new key",
        "call",
        said(METER, successor(proof=b"")),
        {},
        False,
    ),
    (
        Reason.BAD_ROTATION,
        "a key names its own successor this way, and changes no other",
        "call",
        said(NODE, successor()),
        {},
        False,
    ),
    (
        Reason.BAD_ROTATION,
        "a key names its own successor this way, and changes no other",
        "call",
        said(MEMBER, KeyEntry("revoke", "meter", "m1", b"")),
        {},
        False,
    ),
    (
        Reason.BAD_ROTATION,
        "a small-order point",
        "call",
        said(METER, successor(key=bytes.fromhex("a30101200621582001" + "00" * 31))),
        {},
        False,
    ),
    (
        Reason.BAD_SIGNATURE,
        "does not verify",
        "ack",
        sign_entry(NODE, ACK, bytes(32)),  # another network
        {},
        False,
    ),
]


@pytest.mark.parametrize(("reason", "sentence", "channel", "raw", "changes", "is_final"), REASONS)
def test_what_is_wrong_is_refused_for_its_reason(
    reason: Reason, sentence: str, channel: str, raw: bytes, changes: dict[str, Any], is_final: bool
) -> None:
    found = judge(raw, channel, **changes)
    assert isinstance(found, Refused)
    assert found.reason is reason
    assert sentence in found.sentence
    assert len(found.sentence) > 10
    assert found.is_final is is_final
    if is_final:
        assert found.kid
        assert (found.stream, found.sequence) in (("register", 5), ("telemetry", 6), ("event", 8))


def test_every_reason_is_tested() -> None:
    elsewhere = {Reason.REVOKED_KEY, Reason.RETIRED_KEY}
    assert {reason for reason, *_ in REASONS} == set(Reason) - elsewhere


@pytest.mark.parametrize("signer", [METER, CHIP])
def test_a_bit_turned_anywhere_is_refused(signer: Signer) -> None:
    raw = sign_reading(signer, replace(READING, meter_id="m1" if signer is METER else "m2"))
    for bit in range(len(raw) * 8):
        turned = bytearray(raw)
        turned[bit // 8] ^= 1 << bit % 8
        assert isinstance(judge(bytes(turned)), Refused), bit


def test_every_cut_is_refused() -> None:
    raw = sign_pack(METER, PACK)
    for end in range(len(raw)):
        assert isinstance(judge(raw[:end], "telemetry"), Refused)


def test_the_largest_message_is_looked_at() -> None:
    found = judge(bytes(MESSAGE_BYTES_MAX))
    assert isinstance(found, Refused)
    assert found.reason is Reason.MALFORMED


def test_a_high_s_is_another_spelling_of_a_signature() -> None:
    raw = sign_reading(CHIP, replace(READING, meter_id="m2"))
    high = P256_ORDER - int.from_bytes(raw[-32:], "big")
    found = judge(raw[:-32] + high.to_bytes(32, "big"))
    assert isinstance(found, Refused)
    assert found.reason is Reason.BAD_SIGNATURE


def test_the_key_decides_the_algorithm() -> None:
    """An ES256 header over an Ed25519 key's id."""
    raw = bytearray(sign_reading(METER, READING))
    at = bytes(raw).index(b"\x01\x27\x03")  # {1: -8, 3: ...
    raw[at + 1] = 0x26
    found = judge(bytes(raw))
    assert isinstance(found, Refused)
    assert found.reason is Reason.BAD_SIGNATURE


def test_the_future_begins_after_what_clocks_may_differ() -> None:
    raw = sign_reading(METER, READING)
    assert isinstance(judge(raw, now_ms=NOW_MS - FUTURE_MS_MAX), Verified)
    assert isinstance(judge(raw, now_ms=NOW_MS - FUTURE_MS_MAX - 1), Refused)


def with_key(**changes: Any) -> dict[bytes, KnownKey]:
    return REGISTRY | {METER.public.kid: replace(REGISTRY[METER.public.kid], **changes)}


def test_a_revoked_key() -> None:
    found = judge(sign_reading(METER, READING), registry=with_key(is_revoked=True))
    assert isinstance(found, Refused)
    assert found.reason is Reason.REVOKED_KEY
    assert not found.is_final  # nothing of it may stand on the log, not even a gap


@pytest.mark.parametrize(("last", "is_taken"), [({"register": 5}, True), ({"register": 4}, False)])
def test_a_rotated_key_counts_up_to_its_last(last: dict[str, int], is_taken: bool) -> None:
    found = judge(sign_reading(METER, READING), registry=with_key(last_sequences=last))
    assert isinstance(found, Verified) is is_taken
    if isinstance(found, Refused):
        assert found.reason is Reason.RETIRED_KEY
        assert "its old one counts up to 4 of register, this is 5" in found.sentence


def test_a_rotated_key_says_no_more_of_what_it_did_not_name() -> None:
    found = judge(
        sign_pack(METER, PACK), "telemetry", registry=with_key(last_sequences={"register": 5})
    )
    assert isinstance(found, Refused)
    assert found.reason is Reason.RETIRED_KEY


def test_a_member_speaks_through_any_node() -> None:
    assert isinstance(judge(said(MEMBER, CALL), "call", node="n7"), Verified)
