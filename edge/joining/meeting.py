"""The node's side of pairing: a TLS connection to the hub that the pairing text pins.

Nothing is sent before the pin was compared, and the token itself is never sent. Where an address
leads to somebody else, that is said, and nothing is told to them.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.errors import Unavailable
from edge.joining.errors import JoinRefused
from messages import schema
from messages.errors import MessageError
from messages.pairing import (
    ASKED,
    LENGTH_BYTES,
    REFUSED,
    Answer,
    Offer,
    PairingText,
    Request,
    frame,
    frame_length,
    mac_of,
    pin_of,
)

ANSWER_S: Final = 10.0
PERSON_S: Final = 3_600.0

Message = TypeVar("Message", Offer, Answer)


@dataclass(slots=True)
class Meeting:
    """One connection to the hub; `offer` is believed, since the pin was compared."""

    text: PairingText
    offer: Offer
    _link: ssl.SSLSocket

    def __enter__(self) -> Meeting:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._link.close()

    def ask(self, request: Request) -> None:
        """Send what the node asks for, and wait until the hub puts it before a person.

        Raises:
            JoinRefused: the hub says why not.
        """
        mac = mac_of(self.text.token, self.text.pin, self.offer.challenge, request)
        self._link.sendall(frame(schema.encode_record(replace(request, mac=mac))))
        answer = self._answer()
        if answer.state != ASKED:
            raise JoinRefused(f"the hub answered {answer.state!r} where it should ask its operator")

    def certificate(self) -> bytes:
        """Wait for the person at the hub; return the certificate for the broker (PEM).

        Raises:
            JoinRefused: the person, or the ledger, said no.
        """
        self._link.settimeout(PERSON_S)
        return self._answer().certificate

    def _answer(self) -> Answer:
        answer = _receive(self._link, Answer)
        if answer.state == REFUSED:
            raise JoinRefused(f"the hub refused: {answer.reason}")
        return answer


def meet(text: PairingText) -> Meeting:
    """Connect, and compare the pin; nothing is sent.

    Raises:
        Unavailable: nobody listens there.
        JoinRefused: somebody else does.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin says whose key it must be, no certificate does
    where = f"{text.host}:{text.port}"
    try:
        plain = socket.create_connection((text.host, text.port), ANSWER_S)
    except OSError as error:
        raise Unavailable(
            f"{where}: {error.strerror or error}. Is `gridtally-hub pair` still waiting there, and "
            "does this machine reach it?"
        ) from None
    try:
        link = context.wrap_socket(plain)
    except OSError as error:
        plain.close()
        raise JoinRefused(f"{where}: no pairing is offered there: {error}") from None
    with ExitStack() as closing:
        closing.callback(link.close)
        offer = _receive(link, Offer)
        if pin_of(_key_of(link), offer.trust, offer.authority) != text.pin:
            raise JoinRefused(
                f"{where} is not the hub that made this pairing text, or somebody is in between: "
                "nothing was sent to it. Let the hub make a new text, and copy that"
            )
        closing.pop_all()
    return Meeting(text, offer, link)


def _key_of(link: ssl.SSLSocket) -> bytes:
    """Return the TLS key of the other side, which the handshake proved that it holds."""
    certificate = x509.load_der_x509_certificate(link.getpeercert(binary_form=True) or b"")
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _receive(link: ssl.SSLSocket, kind: type[Message]) -> Message:
    try:
        length = frame_length(_exactly(link, LENGTH_BYTES))
        return schema.decode_record(kind, _exactly(link, length))
    except MessageError as error:
        raise JoinRefused(f"what answers there does not speak of pairing: {error}") from None
    except OSError as error:
        raise JoinRefused(f"the connection ended: {error}") from None


def _exactly(link: ssl.SSLSocket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = link.recv(count - len(received))
        if not part:
            raise JoinRefused("the hub hung up; its own terminal says why")
        received += part
    return received
