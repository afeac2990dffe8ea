"""OCMF records: is this what a meter's key signed? Single records, and the S.A.F.E. XML files.

A key that stands in the same file as the record proves only that the two belong together. Whose key
it is must come by another way: `--key`, or the fingerprint, which the ledger's enrolment shows.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from xml.etree import ElementTree

from member.errors import Code, Refused
from member.heads import Verdict
from messages import ocmf
from messages.errors import BadKey, MalformedMessage
from messages.publickey import ES256, PublicKey


class Signed(NamedTuple):
    """A record's text and the key that came along with it, if one did."""

    text: str
    key: str


def check_ocmf(text: str, key: str | None) -> Verdict:
    """Check every record of a file, under `key` (hex or base64) or the keys in the file.

    Raises:
        Refused: no key is there, or the key is another than the file's.
        MessageError: a record that is malformed, or not signed by the key.
    """
    found = _read_xml(text) if text.lstrip().startswith("<") else [Signed(text.strip(), "")]
    facts: list[dict[str, Any]] = []
    for signed in found:
        spki = _key_of(signed, key)
        record = ocmf.parse_record(signed.text)
        try:
            ocmf.verify_record(record, spki)
        except BadKey as error:
            raise Refused(Code.SIGNATURE, str(error)) from None
        facts.append(
            {
                "pagination": record.payload["PG"],
                "meter": record.payload.get("MS", ""),
                "readings": list(ocmf.told(record)),
                "fingerprint": _fingerprint(spki),
            }
        )
    last = facts[-1]
    whose = f"key {last['fingerprint']}" if last["fingerprint"] else "the key"
    from_file = "" if key else ", which came with the record: compare it"
    return Verdict(
        f"{_pages(facts)} of meter {last['meter']}: {', '.join(last['readings'])}; signed by "
        f"{whose}{from_file}",
        {"records": facts, "key_from_file": key is None},
    )


def _pages(facts: list[dict[str, Any]]) -> str:
    pages = [str(each["pagination"]) for each in facts]
    return f"record {pages[0]}" if len(pages) == 1 else f"records {', '.join(pages)}, the last"


def _key_of(signed: Signed, key: str | None) -> bytes:
    if key is None and not signed.key:
        raise Refused(Code.SIGNATURE, "no key came with the record: give --key")
    spki = ocmf.parse_spki(key or signed.key)
    if signed.key and spki != ocmf.parse_spki(signed.key):
        raise Refused(Code.FOREIGN, "the file names another key than the one given")
    return spki


def _fingerprint(spki: bytes) -> str:
    """Return the fingerprint under which the ledger knows a P-256 key; "" for other curves."""
    if not spki.startswith(ocmf.SPKI_P256):
        return ""
    return PublicKey(ES256, spki.removeprefix(ocmf.SPKI_P256)).fingerprint


def _read_xml(text: str) -> list[Signed]:
    if re.search(r"<!(DOCTYPE|ENTITY)", text):
        raise MalformedMessage("an OCMF file defines no entities")
    try:
        root = ElementTree.fromstring(text.encode())  # noqa: S314 - no entities: see above
    except ElementTree.ParseError as error:
        raise MalformedMessage(f"not XML: {error}") from None
    values = root.iter("value")
    found = [
        Signed(_text_in(value, "signedData"), _text_in(value, "publicKey")) for value in values
    ]
    if not found:
        raise MalformedMessage("the file holds no <value> with a record")
    return found


def _text_in(value: ElementTree.Element, name: str) -> str:
    part = value.find(name)
    return "".join(part.itertext()) if part is not None else ""
