"""OCMF records (Open Charge Metering Format 1.3): what a meter's P-256 key said, for other tools.

    OCMF|<payload JSON>|<signature JSON>        no | inside

The signature covers the payload's bytes as they stand: no canonical form, no digit may change. So a
payload is written as text, field by field, and read with its numbers as they are spelled. Format
version 1.3, since the S.A.F.E. transparency software refuses 1.4. A record says what our agent
read; it is OCMF-compatible, and no legal metrology.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from messages.errors import BadKey, BadSignature, MalformedMessage
from messages.publickey import ES256, PublicKey, Signer

VERSION: Final = "1.3"
HEADER: Final = "OCMF|"
IMPORT, EXPORT = "01-00:01.08.00*FF", "01-00:02.08.00*FF"
SYNCHRONISED, UNKNOWN = "S", "U"
ALGORITHM: Final = "ECDSA-secp256r1-SHA256"
CURVES: Final[Mapping[str, str]] = {
    "ECDSA-secp192r1-SHA256": "secp192r1",
    "ECDSA-secp256k1-SHA256": "secp256k1",
    ALGORITHM: "secp256r1",
    "ECDSA-secp384r1-SHA256": "secp384r1",
    "ECDSA-brainpool256r1-SHA256": "brainpoolP256r1",
    "ECDSA-brainpoolP256r1-SHA256": "brainpoolP256r1",
    "ECDSA-brainpool384r1-SHA256": "brainpoolP384r1",
    "ECDSA-brainpoolP384r1-SHA256": "brainpoolP384r1",
}
SPKI_P256: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Total:
    """One register of a fiscal record. [uWh]"""

    obis: str
    value_uwh: int


@dataclass(frozen=True, slots=True)
class Fiscal:
    """A fiscal record: the totals of a meter at an instant, outside any transaction. [ms UTC]

    `page` counts this meter's fiscal records from 1. `clock` is SYNCHRONISED or UNKNOWN. A doubtful
    total is written with status E, a good one with G.
    """

    gateway: str
    gateway_serial: str
    gateway_version: str
    page: int
    model: str
    meter_serial: str
    at_ms: int
    clock: str
    totals: tuple[Total, ...]
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record. `payload` has its numbers as texts, as they were spelled."""

    text: str
    payload: Mapping[str, Any]
    algorithm: str
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return self.text.split("|")[1].encode()


def format_fiscal(fiscal: Fiscal) -> str:
    """Return the payload of a fiscal record.

    {"FV":"1.3","GI":gateway,"GS":serial,"GV":version,"PG":"F<page>","MM":model,"MS":serial,
     "IS":false,"IL":"NONE","IF":[],"IT":"NONE","ID":"",       nobody charged; some tools ask for it
     "RD":[{"TM":"2026-01-01T00:00:00,000+0000 S","RV":<Wh with six decimals>,"RI":obis,"RU":"Wh",
            "EF":"","ST":"G"}, ...]}
    """
    status, flags = ("E", "E") if fiscal.is_doubtful else ("G", "")
    moment = _moment(fiscal.at_ms, fiscal.clock)
    readings = ",".join(
        f'{{"TM":"{moment}","RV":{watt_hours(total.value_uwh)},"RI":{_text(total.obis)},'
        f'"RU":"Wh","EF":"{flags}","ST":"{status}"}}'
        for total in fiscal.totals
    )
    return (
        f'{{"FV":"{VERSION}","GI":{_text(fiscal.gateway)},"GS":{_text(fiscal.gateway_serial)},'
        f'"GV":{_text(fiscal.gateway_version)},"PG":"F{fiscal.page}","MM":{_text(fiscal.model)},'
        f'"MS":{_text(fiscal.meter_serial)},"IS":false,"IL":"NONE","IF":[],"IT":"NONE","ID":"",'
        f'"RD":[{readings}]}}'
    )


def sign_record(signer: Signer, payload: str) -> str:
    """Return a payload as a record signed by a P-256 key.

    Raises:
        BadKey: OCMF knows no other algorithm of ours.
        MalformedMessage: the payload holds a |.
    """
    if signer.public.alg != ES256:
        raise BadKey("an OCMF record is signed by a P-256 key, and this one is Ed25519")
    if "|" in payload:
        raise MalformedMessage("an OCMF payload holds no |")
    raw = signer.sign(payload.encode())
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    der = encode_dss_signature(r, s).hex()
    return f'{HEADER}{payload}|{{"SA":"{ALGORITHM}","SD":"{der}"}}'


