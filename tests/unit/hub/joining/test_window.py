"""A pairing window: one node, one token, once, in time; every refusal by its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge.joining.files import certificate_request
from hub.joining.window import TRIES_MAX, Expected, Joining, Reason, Refused, Window
from messages.pairing import KeyProof, Request, joint_fingerprint, mac_of
from messages.possession import Claim
from messages.publickey import PublicKey
from tests.support import signers

NETWORK, PIN, TOKEN, CHALLENGE = b"n" * 32, b"p" * 16, b"t" * 16, b"c" * 32
ENDS_MS = 900_000
NODE, METER = signers.ed25519("dep1"), signers.p256("dep1-pv")
TLS = ec.generate_private_key(ec.SECP256R1())
CSR = certificate_request("dep1", TLS)
SMALL_ORDER = "a30101200621582001" + "00" * 31
OFF_CURVE = "a401022001215820" + "01" * 32 + "225820" + "02" * 32


def enrolment(**changes: Any) -> dict[str, Any]:
    """What the node says of itself; `meter_...` changes its meter."""
    meter = {
        "meter_id": "dep1-pv",
        "model": "ina219",
        "purpose": "generation",
        "parent": "",
        "member": "alice",
        "rated_mw": 40_000,
        "key": METER.public.cose_key.hex(),
        "first_sequence": 1,
        "fuel": "solar",
        "location": "Upper Mill",
        "proof": Claim(NETWORK, "meter", "dep1-pv").prove(METER).hex(),
    }
    body: dict[str, Any] = {
        "format": "gridtally-enrol-1",
        "microgrid": "bench",
        "node": "dep1",
        "member": "alice",
        "node_key": NODE.public.cose_key.hex(),
        "node_proof": Claim(NETWORK, "node", "dep1").prove(NODE).hex(),
        "meters": [meter],
        "relays": [],
    }
    for name, value in changes.items():
        if name.startswith("meter_"):
            meter[name.removeprefix("meter_")] = value
        else:
            body[name] = value
    return body


def proofs(challenge: bytes = CHALLENGE, network_id: bytes = NETWORK) -> tuple[KeyProof, ...]:
    return (
        KeyProof("node", "dep1", Claim(network_id, "node", "dep1", challenge).prove(NODE)),
        KeyProof("meter", "dep1-pv", Claim(network_id, "meter", "dep1-pv", challenge).prove(METER)),
    )


def request(body: dict[str, Any] | None = None, token: bytes = TOKEN, **changes: Any) -> Request:
    """A request whose MAC is right, whatever else is wrong with it."""
    made = Request("dep1", json.dumps(body or enrolment()), proofs(), CSR, b"")
    made = replace(made, **changes)
    return replace(made, mac=mac_of(token, PIN, CHALLENGE, made))


def window(
    registered: Callable[[], dict[tuple[str, str], PublicKey]] = dict, **changes: Any
) -> Window:
    expected = Expected("bench", NETWORK, "dep1", "alice", PIN, TOKEN, ENDS_MS, registered)
    return Window(replace(expected, **changes))


def refusal(judged: Joining | Refused) -> tuple[Reason, str]:
    assert isinstance(judged, Refused), judged
    return judged.reason, judged.sentence


def test_the_node_that_was_asked_for_may_join() -> None:
    judged = window().judge(request(), CHALLENGE, 0)
    assert isinstance(judged, Joining)
    assert [(entry.holder, entry.name) for entry in judged.entries] == [
        ("node", "dep1"),
        ("meter", "dep1-pv"),
    ]
    pv = judged.entries[1]
    assert (pv.fuel, pv.location, len(pv.proof)) == ("solar", "Upper Mill", 64)
    assert judged.fingerprint == joint_fingerprint([METER.public, NODE.public])
    assert judged.tls_key == TLS.public_key()


def test_the_token_is_good_once() -> None:
    used = window()
    assert isinstance(used.judge(request(), CHALLENGE, 0), Joining)
    assert used.is_closed
    reason, sentence = refusal(used.judge(request(), CHALLENGE, 1))
    assert (reason, "once" in sentence) == (Reason.USED, True)


@pytest.mark.parametrize("at_ms", [ENDS_MS, ENDS_MS + 1])
def test_the_text_ends_with_its_time(at_ms: int) -> None:
    assert refusal(window().judge(request(), CHALLENGE, at_ms))[0] is Reason.EXPIRED
    assert isinstance(window().judge(request(), CHALLENGE, ENDS_MS - 1), Joining)


@pytest.mark.parametrize(
    "wrong",
    [
        request(token=b"u" * 16),
        replace(request(), mac=b""),
        replace(request(), mac=bytes(32)),
        replace(request(), enrolment=json.dumps(enrolment(member="mallory"))),
        replace(
            request(), csr=certificate_request("dep1", ec.generate_private_key(ec.SECP256R1()))
        ),
        replace(request(), node="dep2"),
    ],
    ids=["another token", "none", "zeros", "changed enrolment", "changed csr", "changed node"],
)
def test_who_does_not_have_the_token_is_refused_by_name(wrong: Request) -> None:
    reason, sentence = refusal(window().judge(wrong, CHALLENGE, 0))
    assert reason is Reason.WRONG_TOKEN
    assert "not the token that was shown for dep1; 4 tries are left" in sentence


def test_a_request_recorded_on_another_connection_is_worth_nothing() -> None:
    reason, _ = refusal(window().judge(request(), b"d" * 32, 0))
    assert reason is Reason.WRONG_TOKEN


def test_five_wrong_tries_close_it_for_everybody() -> None:
    guarded = window()
    for n in range(TRIES_MAX):
        assert not guarded.is_closed, n
        assert refusal(guarded.judge(request(token=b"x" * 16), CHALLENGE, 0))[0] is (
            Reason.WRONG_TOKEN
        )
    assert guarded.is_closed
    assert refusal(guarded.judge(request(), CHALLENGE, 0))[0] is Reason.TOO_MANY_TRIES


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        (request(node="dep2"), Reason.OTHER_NODE, "for node dep1, not dep2"),
        (request(enrolment(node="dep2")), Reason.OTHER_NODE, "its enrolment is of node dep2"),
        (request(enrolment(microgrid="north")), Reason.BAD_ENROLMENT, "'north' is not this one"),
        (request(enrolment(member="bob")), Reason.OTHER_MEMBER, "it is bob's, it is meant for ali"),
        (request(enrolment(node_key=SMALL_ORDER)), Reason.BAD_ENROLMENT, "small-order point"),
        (request(enrolment(meter_key=SMALL_ORDER)), Reason.BAD_ENROLMENT, "small-order point"),
        (request(enrolment(meter_key=OFF_CURVE)), Reason.BAD_ENROLMENT, "not on the curve"),
        (request(enrolment(meter_fuel="sun")), Reason.BAD_ENROLMENT, "no fuel 'sun'"),
        (request(enrolment(meter_proof="")), Reason.NO_POSSESSION, "of meter dep1-pv did not sign"),
        (request(enrolment(node_proof="ab" * 64)), Reason.NO_POSSESSION, "of node dep1 did not"),
        (request(proofs=()), Reason.NO_POSSESSION, "of node dep1 did not sign"),
        (request(proofs=proofs()[:1]), Reason.NO_POSSESSION, "of meter dep1-pv did not sign"),
        (request(proofs=proofs(b"d" * 32)), Reason.NO_POSSESSION, "did not sign"),
        (request(proofs=proofs(network_id=bytes(32))), Reason.NO_POSSESSION, "did not sign"),
        (request(csr=b"no request"), Reason.BAD_CERTIFICATE_REQUEST, ""),
        (request(csr=CSR[:-1] + bytes([CSR[-1] ^ 1])), Reason.BAD_CERTIFICATE_REQUEST, ""),
        (
            request(csr=certificate_request("dep1", ec.generate_private_key(ec.SECP384R1()))),
            Reason.BAD_CERTIFICATE_REQUEST,
            "not P-256",
        ),
        (request(enrolment="no json"), Reason.BAD_ENROLMENT, "not valid JSON"),
    ],
)
def test_what_is_wrong_is_refused_for_its_reason(
    wrong: Request, reason: Reason, words: str
) -> None:
    strict = window()
    found, sentence = refusal(strict.judge(wrong, CHALLENGE, 0))
    assert found is reason
    assert words in sentence
    assert isinstance(strict.judge(request(), CHALLENGE, 0), Joining), "a slip costs a try"


def test_another_key_takes_nobody_s_place() -> None:
    other = signers.ed25519("another").public
    reason, sentence = refusal(
        window(lambda: {("meter", "dep1-pv"): other}).judge(request(), CHALLENGE, 0)
    )
    assert reason is Reason.OTHER_KEY
    assert other.fingerprint in sentence
    assert METER.public.fingerprint in sentence


def test_pairing_again_enrols_only_what_is_new() -> None:
    judged = window(lambda: {("node", "dep1"): NODE.public}).judge(request(), CHALLENGE, 0)
    assert isinstance(judged, Joining)
    assert [entry.name for entry in judged.entries] == ["dep1-pv"]
    assert len(judged.keys) == 2


def test_a_node_that_nobody_is_named_for_says_whose_it_is() -> None:
    judged = window(member="").judge(request(enrolment(member="bob")), CHALLENGE, 0)
    assert isinstance(judged, Joining)
    assert judged.enrolment.node.member == "bob"


@pytest.mark.parametrize("name", ["hub", "web"])
def test_no_node_becomes_the_hub(name: str) -> None:
    body = enrolment(node=name, node_proof=Claim(NETWORK, "node", name).prove(NODE).hex())
    reason, sentence = refusal(window(node=name).judge(request(body, node=name), CHALLENGE, 0))
    assert reason is Reason.BAD_ENROLMENT
    assert "the hub's own name" in sentence


def test_an_ed25519_certificate_request_is_no_p256_one() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(Encoding.DER)
    assert refusal(window().judge(request(csr=csr), CHALLENGE, 0))[0] is (
        Reason.BAD_CERTIFICATE_REQUEST
    )


def test_every_reason_is_tested_here_or_over_the_wire() -> None:
    from pathlib import Path

    wire = Path(__file__).parents[3] / "wire" / "joining" / "test_pairing.py"
    text = Path(__file__).read_text() + wire.read_text()
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in text] == []
