"""One byte string a message: the profile of COSE_Sign1, its keys, and everything it refuses."""

from __future__ import annotations

import base64
import hashlib

import pytest

from messages import cbor, cose
from messages.errors import BadKey, BadProof, BadSignature, MalformedMessage, MessageError
from messages.publickey import EDDSA, ES256, P256_ORDER, PublicKey, Signer, parse_cose_key
from messages.reading import parse_reading
from tests.support.signers import ed25519, p256
from tests.support.vectors import vectors

DEMO = vectors("trust/checkpoint_cosignature_demo")
METER = PublicKey(EDDSA, bytes.fromhex(DEMO["meter_pub"]))
SIGNERS = (ed25519("meter"), p256("meter"))


def published_key(key: dict[str, str]) -> PublicKey:
    def part(name: str) -> bytes:
        if f"{name}_hex" in key:
            return bytes.fromhex(key[f"{name}_hex"])
        return base64.urlsafe_b64decode(key[name] + "==")

    return (
        PublicKey(EDDSA, part("x"))
        if key["kty"] == "OKP"
        else PublicKey(ES256, part("x") + part("y"))
    )


@pytest.mark.parametrize(
    "case", vectors("trust/cose_sign1")["vectors"], ids=lambda c: c["title"][:12]
)
def test_published_messages(case: dict[str, object]) -> None:
    """Signatures verify as marked; none fits the profile, which wants kid in the signed header."""
    raw = bytes.fromhex(str(case["cose"]))
    with pytest.raises(MalformedMessage):
        cose.parse(raw)
    parts = getattr(cbor.cbor2.loads(raw), "value", None) or cbor.cbor2.loads(raw)
    protected, _, payload, signature = parts
    aad = bytes.fromhex(str(case["external_aad"]))
    covered = cose.signed_bytes(protected if protected != b"\xa0" else b"", payload, aad)
    if case["key"]["kty"] == "EC":  # type: ignore[index]
        signature = signature[:32] + low(signature[32:])
    try:
        published_key(case["key"]).verify(signature, covered)  # type: ignore[arg-type]
        holds = covered.hex() == case["to_be_signed"] and raw[0] in (0xD2, 0x84)
    except BadSignature:
        holds = False
    assert holds is case["valid"]


def low(s: bytes) -> bytes:
    """The published signatures may have a high s, which is valid to COSE and refused by us."""
    number = int.from_bytes(s, "big")
    return min(number, P256_ORDER - number).to_bytes(32, "big")


def test_every_published_demo_entry_verifies() -> None:
    assert METER.kid.hex() == DEMO["kid"]
    for text in DEMO["entries"]:
        envelope = cose.parse(bytes.fromhex(text))
        cose.verify(envelope, METER)
        assert envelope.content_type == 112


def test_thumbprints_are_the_published_ones() -> None:
    for case in vectors("trust/cose_key_thumbprint")["vectors"]:
        key = {
            int(k): v if isinstance(v, int) else bytes.fromhex(v)
            for k, v in case["cose_key"].items()
        }
        parsed = parse_cose_key(cbor.encode(key))
        assert parsed.thumbprint.hex() == case["sha256"]
        assert parsed.kid.hex() == case["sha256"][:16]
        assert parsed.fingerprint.replace("-", "") == case["sha256"][:16]


def test_sealed_reading_verifies_and_opens_with_its_preimage_only() -> None:
    case = vectors("trust/sealed_reading_proposed")
    envelope, preimage = cose.parse(bytes.fromhex(case["cose"])), bytes.fromhex(case["preimage"])
    cose.verify(envelope, METER)
    assert envelope.sealed
    assert envelope.content_type == 112

    content = cose.open_sealed(envelope, preimage)
    assert content == cbor.decode(preimage)[1]
    assert cbor.decode(content)[1] == {0: "import", 1: "Wh", 2: 1100}
    for place in range(len(preimage)):
        bad = bytearray(preimage)
        bad[place] ^= 1
        with pytest.raises(BadProof, match="another preimage"):
            cose.open_sealed(envelope, bytes(bad))
    with pytest.raises(MalformedMessage, match="not SenML in the open"):
        parse_reading(envelope)
    with pytest.raises(MalformedMessage, match="is not sealed"):
        cose.open_sealed(cose.parse(cose.sign1(SIGNERS[0], 112, envelope.payload)), preimage)


