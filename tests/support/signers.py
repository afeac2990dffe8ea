"""Signers with keys made from a seed, so that a test's bytes are the same each time."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys.file import FileSigner
from messages.publickey import EDDSA, ES256, PublicKey


def ed25519(seed: str) -> FileSigner:
    """Return the Ed25519 signer of a seed text."""
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    return FileSigner(PublicKey(EDDSA, private.public_key().public_bytes_raw()), private)


def p256(seed: str) -> FileSigner:
    """Return the P-256 signer of a seed text."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big") % (2**255) + 1
    private = ec.derive_private_key(number, ec.SECP256R1())
    point = private.public_key().public_numbers()
    raw = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    return FileSigner(PublicKey(ES256, raw), private)
