"""The VRF makes the published proofs, and takes no other for them."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from messages import vrf
from messages.errors import BadProof
from messages.publickey import EDDSA, PublicKey
from tests.support.signers import p256
from tests.support.vectors import vectors

VECTORS = vectors("trust/ecvrf_edwards25519_sha512_tai")["vectors"]
NEUTRAL = (1).to_bytes(32, "little")


def key_of(secret: bytes) -> PublicKey:
    private = Ed25519PrivateKey.from_private_bytes(secret)
    return PublicKey(EDDSA, private.public_key().public_bytes_raw())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["alpha"] or "empty")
def test_published_proofs(vector: dict[str, str]) -> None:
    secret, public, alpha, proof, output = (bytes.fromhex(text) for text in vector.values())
    assert key_of(secret).raw == public
    assert vrf.prove(secret, alpha) == proof
    assert vrf.proof_to_hash(proof) == output
    assert vrf.verify(PublicKey(EDDSA, public), alpha, proof) == output


def test_many_keys_and_inputs_prove_and_verify() -> None:
    for number in range(12):
        secret = hashlib.sha256(bytes((number,))).digest()
        alpha = bytes(range(number))
        proof = vrf.prove(secret, alpha)
        assert vrf.verify(key_of(secret), alpha, proof) == vrf.proof_to_hash(proof)


def test_another_input_or_key_is_refused() -> None:
    secret = b"\1" * 32
    proof = vrf.prove(secret, b"height 5")
    for key, alpha in ((key_of(secret), b"height 6"), (key_of(b"\2" * 32), b"height 5")):
        with pytest.raises(BadProof, match="not this key's"):
            vrf.verify(key, alpha, proof)


def test_every_changed_byte_of_a_proof_is_refused() -> None:
    secret = b"\1" * 32
    key, proof = key_of(secret), vrf.prove(secret, b"x")
    for place in range(vrf.PROOF_BYTES):
        broken = bytearray(proof)
        broken[place] ^= 1
        with pytest.raises(BadProof):
            vrf.verify(key, b"x", bytes(broken))


def test_an_s_above_the_order_would_be_a_second_proof() -> None:
    secret = b"\1" * 32
    proof = vrf.prove(secret, b"x")
    s = int.from_bytes(proof[48:], "little") + vrf.ORDER
    with pytest.raises(BadProof, match="below the group's order"):
        vrf.verify(key_of(secret), b"x", proof[:48] + s.to_bytes(32, "little"))


def test_forms_that_are_no_proof() -> None:
    key, proof = key_of(b"\1" * 32), vrf.prove(b"\1" * 32, b"x")
    off_curve, above_p = (2).to_bytes(32, "little"), (vrf.P + 1).to_bytes(32, "little")
    minus_zero = (1 | 1 << 255).to_bytes(32, "little")  # x = 0 with its sign bit set
    for bad in (b"", proof[:-1], proof + b"\0"):
        with pytest.raises(BadProof, match="80 bytes"):
            vrf.verify(key, b"x", bad)
    for gamma in (off_curve, above_p, minus_zero):
        with pytest.raises(BadProof, match=r"coordinate|no point"):
            vrf.proof_to_hash(gamma + proof[32:])


def test_a_small_order_gamma_gives_no_output_of_its_own() -> None:
    key, proof = key_of(b"\1" * 32), vrf.prove(b"\1" * 32, b"x")
    with pytest.raises(BadProof, match="not this key's"):
        vrf.verify(key, b"x", NEUTRAL + proof[32:])


def test_a_p256_key_is_no_vrf_key() -> None:
    with pytest.raises(BadProof, match="Ed25519"):
        vrf.verify(p256("m").public, b"x", vrf.prove(b"\1" * 32, b"x"))