@pytest.mark.parametrize(
    ("preimage", "finding"),
    [
        (cbor.encode([bytes(31), b"x"]), "a salt has 32 bytes"),
        (cbor.encode([bytes(32), "x"]), "both bytes"),
        (cbor.encode([bytes(32)]), "both bytes"),
        (cbor.encode({0: bytes(32)}), "both bytes"),
        (b"\x82", "not deterministic CBOR"),
    ],
)
def test_a_preimage_of_another_form_is_refused(preimage: bytes, finding: str) -> None:
    protected = cbor.encode({1: EDDSA, 4: bytes(8), 258: -16, 259: 112})
    payload = hashlib.sha256(preimage).digest()
    with pytest.raises(MalformedMessage, match=finding):
        cose.open_sealed(cose.parse(message(protected, {}, payload, bytes(64))), preimage)


def test_small_order_keys_are_refused_with_the_reason() -> None:
    for text in vectors("trust/ed25519_small_order_keys")["refuse_at_registration"]:
        with pytest.raises(BadKey, match="small-order"):
            PublicKey(EDDSA, bytes.fromhex(text))


@pytest.mark.parametrize(
    ("alg", "raw", "finding"),
    [
        (EDDSA, bytes(31), "32 bytes, not 31"),
        (EDDSA, b"\xff" * 31 + b"\x7f", "not below p"),
        (EDDSA, (2).to_bytes(32, "little"), "not on the curve"),
        (ES256, bytes(63), "64 bytes"),
        (ES256, bytes(63) + b"\x01", "not on the curve"),
        (-37, bytes(32), "neither EdDSA"),
    ],
)
def test_keys_that_may_not_be_registered(alg: int, raw: bytes, finding: str) -> None:
    with pytest.raises(BadKey, match=finding):
        PublicKey(alg, raw)


@pytest.mark.parametrize("signer", SIGNERS, ids=["ed25519", "p256"])
def test_key_comes_back_from_its_cose_key(signer: Signer) -> None:
    raw = signer.public.cose_key
    assert parse_cose_key(raw) == signer.public
    for bad in (
        raw[:-1],
        raw + b"\x00",
        b"",
        cbor.encode({1: 1}),
        cbor.encode([1]),
        cbor.encode({1: 1, -1: 6, -2: "x"}),
    ):
        with pytest.raises(BadKey):
            parse_cose_key(bad)


@pytest.mark.parametrize("signer", SIGNERS, ids=["ed25519", "p256"])
def test_every_bit_counts(signer: Signer) -> None:
    raw = cose.sign1(signer, "application/x", b"payload", b"aad")
    envelope = cose.parse(raw)
    cose.verify(envelope, signer.public, b"aad")
    assert (envelope.payload, envelope.content_type) == (b"payload", "application/x")

    for place in range(len(raw)):
        for bit in range(8):
            bad = bytearray(raw)
            bad[place] ^= 1 << bit
            with pytest.raises(MessageError):
                cose.verify(cose.parse(bytes(bad)), signer.public, b"aad")
    for end in range(len(raw)):
        with pytest.raises(MalformedMessage):
            cose.parse(raw[:end])
    with pytest.raises(MalformedMessage):
        cose.parse(raw + b"\x00")
    with pytest.raises(BadSignature):
        cose.verify(envelope, signer.public, b"other network")


def test_algorithm_is_the_registered_keys() -> None:
    ours, other = SIGNERS
    envelope = cose.parse(cose.sign1(ours, 112, b"x"))
    with pytest.raises(BadSignature, match="key id"):
        cose.verify(envelope, other.public)
    protected = cbor.encode({1: ES256, 3: 112, 4: ours.public.kid})
    forged = cose.parse(message(protected, {}, b"x", envelope.signature))
    with pytest.raises(BadSignature, match="algorithm -7 is not the registered key's"):
        cose.verify(forged, ours.public)


def test_a_second_spelling_of_an_ecdsa_signature_is_refused() -> None:
    signer = p256("meter")
    raw = cose.sign1(signer, 112, b"x")
    s = int.from_bytes(raw[-32:], "big")
    assert s <= P256_ORDER // 2
    twin = cose.parse(raw[:-32] + (P256_ORDER - s).to_bytes(32, "big"))
    with pytest.raises(BadSignature, match="upper half"):
        cose.verify(twin, signer.public)
    with pytest.raises(BadSignature, match="64 bytes"):
        signer.public.verify(b"short", b"x")


def message(protected: object, unprotected: object, payload: object, signature: object) -> bytes:
    return cbor.encode(cbor.cbor2.CBORTag(18, [protected, unprotected, payload, signature]))


