"""A key agrees to be somebody's: once, for one name, in one network."""

from dataclasses import replace

import pytest

from messages.errors import BadSignature
from messages.possession import Claim
from tests.support.signers import ed25519, p256

CLAIM = Claim(b"n" * 32, "meter", "dep1-pv", b"c" * 32)


@pytest.mark.parametrize("signer", [ed25519("a"), p256("a")], ids=["ed25519", "p256"])
def test_a_proof_holds_for_its_claim(signer):
    CLAIM.check(signer.public, CLAIM.prove(signer))


@pytest.mark.parametrize(
    "other",
    [
        replace(CLAIM, network_id=b"m" * 32),
        replace(CLAIM, holder="node"),
        replace(CLAIM, name="dep1-load"),
        replace(CLAIM, challenge=b""),
        replace(CLAIM, challenge=b"d" * 32),
    ],
    ids=["network", "holder", "name", "no challenge", "challenge"],
)
def test_a_proof_holds_for_no_other_claim(other):
    signer = ed25519("a")
    with pytest.raises(BadSignature):
        other.check(signer.public, CLAIM.prove(signer))


def test_a_proof_is_of_the_key_it_names():
    proof = CLAIM.prove(ed25519("a"))
    with pytest.raises(BadSignature):
        CLAIM.check(ed25519("b").public, proof)
    with pytest.raises(BadSignature):
        CLAIM.check(ed25519("a").public, b"")


def test_the_claim_is_no_message_of_ours():
    """Nothing that COSE asks to sign begins as a claim does."""
    signed = CLAIM.signed_bytes(ed25519("a").public)
    assert signed[:2] == b"\x86\x77"
    assert b"gridtally/possession/v1" in signed
    assert b"Signature1" not in signed
