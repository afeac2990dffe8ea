"""A record off the ledger: how it is encrypted, and how its key reaches a reader. Pure.

    preimage     deterministic CBOR [salt: 32 bytes, content]     what the ledger commits to
    ciphertext   nonce (12 bytes) || AES-256-GCM(record key, preimage), the digest as its data
    answer       32 bytes of X25519 public key || AES-256-GCM(wrapping key, record key)
    wrapping key HKDF-SHA256 of the X25519 secret, bound to both public keys and the record's id
    readings     the same answer for a fresh key, bound to the call's id instead, and behind it
                 nonce || AES-256-GCM(fresh key, deterministic CBOR of [[index, entry, preimage],
                 ...]), the call's id as its data

Each record has its own key, so that a deleted key erases it in every store and every backup of one.
A reader names a fresh X25519 key in the request that his member key signs: no key both signs and
decrypts, none for decrypting is enrolled, and a stolen member key opens no answer of the past.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from messages import cbor, cose
from messages.errors import BadProof, MalformedMessage

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
RECORD_BYTES_MAX: Final = 16 << 20
WRAPPED_BYTES: Final = 2 * KEY_BYTES + TAG_BYTES
READINGS_BYTES_MAX: Final = 64 << 20
_LABEL: Final = b"gridtally/v1 record key"


@dataclass(frozen=True, slots=True)
class Locked:
    """A record as stores hold it; `name` is the SHA-256 of the ciphertext, in hex."""

    name: str
    ciphertext: bytes


def lock(preimage: bytes, key: bytes, nonce: bytes) -> Locked:
    """Return a record encrypted under its own key; key and nonce are random, and used once."""
    digest = hashlib.sha256(preimage).digest()
    ciphertext = nonce + AESGCM(key).encrypt(nonce, preimage, digest)
    return Locked(hashlib.sha256(ciphertext).hexdigest(), ciphertext)


def unlock(ciphertext: bytes, key: bytes, digest: bytes) -> bytes:
    """Return the content that the ledger's digest commits to.

    Raises:
        BadProof: another key, other bytes, or another record than the ledger's.
        MalformedMessage: the preimage is not a salt and a content.
    """
    nonce, rest = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
    if len(rest) < TAG_BYTES:
        raise BadProof("the ciphertext is cut off")
    try:
        preimage = AESGCM(key).decrypt(nonce, rest, digest)
    except InvalidTag:
        raise BadProof("the ciphertext is not this record's, or its key is another") from None
    if hashlib.sha256(preimage).digest() != digest:
        raise BadProof("the ledger commits to another record")
    parts = cbor.decode(preimage, limit=RECORD_BYTES_MAX + 64)
    if not isinstance(parts, list) or [type(part) for part in parts] != [bytes, bytes]:
        raise MalformedMessage("a record is a salt and a content, both bytes")
    return bytes(parts[1])


def wrap(record_key: bytes, record_id: bytes, reader: bytes, own: X25519PrivateKey) -> bytes:
    """Return a record's key for the reader who named the public key `reader`; `own` is used once.

    Raises:
        MalformedMessage: no X25519 public key that leads to a secret.
    """
    public = own.public_key().public_bytes_raw()
    wrapping = _wrapping_key(own, reader, public + reader + record_id)
    return public + AESGCM(wrapping).encrypt(bytes(NONCE_BYTES), record_key, record_id)


def unwrap(answer: bytes, record_id: bytes, own: X25519PrivateKey) -> bytes:
    """Return the record's key in an answer to the request that named our public key.

    Raises:
        BadProof, MalformedMessage: it is an answer to another request.
    """
    public, wrapped = answer[:KEY_BYTES], answer[KEY_BYTES:]
    reader = own.public_key().public_bytes_raw()
    wrapping = _wrapping_key(own, public, public + reader + record_id)
    try:
        return AESGCM(wrapping).decrypt(bytes(NONCE_BYTES), wrapped, record_id)
    except (InvalidTag, ValueError):
        raise BadProof("the answer is to another request, or was changed") from None


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed reading as the ledger has it, and what it commits to."""

    index: int
    entry: bytes
    preimage: bytes


@dataclass(frozen=True, slots=True)
class Fresh:
    """What an answer needs and nothing uses twice: all of it random."""

    key: bytes
    nonce: bytes
    own: X25519PrivateKey


def lock_readings(readings: Iterable[Opened], call_id: bytes, reader: bytes, fresh: Fresh) -> bytes:
    """Return the answer with sealed readings for who named the public key `reader`.

    Raises:
        MalformedMessage: no X25519 public key that leads to a secret.
    """
    content = cbor.encode([[each.index, each.entry, each.preimage] for each in readings])
    wrapped = wrap(fresh.key, call_id, reader, fresh.own)
    return wrapped + fresh.nonce + AESGCM(fresh.key).encrypt(fresh.nonce, content, call_id)


def open_readings(answer: bytes, call_id: bytes, own: X25519PrivateKey) -> list[Opened]:
    """Return the readings in an answer to the call that named our public key; each is checked.

    Raises:
        BadProof, MalformedMessage: it answers another call, or a preimage is not its entry's.
    """
    key = unwrap(answer[:WRAPPED_BYTES], call_id, own)
    nonce, rest = answer[WRAPPED_BYTES:][:NONCE_BYTES], answer[WRAPPED_BYTES + NONCE_BYTES :]
    try:
        content = AESGCM(key).decrypt(nonce, rest, call_id)
    except (InvalidTag, ValueError):
        raise BadProof("the answer is to another request, or was changed") from None
    rows = cbor.decode(content, limit=READINGS_BYTES_MAX)
    kinds = [int, bytes, bytes]
    if not isinstance(rows, list) or any([type(part) for part in row] != kinds for row in rows):
        raise MalformedMessage("readings are lists of index, entry and preimage")
    found = [Opened(*row) for row in rows]
    for each in found:
        cose.open_sealed(cose.parse(each.entry), each.preimage)
    return found


def _wrapping_key(own: X25519PrivateKey, other: bytes, bound: bytes) -> bytes:
    try:
        secret = own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        raise MalformedMessage("no X25519 public key that leads to a secret") from None
    return HKDF(hashes.SHA256(), KEY_BYTES, None, _LABEL + bound).derive(secret)
