"""COSE_Sign1 (RFC 9052), cut down to what has one byte string.

    18([ protected: bstr .cbor {1: alg, 3: content type, 4: kid}, {}, payload: bstr,
         signature: bstr ])
    signed bytes: ["Signature1", protected, external_aad, payload] in deterministic CBOR

Only tag 18; the unprotected map is empty, since it is not signed; alg is the registered key's; the
bytes that were received are the bytes that are stored and hashed. A sealed reading (RFC 9995) has
{1: alg, 4: kid, 258: -16, 259: content type of the preimage} and a hash as its payload.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from messages import cbor
from messages.errors import BadProof, BadSignature, MalformedMessage
from messages.publickey import KID_BYTES, SIGNATURE_BYTES, PublicKey, Signer

ALG, CONTENT_TYPE, KID = 1, 3, 4
HASH_ALG, PREIMAGE_TYPE = 258, 259
SHA_256 = -16
SALT_BYTES = 32
SENML = 112
HEADER_BYTES_MAX = 128  # ours have at most 62; what is read is kept in a cache


class Envelope(NamedTuple):
    """One well-formed message, not verified yet. `raw` is exactly what was received."""

    raw: bytes
    protected: bytes
    alg: int
    content_type: int | str
    kid: bytes
    payload: bytes
    signature: bytes
    sealed: bool = False


def sign1(signer: Signer, content_type: int | str, payload: bytes, aad: bytes = b"") -> bytes:
    """Return the signed message as deterministic CBOR.

    d2 84                           tag 18, a list of four
    bstr {1: alg, 3: content type, 4: kid}
    a0                              no unprotected header
    bstr payload
    58 40 <64 bytes of signature>   over ["Signature1", protected, aad, payload]
    """
    key = signer.public
    protected = cbor.encode({ALG: key.alg, CONTENT_TYPE: content_type, KID: key.kid})
    signature = signer.sign(signed_bytes(protected, payload, aad))
    return b"\xd2\x84" + bstr(protected) + b"\xa0" + bstr(payload) + bstr(signature)


def bstr(content: bytes) -> bytes:
    """Return `content` as a CBOR byte string."""
    n = len(content)
    if n < 24:
        return bytes((0x40 + n,)) + content
    if n < 256:
        return bytes((0x58, n)) + content
    if n < 65_536:
        return b"\x59" + n.to_bytes(2, "big") + content
    return b"\x5a" + n.to_bytes(4, "big") + content


SIGNATURE1 = b"\x84\x6aSignature1"


def signed_bytes(protected: bytes, payload: bytes, aad: bytes) -> bytes:
    """Return the Sig_structure that the signature covers."""
    return SIGNATURE1 + bstr(protected) + bstr(aad) + bstr(payload)


def parse(raw: bytes, *, limit: int = cbor.ENTRY_BYTES_MAX) -> Envelope:
    """Return the parts of a message whose form is right.

    Raises:
        MalformedMessage: too long, not canonical, another tag, unprotected headers, other headers.
    """
    if len(raw) > limit:
        raise MalformedMessage(f"{len(raw)} bytes, at most {limit} are taken")
    if raw[:2] != b"\xd2\x84":
        raise MalformedMessage("not a COSE_Sign1 message with tag 18")
    protected, at = _read_bstr(raw, 2, "protected header")
    if len(protected) > HEADER_BYTES_MAX:
        raise MalformedMessage(f"the protected header has at most {HEADER_BYTES_MAX} bytes")
    if raw[at : at + 1] != b"\xa0":
        raise MalformedMessage("the unprotected header must be empty: nobody signed it")
    payload, at = _read_bstr(raw, at + 1, "payload")
    signature, at = _read_bstr(raw, at, "signature")
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedMessage(f"the signature is not {SIGNATURE_BYTES} bytes")
    if at != len(raw):
        raise MalformedMessage(f"{len(raw) - at} bytes follow the message")
    alg, content_type, kid, sealed = _headers(protected)
    return Envelope(raw, protected, alg, content_type, kid, payload, signature, sealed)


def _read_bstr(raw: bytes, at: int, what: str) -> tuple[bytes, int]:
    """Return the byte string at `at` and where it ends; its length must be in the shortest form."""
    head = raw[at] if at < len(raw) else -1
    if 0x40 <= head < 0x58:
        start, length = at + 1, head - 0x40
    elif head in (0x58, 0x59):
        start = at + head - 0x56
        length = int.from_bytes(raw[at + 1 : start], "big")
        if length < (24 if head == 0x58 else 256):
            raise MalformedMessage(f"the length of the {what} is not in the shortest form")
    else:
        raise MalformedMessage(f"the {what} is not a byte string")
    end = start + length
    if end > len(raw):
        raise MalformedMessage(f"the message ends within the {what}")
    return raw[start:end], end


@lru_cache(maxsize=4096)
def _headers(protected: bytes) -> tuple[int, int | str, bytes, bool]:
    headers = cbor.decode(protected)
    if not isinstance(headers, dict):
        raise MalformedMessage("the protected header is not a map")
    sealed = HASH_ALG in headers
    wanted = {ALG, KID, HASH_ALG, PREIMAGE_TYPE} if sealed else {ALG, KID, CONTENT_TYPE}
    if set(headers) != wanted or (sealed and headers[HASH_ALG] != SHA_256):
        raise MalformedMessage("the protected header needs alg, content type and kid, no more")
    content_type = headers[PREIMAGE_TYPE if sealed else CONTENT_TYPE]
    alg, kid = headers[ALG], headers[KID]
    if type(alg) is not int or type(kid) is not bytes or len(kid) != KID_BYTES:
        raise MalformedMessage(f"alg is an integer, kid {KID_BYTES} bytes")
    if type(content_type) not in (int, str):
        raise MalformedMessage("the content type is an integer or a text")
    return alg, content_type, kid, sealed


def open_sealed(envelope: Envelope, preimage: bytes) -> bytes:
    """Return the content that a sealed message (RFC 9995) committed to.

    preimage = deterministic CBOR [salt: 32 bytes, content: bstr]; the payload is its SHA-256.

    Raises:
        MalformedMessage: not a sealed message, or a preimage of another form.
        BadProof: the message commits to something else.
    """
    if not envelope.sealed:
        raise MalformedMessage("the message is not sealed")
    if hashlib.sha256(preimage).digest() != envelope.payload:
        raise BadProof("the message commits to another preimage")
    parts = cbor.decode(preimage)
    if not isinstance(parts, list) or [type(part) for part in parts] != [bytes, bytes]:
        raise MalformedMessage("a preimage is a salt and a content, both bytes")
    salt, content = parts
    if len(salt) != SALT_BYTES:
        raise MalformedMessage(f"a salt has {SALT_BYTES} bytes")
    return bytes(content)


def verify(envelope: Envelope, key: PublicKey, aad: bytes = b"") -> None:
    """Check an envelope under the registered key.

    Raises:
        BadSignature: another key id, another algorithm than the key's, or a signature that fails.
    """
    if envelope.kid != key.kid:
        raise BadSignature("the key id is not that of the registered key")
    if envelope.alg != key.alg:
        raise BadSignature(f"algorithm {envelope.alg} is not the registered key's ({key.alg})")
    key.verify(envelope.signature, signed_bytes(envelope.protected, envelope.payload, aad))
