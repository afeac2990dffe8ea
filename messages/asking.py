"""Who asks a hub over HTTP: one header, signed by the key that the ledger knows, for one minute.

    Authorization: Gridtally <base64url, unpadded, of a COSE_Sign1 message of kind "ask">

The message is signed as every entry is, bound to the network, and never becomes one. It names the
path with its query, so that it opens nothing else, the time, and 16 random bytes: it counts once.
Source: paper 000 section 3, a request for a record is signed by the prosumer's key at a given time.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import ClassVar, Final

from messages import cose
from messages.cose import Envelope
from messages.entries import network_aad, parse_as, sign_entry
from messages.errors import BadSignature, MalformedMessage
from messages.publickey import PublicKey, Signer

SCHEME: Final = "Gridtally "
VALID_MS: Final = 60_000
"""How far the asker's clock may be from the hub's. [ms]"""
NONCE_BYTES: Final = 16
HEADER_CHARS_MAX: Final = 2_048


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody asks for a path, at a time, once. [ms UTC]"""

    KIND: ClassVar[str] = "ask"
    path: str
    at_ms: int
    nonce: bytes


def format_ask(signer: Signer, network_id: bytes, ask: Ask) -> str:
    """Return the header's value."""
    raw = sign_entry(signer, ask, network_id)
    return SCHEME + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_ask(header: str) -> tuple[Envelope, Ask]:
    """Return what a header's value says, and the message to verify.

    Raises:
        MalformedMessage: it is no ask of ours.
    """
    if not header.startswith(SCHEME) or len(header) > HEADER_CHARS_MAX:
        raise MalformedMessage(f"want {SCHEME}and a signed message")
    text = header.removeprefix(SCHEME)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise MalformedMessage("the message is not base64url") from None
    envelope = cose.parse(raw)
    ask = parse_as(Ask, envelope)
    if len(ask.nonce) != NONCE_BYTES:
        raise MalformedMessage(f"a nonce has {NONCE_BYTES} bytes")
    return envelope, ask


def check_ask(
    envelope: Envelope, ask: Ask, key: PublicKey, network_id: bytes, path: str, now_ms: int
) -> None:
    """Check that a key asks for a path, now. That it asks once, the caller sees to.

    Raises:
        BadSignature: another key, another path, or another time.
    """
    cose.verify(envelope, key, network_aad(network_id))
    if ask.path != path:
        raise BadSignature(f"the request is for {ask.path}, not for {path}")
    if abs(now_ms - ask.at_ms) > VALID_MS:
        raise BadSignature(
            f"the request was signed at {ask.at_ms}, here it is {now_ms}: set the clock"
        )
