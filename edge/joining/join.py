"""From a pairing text to a node that can run: the one path that the `join` command takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.joining.files import Folder, certificate_request
from edge.joining.meeting import Meeting, meet
from edge.keygen import MadeKey, claim_of, enrolment, make_keys
from messages.pairing import KeyProof, PairingText, Request, joint_fingerprint, parse_text
from messages.trust import parse_trust


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person compares with the hub: each key, and one fingerprint over all of them."""

    node: str
    keys: tuple[MadeKey, ...]

    @property
    def fingerprint(self) -> str:
        """The one that is compared."""
        return joint_fingerprint(each.signer.public for each in self.keys)


def join(text: str, folder: Path, show: Callable[[Shown], None]) -> tuple[Path, ...]:
    """Join the microgrid of a pairing text; return the files that were written.

    Keys are made where there are none. Until the hub has agreed nothing else is written.

    Raises:
        EdgeError, KeyFault, MessageError: why not.
    """
    read = parse_text(text)
    with meet(read) as meeting:
        place = Folder(folder.resolve())
        written, config = place.configured(read.node, meeting.offer)
        made = tuple(make_keys(config))
        tls_key = place.tls_key(read.node)
        network_id = parse_trust(meeting.offer.trust).network_id
        request = Request(
            node=read.node,
            enrolment=json.dumps(enrolment(config, list(made), network_id)),
            proofs=_proofs(read, made, network_id, meeting),
            csr=certificate_request(read.node, tls_key),
            mac=b"",
        )
        meeting.ask(request)
        show(Shown(read.node, made))
        return place.keep(config, written, meeting.offer, meeting.certificate())


def _proofs(
    text: PairingText, made: tuple[MadeKey, ...], network_id: bytes, meeting: Meeting
) -> tuple[KeyProof, ...]:
    claims = (claim_of(text.node, each, network_id, meeting.offer.challenge) for each in made)
    return tuple(
        KeyProof(claim.holder, claim.name, claim.prove(each.signer))
        for claim, each in zip(claims, made, strict=True)
    )