def parse_record(text: str) -> Record:
    """Return a record's parts; nothing is verified yet.

    Raises:
        MalformedMessage: not three parts, no JSON, a name twice, or a part that must be there is
            not.
    """
    parts = text.split("|")
    if len(parts) != 3 or f"{parts[0]}|" != HEADER:
        raise MalformedMessage("an OCMF record is OCMF|<payload>|<signature>")
    payload, signature = _object(parts[1], "payload"), _object(parts[2], "signature")
    if "FV" not in payload or "PG" not in payload or not _readings(payload):
        raise MalformedMessage("an OCMF payload has FV, PG and readings RD")
    algorithm = signature.get("SA", ALGORITHM)
    if algorithm not in CURVES:
        raise MalformedMessage(f"signature algorithm {algorithm!r} is none that we know")
    if signature.get("SM", "application/x-der") != "application/x-der":
        raise MalformedMessage("an OCMF signature is DER")
    return Record(text, payload, str(algorithm), _signature(signature))


def verify_record(record: Record, spki: bytes) -> None:
    """Check a record under a public key (SPKI in DER).

    Raises:
        BadKey: no elliptic curve key, or of another curve than the record's algorithm.
        BadSignature: it does not verify.
    """
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"not a public key in DER: {error}") from None
    curve = CURVES[record.algorithm]
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve:
        raise BadKey(f"the record is signed on {curve}, the key is of another kind")
    try:
        key.verify(record.signature, record.signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise BadSignature("the OCMF record's signature does not verify under this key") from None


def spki_of(key: PublicKey) -> bytes:
    """Return a P-256 key as SPKI in DER, as OCMF tools take it."""
    if key.alg != ES256:
        raise BadKey("OCMF knows no Ed25519 key")
    return SPKI_P256 + key.raw


def parse_spki(text: str) -> bytes:
    """Return the bytes of a public key in hex or base64."""
    packed = "".join(text.split())
    try:
        return bytes.fromhex(packed)
    except ValueError:
        pass
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("a public key is hex or base64 of its DER") from None


def format_xml(records: Iterable[str], key: PublicKey) -> str:
    """Return records in the S.A.F.E. transparency software's file format, with their key.

    <values><value transactionId="<n>" context="..."><signedData format="OCMF" encoding="plain"
    transactionId="<n>">OCMF|...</signedData><publicKey encoding="hex">...</publicKey></value>
    ...</values>, without any space around a record
    """
    spki = spki_of(key).hex()
    values = "".join(
        f'<value transactionId="{number}" context="Meter.Fiscal"><signedData format="OCMF" '
        f'encoding="plain" transactionId="{number}">{escape(record, quote=False)}</signedData>'
        f'<publicKey encoding="hex">{spki}</publicKey></value>\n'
        for number, record in enumerate(records, 1)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<values>\n{values}</values>\n'


def told(record: Record) -> tuple[str, ...]:
    """Return the readings of a record as texts: value, unit, register, instant.

    A field equal to the previous reading's may be left out.
    """
    found, last = [], dict[str, Any]()
    for reading in _readings(record.payload):
        last |= reading
        value = f"{last.get('RV', '?')} {last.get('RU', '?')} on {last.get('RI', '?')}"
        found.append(f"{value} at {last.get('TM', '?')}")
    return tuple(found)


def watt_hours(value_uwh: int) -> str:
    """Return an energy in Wh with all its six decimals.

    >>> watt_hours(1_234_560_001), watt_hours(7)
    ('1234.560001', '0.000007')
    """
    return f"{value_uwh // 1_000_000}.{value_uwh % 1_000_000:06d}"


def _moment(at_ms: int, clock: str) -> str:
    moment = EPOCH + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S},{at_ms % 1000:03d}+0000 {clock}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(
            text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"the OCMF {what} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise MalformedMessage(f"the OCMF {what} is no JSON object")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _readings(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = payload.get("RD")
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return found
    return []


def _signature(fields: Mapping[str, Any]) -> bytes:
    text, encoding = str(fields.get("SD", "")), fields.get("SE", "hex")
    try:
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return bytes.fromhex(text)
    except (binascii.Error, ValueError):
        raise MalformedMessage("the OCMF signature is neither hex nor base64") from None
