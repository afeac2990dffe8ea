r"""ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381, suite 0x03): randomness that its maker cannot choose.

For one key and one input there is one output, and anybody checks it with the public key:

    proof  = point Gamma (32 bytes) || c (16, little-endian) || s (32, little-endian)
    output = SHA-512(0x03 || 0x03 || 8 Gamma || 0x00), 64 bytes

A signature would not do: whoever signs can make many valid ones and pick. The key is an Ed25519
key of its own that signs nothing.

Plain integers, so making a proof takes a time that depends on the key: do it where nobody else
measures. A proof is of public inputs only, and one is made a block.
"""

from __future__ import annotations

import hashlib
from typing import Final

from messages.errors import BadProof
from messages.publickey import EDDSA, PublicKey

PROOF_BYTES: Final = 80
OUTPUT_BYTES: Final = 64
SECRET_BYTES: Final = 32
SUITE: Final = b"\x03"
C_BYTES: Final = 16

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE: Final = pow(2, (P - 1) // 4, P)
WINDOW: Final = 4  # bits that a multiplication takes at once

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z. Source: RFC 8032 5.1.4."""

NEUTRAL: Final[Point] = (0, 1, 1, 0)


def prove(secret: bytes, alpha: bytes) -> bytes:
    """Return the proof for an input; `secret` is the 32-byte seed of an Ed25519 key."""
    hashed = hashlib.sha512(secret).digest()
    x = int.from_bytes(hashed[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    public = _encode(_multiply(BASE, x))
    h = _hash_to_curve(public, alpha)
    gamma = _multiply(h, x)
    k = int.from_bytes(hashlib.sha512(hashed[32:] + _encode(h)).digest(), "little") % ORDER
    c = _challenge(public, h, gamma, (_multiply(BASE, k), _multiply(h, k)))
    s = (k + c * x) % ORDER
    return _encode(gamma) + c.to_bytes(C_BYTES, "little") + s.to_bytes(32, "little")


def verify(key: PublicKey, alpha: bytes, proof: bytes) -> bytes:
    """Return the output for an input, if the proof shows that it is the key's.

    Raises:
        BadProof: it does not, or the key is none of Ed25519.
    """
    if key.alg != EDDSA:
        raise BadProof("a VRF key is an Ed25519 key")
    gamma, c, s = _read_proof(proof)
    minus_y = _negate(_decode(key.raw))
    h = _hash_to_curve(key.raw, alpha)
    u = _add(_multiply(BASE, s), _multiply(minus_y, c))
    v = _add(_multiply(h, s), _multiply(_negate(gamma), c))
    if c != _challenge(key.raw, h, gamma, (u, v)):
        raise BadProof("the VRF proof is not this key's for this input")
    return _output(gamma)


def proof_to_hash(proof: bytes) -> bytes:
    """Return the output that a proof speaks of, unchecked: only of one's own, or verified before.

    Raises:
        BadProof: it has another form.
    """
    return _output(_read_proof(proof)[0])


def _output(gamma: Point) -> bytes:
    return hashlib.sha512(SUITE + b"\x03" + _encode(_times_cofactor(gamma)) + b"\x00").digest()


def _read_proof(proof: bytes) -> tuple[Point, int, int]:
    if len(proof) != PROOF_BYTES:
        raise BadProof(f"a VRF proof has {PROOF_BYTES} bytes, not {len(proof)}")
    s = int.from_bytes(proof[48:], "little")
    if s >= ORDER:
        raise BadProof("the VRF proof's s is not below the group's order")
    return _decode(proof[:32]), int.from_bytes(proof[32:48], "little"), s


def _hash_to_curve(public: bytes, alpha: bytes) -> Point:
    """Try and increment (RFC 9381 5.4.1.1); half of all tries hit the curve."""
    counter = 0
    while True:
        text = SUITE + b"\x01" + public + alpha + bytes((counter, 0))
        counter += 1
        try:
            found = _times_cofactor(_decode(hashlib.sha512(text).digest()[:32]))
        except BadProof:
            continue
        if _encode(found) != _encode(NEUTRAL):
            return found


def _challenge(public: bytes, h: Point, gamma: Point, nonces: tuple[Point, Point]) -> int:
    points = b"".join(map(_encode, (h, gamma, *nonces)))
    digest = hashlib.sha512(SUITE + b"\x02" + public + points + b"\x00").digest()
    return int.from_bytes(digest[:C_BYTES], "little")


# --- the curve -x^2 + y^2 = 1 + d x^2 y^2 --------------------------------------------------------


def _add(a: Point, b: Point) -> Point:
    """Source: RFC 8032 5.1.4; complete, so it doubles, too."""
    e = (a[1] - a[0]) * (b[1] - b[0])
    f = (a[1] + a[0]) * (b[1] + b[0])
    g = 2 * a[3] * b[3] * D
    h = 2 * a[2] * b[2]
    return _extended(f - e, h - g, h + g, f + e)


def _double(a: Point) -> Point:
    """Source: RFC 8032 5.1.4."""
    x2, y2 = a[0] * a[0], a[1] * a[1]
    h = x2 + y2
    e = h - (a[0] + a[1]) ** 2
    g = x2 - y2
    return _extended(e, 2 * a[2] * a[2] + g, g, h)


def _extended(e: int, f: int, g: int, h: int) -> Point:
    return e * f % P, g * h % P, f * g % P, e * h % P


def _negate(a: Point) -> Point:
    return P - a[0], a[1], a[2], P - a[3]


def _multiply(point: Point, scalar: int) -> Point:
    multiples = [NEUTRAL]
    for _ in range((1 << WINDOW) - 1):
        multiples.append(_add(multiples[-1], point))
    found = NEUTRAL
    for shift in range((scalar.bit_length() // WINDOW) * WINDOW, -1, -WINDOW):
        for _ in range(WINDOW):
            found = _double(found)
        found = _add(found, multiples[scalar >> shift & (1 << WINDOW) - 1])
    return found


def _times_cofactor(point: Point) -> Point:
    return _double(_double(_double(point)))


def _encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(raw: bytes) -> Point:
    """Return the point of an encoding (RFC 8032 5.1.3); BadProof if there is none."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        raise BadProof("a coordinate is not below p")
    u, v = y * y - 1, D * y * y + 1
    x = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (v * x * x - u) % P or (x == 0 and sign):
        raise BadProof("no point of the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE: Final = _decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
