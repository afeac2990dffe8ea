"""How a node and its hub meet: the text a person carries between them, and what they then say.

The text is what makes the rest safe (docs/pairing.md): its pin says which TLS key, which trust.toml
and which certificate authority are the right ones, its token that the node is the one that was
asked for. Frames on the connection are 4 bytes length, big-endian, and a CBOR map: the hub's
`Offer`, the node's `Request`, then one or two `Answer`s.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from messages import cbor
from messages.errors import MalformedMessage
from messages.publickey import PublicKey
from messages.topics import NAME

PIN_BYTES = 16
TOKEN_BYTES = 16
CHALLENGE_BYTES = 32
CHECK_BYTES = 3
FRAME_BYTES_MAX = 65_535
LENGTH_BYTES = 4
TEXT_CHARS_MAX = 300

ASKED, ACCEPTED, REFUSED = "asked", "accepted", "refused"

_HOST = re.compile(r"[a-z0-9][a-z0-9.:-]{0,252}")
_AGAIN = "copy the whole text again, from GT1 to its end"


@dataclass(frozen=True, slots=True)
class PairingText:
    """What a person carries from the hub to the node."""

    host: str
    port: int
    node: str
    pin: bytes
    token: bytes


def format_text(text: PairingText) -> str:
    """Return the text, of characters that a QR code packs best:

    GT1/<host>/<port>/<node>/<56 characters>

    The last part is base32 (RFC 4648) of pin (16 bytes), token (16) and a check (3), which is the
    beginning of SHA-256 over all before it: a slip in copying costs no try.
    """
    place = f"GT1/{text.host}/{text.port}/{text.node}/".upper()
    secret = text.pin + text.token
    return place + base64.b32encode(secret + _check(place, secret)).decode()


def parse_text(text: str) -> PairingText:
    """Return what a pairing text says; letters may be small, blanks and line ends are passed over.

    Raises:
        MalformedMessage: it is none, or not whole.
    """
    joined = "".join(text[:TEXT_CHARS_MAX].split()).upper()
    parts = joined.split("/")
    if len(parts) != 5 or parts[0] != "GT1":
        raise MalformedMessage("this is no pairing text: one begins with GT1/ and has five parts")
    _, host, port, node, packed = parts
    try:
        raw = base64.b32decode(packed, map01="I")
    except ValueError:
        raise MalformedMessage(f"its last part has letters and digits 2 to 7: {_AGAIN}") from None
    secret, check = raw[: PIN_BYTES + TOKEN_BYTES], raw[PIN_BYTES + TOKEN_BYTES :]
    if not hmac.compare_digest(check, _check(f"GT1/{host}/{port}/{node}/", secret)):
        raise MalformedMessage(f"a character is wrong or missing: {_AGAIN}")
    found = PairingText(
        host.lower(),
        int(port) if port.isascii() and port.isdecimal() else 0,
        node.lower(),
        secret[:PIN_BYTES],
        secret[PIN_BYTES:],
    )
    if not (0 < found.port < 65_536 and _HOST.fullmatch(found.host) and NAME.fullmatch(found.node)):
        raise MalformedMessage("it names no host, port and node: let the hub make a new one")
    return found


def is_host(host: str) -> bool:
    """Whether an address can stand in a pairing text."""
    return _HOST.fullmatch(host) is not None


def _check(place: str, secret: bytes) -> bytes:
    return hashlib.sha256(b"gridtally/pairing-text/v1\n" + place.encode() + secret).digest()[
        :CHECK_BYTES
    ]


def pin_of(tls_key: bytes, trust: str, authority: bytes) -> bytes:
    """Return the pin over what the node must believe.

    The first 16 bytes of SHA-256 over deterministic CBOR of
    ["gridtally/pairing-pin/v1", the hub's TLS key (SubjectPublicKeyInfo), trust.toml, CA (DER)].
    """
    parts = ["gridtally/pairing-pin/v1", tls_key, trust, authority]
    return hashlib.sha256(cbor.encode(parts)).digest()[:PIN_BYTES]


@dataclass(frozen=True, slots=True)
class Offer:
    """The hub's first word: all of it public, and none believed before the pin was compared. [ms]

    `member` owns the node where its configuration says nobody; "" if that must say it.
    """

    microgrid: str
    member: str
    slot_ms: int
    broker_host: str
    broker_port: int
    trust: str
    authority: bytes
    challenge: bytes


@dataclass(frozen=True, slots=True)
class KeyProof:
    """A key's answer to the challenge (`messages.possession`)."""

    holder: str
    name: str
    proof: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What a node says of itself: `enrolment` is the text of its enrolment file.

    `csr` asks for a TLS certificate towards the broker (PKCS#10, DER). `mac` shows the token
    without telling it.
    """

    node: str
    enrolment: str
    proofs: tuple[KeyProof, ...]
    csr: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """`state`: asked (a person compares now), accepted, or refused with the reason."""

    state: str
    reason: str = ""
    certificate: bytes = b""


def mac_of(token: bytes, pin: bytes, challenge: bytes, request: Request) -> bytes:
    """Return the MAC of a request, which also binds it to this very connection's challenge.

    HMAC-SHA-256 under the token over deterministic CBOR of
    ["gridtally/pairing-mac/v1", pin, challenge, node, enrolment, csr].
    """
    parts = [
        "gridtally/pairing-mac/v1",
        pin,
        challenge,
        request.node,
        request.enrolment,
        request.csr,
    ]
    return hmac.digest(token, cbor.encode(parts), "sha256")


def joint_fingerprint(keys: Iterable[PublicKey]) -> str:
    """Return one fingerprint for all keys of a node, in whatever order: what two people compare.

    The first 8 bytes of SHA-256 over deterministic CBOR of
    ["gridtally/pairing-keys/v1", COSE_Keys in the order of their bytes].
    """
    listed = sorted(key.cose_key for key in keys)
    digest = hashlib.sha256(cbor.encode(["gridtally/pairing-keys/v1", listed])).hexdigest()
    return "-".join(digest[i : i + 4] for i in range(0, 16, 4))


def frame(body: bytes) -> bytes:
    """Return one message as it goes over the connection."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def frame_length(head: bytes) -> int:
    """Return how many bytes follow the length.

    Raises:
        MalformedMessage: more than a message may have.
    """
    length = int.from_bytes(head, "big")
    if not 0 < length <= FRAME_BYTES_MAX:
        raise MalformedMessage(f"a message of {length} bytes, at most {FRAME_BYTES_MAX} are taken")
    return length
