"""Sealed messages (RFC 9995): the signed part commits to a content that travels beside it.

    preimage   deterministic CBOR [salt: 32 bytes, content: bstr]
    message    COSE_Sign1 {1: alg, 4: kid, 258: -16, 259: content type}, payload SHA-256(preimage)
    on a wire  deterministic CBOR [message: bstr, preimage: bstr]; an open message stands alone

The ledger holds the message; whoever holds the preimage can show what it says, and once salt and
preimage are deleted everywhere, nothing is left to guess from.
"""

from __future__ import annotations

import hashlib

from messages import cbor, cose
from messages.errors import MalformedMessage
from messages.publickey import Signer

_LIST_OF_TWO = 0x82  # a COSE_Sign1 message begins with its tag, 0xd2


def make_preimage(content: bytes, salt: bytes) -> bytes:
    """Return what a sealed message commits to. The salt is random, and never used again."""
    if len(salt) != cose.SALT_BYTES:
        raise ValueError(f"a salt has {cose.SALT_BYTES} bytes")
    return cbor.encode([salt, content])


def sign_sealed(
    signer: Signer, content_type: int | str, preimage: bytes, aad: bytes = b""
) -> bytes:
    """Return the message that commits to a preimage."""
    key = signer.public
    headers = {
        cose.ALG: key.alg,
        cose.KID: key.kid,
        cose.HASH_ALG: cose.SHA_256,
        cose.PREIMAGE_TYPE: content_type,
    }
    protected = cbor.encode(headers)
    payload = hashlib.sha256(preimage).digest()
    signature = signer.sign(cose.signed_bytes(protected, payload, aad))
    parts = (cose.bstr(protected), b"\xa0", cose.bstr(payload), cose.bstr(signature))
    return b"\xd2\x84" + b"".join(parts)


def join(message: bytes, preimage: bytes) -> bytes:
    """Return both as one piece for a wire or an outbox."""
    return cbor.encode([message, preimage])


def split(wire: bytes) -> tuple[bytes, bytes | None]:
    """Return the message in what came over a wire, and its preimage where one came along.

    Raises:
        MalformedMessage: it begins like a sealed message, and is none.
    """
    if wire[:1] != bytes((_LIST_OF_TWO,)):
        return wire, None
    parts = cbor.decode(wire)
    if not isinstance(parts, list) or [type(part) for part in parts] != [bytes, bytes]:
        raise MalformedMessage("a sealed message and its preimage are two byte strings")
    return parts[0], parts[1]


def signed_part(wire: bytes) -> bytes:
    """Return the message alone: what the ledger holds and hashes."""
    return split(wire)[0]
