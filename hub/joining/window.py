"""One pairing window: whom it waits for, and what it takes and refuses. No network, no clock.

A window is for one node and one token. Five wrong tries close it, so does its end; once a request
with the right token was put before a person it takes no other. Every refusal has a name.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from hub.errors import BadEnrolment
from hub.joining.acl import OURS
from hub.joining.authority import requested_key
from hub.joining.enrolment import Enrolment, read_enrolment
from messages.entries import KeyEntry
from messages.errors import BadSignature
from messages.pairing import Request, joint_fingerprint, mac_of
from messages.possession import Claim
from messages.publickey import PublicKey, parse_cose_key

TRIES_MAX: Final = 5
Place = tuple[str, str]
"""(holder, name)"""


class Reason(StrEnum):
    """Why a request was refused: the word that both sides show."""

    USED = "used"
    EXPIRED = "expired"
    TOO_MANY_TRIES = "too-many-tries"
    WRONG_TOKEN = "wrong-token"  # noqa: S105 - a reason, no secret
    OTHER_NODE = "other-node"
    BAD_ENROLMENT = "bad-enrolment"
    OTHER_MEMBER = "other-member"
    OTHER_KEY = "other-key"
    NO_POSSESSION = "no-possession"
    BAD_CERTIFICATE_REQUEST = "bad-certificate-request"
    NOT_CONFIRMED = "not-confirmed"
    LEDGER_REFUSED = "ledger-refused"


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not taken, by name, and a sentence for the node's log."""

    reason: Reason
    sentence: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Joining:
    """A request that a person may confirm.

    `entries` are those that the ledger does not have yet; `tls_key` wants a certificate.
    """

    enrolment: Enrolment
    entries: tuple[KeyEntry, ...]
    tls_key: ec.EllipticCurvePublicKey

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Every key of the node, the node's own first."""
        return tuple(parse_cose_key(entry.key) for entry in self.enrolment.entries)

    @property
    def fingerprint(self) -> str:
        """What two people compare."""
        return joint_fingerprint(self.keys)


@dataclass(frozen=True, slots=True)
class Expected:
    """Whom a window waits for. `member`: whose node it is, "" if the node may say. [ms, any clock]

    `registered` tells whose key counts now, by (holder, name).
    """

    microgrid: str
    network_id: bytes
    node: str
    member: str
    pin: bytes
    token: bytes
    ends_ms: int
    registered: Callable[[], Mapping[Place, PublicKey]]


class Window:
    """Owns the token and what became of it."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._tries = 0
        self._is_used = False

    @property
    def is_closed(self) -> bool:
        """Whether no request can succeed any more, whatever the time."""
        return self._is_used or self._tries >= TRIES_MAX

    def judge(self, request: Request, challenge: bytes, now_ms: int) -> Joining | Refused:
        """Judge one request that came on a connection with this challenge."""
        closed = self._closed(now_ms)
        if closed is not None:
            return closed
        expected = self._expected
        wanted = mac_of(expected.token, expected.pin, challenge, request)
        if not hmac.compare_digest(wanted, request.mac):
            self._tries += 1
            left = TRIES_MAX - self._tries
            return Refused(
                Reason.WRONG_TOKEN,
                f"this is not the token that was shown for {expected.node}; {left} tries are left",
            )
        judged = self._judge_content(request, challenge)
        if isinstance(judged, Refused):
            self._tries += 1
        else:
            self._is_used = True
        return judged

    def _closed(self, now_ms: int) -> Refused | None:
        if self._is_used:
            return Refused(Reason.USED, "a pairing text is good for one node, once: make a new one")
        if self._tries >= TRIES_MAX:
            return Refused(Reason.TOO_MANY_TRIES, "this pairing is closed: make a new text")
        if now_ms >= self._expected.ends_ms:
            return Refused(Reason.EXPIRED, "the time of this pairing text is over: make a new one")
        return None

    def _judge_content(self, request: Request, challenge: bytes) -> Joining | Refused:
        expected = self._expected
        if request.node != expected.node:
            sentence = f"this pairing is for node {expected.node}, not {request.node}"
            return Refused(Reason.OTHER_NODE, sentence)
        try:
            enrolment = read_enrolment(request.enrolment, expected.microgrid)
        except BadEnrolment as error:
            return Refused(Reason.BAD_ENROLMENT, "; ".join(error.findings))
        refused = self._judge_names(enrolment) or self._judge_proofs(enrolment, request, challenge)
        if refused is not None:
            return refused
        registered = expected.registered()
        fresh = tuple(entry for entry in enrolment.entries if not _is_there(entry, registered))
        for entry in fresh:
            key = registered.get((entry.holder, entry.name))
            if key is not None:
                return Refused(Reason.OTHER_KEY, _other_key(entry, key))
        try:
            tls_key = requested_key(request.csr)
        except ValueError as error:
            return Refused(Reason.BAD_CERTIFICATE_REQUEST, str(error))
        return Joining(enrolment, fresh, tls_key)

    def _judge_names(self, enrolment: Enrolment) -> Refused | None:
        expected, node = self._expected, enrolment.node
        if node.name != expected.node or node.name in OURS:
            sentence = f"its enrolment is of node {node.name}, this pairing for {expected.node}"
            return Refused(Reason.OTHER_NODE, sentence)
        if expected.member and node.member != expected.member:
            sentence = (
                f"the node says that it is {node.member}'s, it is meant for {expected.member}"
            )
            return Refused(Reason.OTHER_MEMBER, sentence)
        return None

    def _judge_proofs(
        self, enrolment: Enrolment, request: Request, challenge: bytes
    ) -> Refused | None:
        """Every key must have answered the challenge, and have agreed for the ledger."""
        answers = {(each.holder, each.name): each.proof for each in request.proofs}
        for entry in enrolment.entries:
            key, place = parse_cose_key(entry.key), (entry.holder, entry.name)
            claim = Claim(self._expected.network_id, *place)
            try:
                claim.check(key, entry.proof)
                fresh = Claim(self._expected.network_id, *place, challenge)
                fresh.check(key, answers.get(place, b""))
            except BadSignature:
                sentence = f"the key {key.fingerprint} of {entry.holder} {entry.name} did not sign"
                return Refused(Reason.NO_POSSESSION, sentence)
        return None


def _is_there(entry: KeyEntry, registered: Mapping[Place, PublicKey]) -> bool:
    key = registered.get((entry.holder, entry.name))
    return key is not None and key.cose_key == entry.key


def _other_key(entry: KeyEntry, key: PublicKey) -> str:
    return (
        f"{entry.holder} {entry.name} has the key {key.fingerprint}, this is "
        f"{parse_cose_key(entry.key).fingerprint}: rotate or revoke it first"
    )
