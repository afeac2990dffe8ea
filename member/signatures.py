"""Who signed an entry, worked out from the entries before it: genesis first, then each key entry.

Nothing is settled here and no order of sequences is judged: an audit does that. What is shown is
that each entry was signed by a key that an administrator had put on the ledger before.
"""

from __future__ import annotations

from typing import NamedTuple

from member.errors import Code, Refused
from member.heads import Anchor
from messages import cose
from messages.cose import Envelope
from messages.entries import (
    LABEL,
    Genesis,
    KeyEntry,
    LedgerEntry,
    NodeEvent,
    network_aad,
    parse_entry,
)
from messages.errors import BadSignature, MalformedMessage, MessageError, UnsupportedVersion
from messages.keyring import KeyRing, Ringed
from messages.log.note import format_vkey
from messages.log.tree import leaf_hash
from messages.logkeeping import Quorum, Takeover
from messages.membership import check_proof
from messages.reading import STREAM as REGISTER
from messages.reading import Reading, decode_reading, parse_reading
from messages.senml import CONTENT_TYPE

Body = LedgerEntry | Reading


class Taken(NamedTuple):
    """What an entry says, None where that is not known here, and whose key signed it."""

    body: Body | None
    signer: Ringed


class Signatures:
    """Checks entries in the order of the log; keeps the keys that they establish.

    `checked` counts signatures that verified; `unknown` entries of kinds that this version does
    not know; `sealed` readings whose content is not here: their signatures are checked.
    """

    def __init__(self, anchor: Anchor) -> None:
        self.genesis: Genesis | None = None
        self.checked = self.unknown = self.sealed = 0
        self._anchor = anchor
        self._ring = KeyRing()
        self._aad = b""
        self._network_id = b""

    def take(self, index: int, raw: bytes, preimage: bytes | None = None) -> Taken | None:
        """Check one entry and return what it is; None where its kind is not known here.

        Raises:
            Refused: not of its form, or not signed by a key that counts at this place.
        """
        try:
            envelope = cose.parse(raw)
            body = self._read(envelope, preimage)
            if index == 0:
                self._found(raw, body)
            return Taken(body, self._verify(index, envelope, body))
        except UnsupportedVersion:
            self.unknown += 1
            return None
        except MessageError as error:
            bad = isinstance(error, BadSignature)
            code = Code.SIGNATURE if bad else Code.MALFORMED
            raise Refused(code, f"entry {index}: {error}") from None

    def check_log(self) -> None:
        """Refuse entries that lead to another log than the one whose head covers them.

        Raises:
            Refused: they do, or there is no genesis among them.
        """
        wanted, found = self._anchor.log_key, self._ring.log_key
        if found is None:
            raise Refused(Code.MALFORMED, "its genesis is not there")
        if found != wanted:
            raise Refused(
                Code.FOREIGN,
                f"its entries name {format_vkey(found)} as the log's key, trusted is "
                f"{format_vkey(wanted)}",
            )

    def _read(self, envelope: Envelope, preimage: bytes | None) -> Body | None:
        if envelope.content_type != CONTENT_TYPE:
            return parse_entry(envelope)
        if not envelope.sealed:
            return parse_reading(envelope)
        if preimage is not None:
            return decode_reading(cose.open_sealed(envelope, preimage))
        self.sealed += 1
        return None

    def _verify(self, index: int, envelope: Envelope, body: Body | None) -> Ringed:
        kind, stream, sequence = "reading", REGISTER, 0
        if isinstance(body, Reading):
            sequence = body.sequence
        elif body is not None:
            kind, stream = body.KIND, "event"
            sequence = body.event if isinstance(body, NodeEvent) else 0
        signer = self._ring.signer(envelope.kid, kind, stream, sequence)
        aad = LABEL if index == 0 else b"" if kind == "reading" else self._aad
        cose.verify(envelope, signer.key, aad)
        self.checked += 1
        if isinstance(body, KeyEntry):
            check_proof(body, self._network_id)
            self._ring.change(index, signer, body)
        elif isinstance(body, Quorum | Takeover):
            self._ring.keep_log(index, signer, body)
        return signer

    def _found(self, raw: bytes, body: Body | None) -> None:
        """Begin with entry 0; it has to be that of the network that is trusted."""
        if not isinstance(body, Genesis):
            raise MalformedMessage("it is no genesis")
        network_id, anchor = leaf_hash(raw), self._anchor
        if anchor.trust is not None and anchor.trust.network_id != network_id:
            raise Refused(
                Code.FOREIGN,
                f"another network: its genesis is {network_id.hex()}, trust.toml says "
                f"{anchor.trust.network_id.hex()}",
            )
        self.genesis, self._aad = body, network_aad(network_id)
        self._network_id = network_id
        self._ring.found(body)