GOOD = cbor.encode({1: EDDSA, 3: 112, 4: bytes(8)})


@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        (message(GOOD, {4: b"x"}, b"", bytes(64)), "unprotected header must be empty"),
        (message(GOOD, {}, b"", bytes(63)), "signature is not 64"),
        (message(GOOD, {}, "text", bytes(64)), "payload is not a byte string"),
        (message({}, {}, b"", bytes(64)), "protected header is not a byte string"),
        (message(b"", {}, b"", bytes(64)), "not deterministic CBOR"),
        (b"\xd2\x84\x58\x01\x00\xa0\x40\x40", "shortest form"),
        (message(GOOD, {}, b"", bytes(64)) + b"x", "1 bytes follow"),
        (message(GOOD, {}, b"", bytes(64))[:-1], "ends within the signature"),
        (message(cbor.encode([1]), {}, b"", bytes(64)), "not a map"),
        (
            message(cbor.encode({1: -8, 4: bytes(8)}), {}, b"", bytes(64)),
            "alg, content type and kid",
        ),
        (message(cbor.encode({1: -8, 3: 0, 4: bytes(8), 5: 1}), {}, b"", bytes(64)), "no more"),
        (
            message(cbor.encode({1: "x", 3: 0, 4: bytes(8)}), {}, b"", bytes(64)),
            "alg is an integer",
        ),
        (message(cbor.encode({1: -8, 3: 0, 4: bytes(7)}), {}, b"", bytes(64)), "kid 8 bytes"),
        (
            message(cbor.encode({1: -8, 3: b"", 4: bytes(8)}), {}, b"", bytes(64)),
            "integer or a text",
        ),
        (
            message(cbor.encode({1: -8, 4: bytes(8), 258: -43, 259: 112}), {}, b"", bytes(64)),
            "no more",
        ),
        (cbor.encode([GOOD, {}, b"", bytes(64)]), "tag 18"),
        (message(cbor.encode({1: -8, 3: "x" * 200, 4: bytes(8)}), {}, b"", bytes(64)), "128 bytes"),
        (b"\xd2\x84\x59\x01", "shortest form"),
        (bytes(65_536), "65536 bytes, at most 65535"),
    ],
)
def test_other_forms_are_refused_by_name(raw: bytes, finding: str) -> None:
    with pytest.raises(MalformedMessage, match=finding):
        cose.parse(raw)


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65_535, 65_536])
def test_byte_strings_are_those_of_cbor(length: int) -> None:
    assert cose.bstr(bytes(length)) == cbor.encode(bytes(length))


def test_determinism_vectors() -> None:
    cases = vectors("trust/cbor_determinism")
    for text in cases["accept"]:
        assert cbor.encode(cbor.decode(bytes.fromhex(text))).hex() == text
    for text in cases["reject"]:
        with pytest.raises(MalformedMessage):
            cbor.decode(bytes.fromhex(text))


@pytest.mark.parametrize(
    "text",
    [
        "f97e00",
        "fb3ff8000000000000",
        "f7",
        "e0",
        "c11a514b67b0",
        "c249010000000000000000",
        "d901028101",
        "d81c81d81d00",
        "d9d9f700",
        "a1f500",
        "a178186161616161616161616161616161616161616161616161616100",
        "81" * 20 + "00",
        "c4820100"[:6],
        "a22000186400",  # {-1: 0, 100: 0}: length-first and bytewise order differ
        "a20000381800",  # {0: 0, -25: 0}
        "a20000616100",  # an integer and a text as keys of one map
    ],
)
def test_what_we_never_sign_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        cbor.decode(bytes.fromhex(text))


def test_a_limit_is_kept() -> None:
    assert cbor.decode(b"\x43abc", limit=4) == b"abc"
    with pytest.raises(MalformedMessage, match="4 bytes, at most 3"):
        cbor.decode(b"\x43abc", limit=3)


@pytest.mark.parametrize(
    "value",
    [5, 1.5, cbor.decimal(1, -2), cbor.cbor2.CBORTag(4, [-3]), cbor.cbor2.CBORTag(18, [-3, 1])],
)
def test_a_quantity_has_one_spelling(value: object) -> None:
    with pytest.raises(MalformedMessage, match="exponent -3"):
        cbor.mantissa(value, -3)
    assert cbor.mantissa(cbor.decode(cbor.encode(cbor.decimal(-7, -3))), -3) == -7
