"""Public keys as the ledger registers them: Ed25519 and P-256, nothing else.

A key is named by its RFC 9679 thumbprint, the SHA-256 of its deterministic COSE_Key; the first
eight bytes are the key id that stands in each message. Keys under which anybody can forge are
refused when they are registered: the small-order points of Ed25519, and what is off the curve.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from messages import cbor
from messages.errors import BadKey, BadSignature, MalformedMessage

EDDSA, ES256 = -8, -7
KID_BYTES = 8
SIGNATURE_BYTES = 64
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_P = 2**255 - 19
# The y coordinates of the eight torsion points: small order, whatever the sign bit.
SMALL_ORDER_Y = frozenset(
    (
        0,
        1,
        ED25519_P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    )
)


class Signer(Protocol):
    """Whoever holds a private key, wherever it lies."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes: an Ed25519 signature, or r || s with s in the lower half."""


@dataclass(frozen=True)
class PublicKey:
    """One public key. `raw`: 32 bytes for EdDSA, x || y (64 bytes) for ES256.

    Raises:
        BadKey: the key may not be registered.
    """

    alg: int
    raw: bytes

    def __post_init__(self) -> None:
        if self.alg == EDDSA:
            _check_ed25519(self.raw)
        elif self.alg == ES256:
            if len(self.raw) != 64:
                raise BadKey(f"a P-256 key has 64 bytes x || y, not {len(self.raw)}")
        else:
            raise BadKey(f"algorithm {self.alg} is neither EdDSA (-8) nor ES256 (-7)")
        _ = self._verifier

    @cached_property
    def _verifier(self) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
        try:
            if self.alg == EDDSA:
                return Ed25519PublicKey.from_public_bytes(self.raw)
            point = b"\x04" + self.raw
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError:
            raise BadKey("the point is not on the curve") from None

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a 64-byte signature.

        Raises:
            BadSignature: it does not verify, has another length, or (ES256) a high s.
        """
        verifier = self._verifier
        try:
            if isinstance(verifier, Ed25519PublicKey):
                verifier.verify(signature, message)
            else:
                verifier.verify(_der(signature), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise BadSignature("the signature does not verify under the registered key") from None

    @cached_property
    def cose_key(self) -> bytes:
        """The deterministic COSE_Key: {1: 1, -1: 6, -2: x} or {1: 2, -1: 1, -2: x, -3: y}."""
        if self.alg == EDDSA:
            return cbor.encode({1: 1, -1: 6, -2: self.raw})
        return cbor.encode({1: 2, -1: 1, -2: self.raw[:32], -3: self.raw[32:]})

    @cached_property
    def thumbprint(self) -> bytes:
        """SHA-256 of the COSE_Key (RFC 9679), 32 bytes."""
        return hashlib.sha256(self.cose_key).digest()

    @cached_property
    def kid(self) -> bytes:
        """The key id of a message header: the first 8 bytes of the thumbprint."""
        return self.thumbprint[:KID_BYTES]

    @property
    def fingerprint(self) -> str:
        """What two people compare: the first 8 bytes of the thumbprint as xxxx-xxxx-xxxx-xxxx."""
        text = self.kid.hex()
        return "-".join(text[i : i + 4] for i in range(0, 16, 4))


def parse_cose_key(raw: bytes) -> PublicKey:
    """Return the key of a deterministic COSE_Key.

    Raises:
        BadKey: another key type or curve, a missing coordinate, or a key not to be registered.
    """
    try:
        fields = cbor.decode(raw, limit=256)
    except MalformedMessage as error:
        raise BadKey(f"not a COSE_Key: {error}") from None
    if isinstance(fields, dict):
        x, y = fields.get(-2), fields.get(-3)
        if fields == {1: 1, -1: 6, -2: x} and isinstance(x, bytes):
            return PublicKey(EDDSA, x)
        p256 = fields == {1: 2, -1: 1, -2: x, -3: y}
        if p256 and isinstance(x, bytes) and isinstance(y, bytes) and len(x) == len(y) == 32:
            return PublicKey(ES256, x + y)
    raise BadKey("not a COSE_Key of Ed25519 or P-256 with exactly its coordinates")


def _check_ed25519(raw: bytes) -> None:
    if len(raw) != 32:
        raise BadKey(f"an Ed25519 key has 32 bytes, not {len(raw)}")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= ED25519_P:
        raise BadKey("the y coordinate is not below p")
    if y in SMALL_ORDER_Y:
        raise BadKey("a small-order point: anybody could sign under it")
    if not _is_square_ratio(y):
        raise BadKey("the point is not on the curve")


def _is_square_ratio(y: int) -> bool:
    """Whether x^2 = (y^2 - 1) / (d y^2 + 1) has a root. Source: RFC 8032 section 5.1.3."""
    d = -121665 * pow(121666, -1, ED25519_P) % ED25519_P
    square = (y * y - 1) * pow(d * y * y + 1, -1, ED25519_P) % ED25519_P
    return square == 0 or pow(square, (ED25519_P - 1) // 2, ED25519_P) == 1


def _der(signature: bytes) -> bytes:
    """R || s as DER; a high s is a second signature for the same message, so it is refused."""
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > P256_ORDER // 2:
        raise BadSignature("the signature's s is in the upper half")
    return encode_dss_signature(r, s)
