"""OCMF records: real devices' ones, ours, and those that programs written by others read."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pyocmf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys.file import FileSigner
from messages.errors import BadKey, BadSignature, MalformedMessage, MessageError
from messages.ocmf import (
    EXPORT,
    IMPORT,
    SYNCHRONISED,
    UNKNOWN,
    Fiscal,
    Total,
    format_fiscal,
    format_xml,
    parse_record,
    parse_spki,
    sign_record,
    spki_of,
    told,
    verify_record,
)
from messages.publickey import ES256, PublicKey
from tests.support.signers import ed25519
from tests.support.vectors import vectors

OCMF: dict[str, Any] = vectors("trust/ocmf")
FISCAL = Fiscal(
    gateway="gridtally-edge",
    gateway_serial="dep1",
    gateway_version="0.1.0",
    page=7,
    model="sdm120",
    meter_serial="dep1-grid",
    at_ms=1_767_225_600_250,
    clock=SYNCHRONISED,
    totals=(Total(IMPORT, 1_234_560_001), Total(EXPORT, 7)),
)


def p256(seed: int = 5) -> FileSigner:
    """A P-256 key that is the same each time."""
    private = ec.derive_private_key(seed, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    raw = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return FileSigner(PublicKey(ES256, raw), private)


def signed() -> str:
    return sign_record(p256(), format_fiscal(FISCAL))


# --- records of devices and of programs nobody here wrote ----------------------------------------


@pytest.mark.parametrize("vector", OCMF["vectors"], ids=lambda v: v["path"].rsplit("/", 1)[1])
def test_records_of_real_devices_verify_as_they_are_marked(vector: dict[str, Any]) -> None:
    record, key = parse_record(vector["record"]), parse_spki(vector["public_key"])
    if vector["valid"]:
        verify_record(record, key)
        assert told(record)
    else:
        with pytest.raises(BadSignature):
            verify_record(record, key)


@pytest.mark.parametrize("name", OCMF["ours"]["records"])
def test_records_of_other_writers_in_our_form_verify(name: str) -> None:
    record = parse_record(OCMF["ours"]["records"][name])
    verify_record(record, parse_spki(OCMF["ours"]["public_key_spki_hex"]))
    assert told(record)[0].startswith("1234.560 kWh on 01-00:")


# --- ours ---------------------------------------------------------------------------------------


def test_a_fiscal_payload_is_spelled_out() -> None:
    assert format_fiscal(FISCAL) == (
        '{"FV":"1.3","GI":"gridtally-edge","GS":"dep1","GV":"0.1.0","PG":"F7","MM":"sdm120",'
        '"MS":"dep1-grid","IS":false,"IL":"NONE","IF":[],"IT":"NONE","ID":"","RD":['
        '{"TM":"2026-01-01T00:00:00,250+0000 S","RV":1234.560001,"RI":"01-00:01.08.00*FF",'
        '"RU":"Wh","EF":"","ST":"G"},'
        '{"TM":"2026-01-01T00:00:00,250+0000 S","RV":0.000007,"RI":"01-00:02.08.00*FF",'
        '"RU":"Wh","EF":"","ST":"G"}]}'
    )


def test_doubt_and_an_unknown_clock_are_written_down() -> None:
    doubtful = Fiscal("g", "s", "v", 1, "m", "n", 0, UNKNOWN, (Total(IMPORT, 1),), True)
    payload = format_fiscal(doubtful)
    assert '"EF":"E","ST":"E"' in payload
    assert "1970-01-01T00:00:00,000+0000 U" in payload


def test_a_record_of_ours_verifies_under_its_key_alone() -> None:
    record = parse_record(signed())
    verify_record(record, spki_of(p256().public))
    assert told(record)[1] == ("0.000007 Wh on 01-00:02.08.00*FF at 2026-01-01T00:00:00,250+0000 S")
    with pytest.raises(BadSignature):
        verify_record(record, spki_of(p256(6).public))


def test_pyocmf_takes_our_records_and_no_tampered_ones() -> None:
    key = pyocmf.PublicKey.from_string(spki_of(p256().public).hex())
    taken = pyocmf.OCMF.from_string(signed(), strict=True)
    assert taken.verify_signature(key)
    assert str(taken.payload.RD[0].RV) == "1234.560001"
    tampered = pyocmf.OCMF.from_string(signed().replace("1234.560001", "1234.560002"))
    assert not tampered.verify_signature(key)


def test_pyocmf_reads_our_xml(tmp_path: Path) -> None:
    path = tmp_path / "record.xml"
    path.write_text(format_xml([signed()], p256().public))
    container = pyocmf.OcmfContainer.from_xml(path)
    (entry,) = container.entries
    assert entry.verify_signature()


def test_every_bit_of_a_payload_matters() -> None:
    text = signed()
    key = spki_of(p256().public)
    start, end = len("OCMF|"), text.rindex("|")
    for at in range(start, end):
        for bit in range(7):
            flipped = text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]
            with pytest.raises(MessageError):
                verify_record(parse_record(flipped), key)


def test_a_signature_with_any_other_number_in_it_is_refused() -> None:
    whole = signed()
    fields = json.loads(whole.split("|")[2])
    der = bytearray.fromhex(fields["SD"])
    choose = random.Random(2)
    for _ in range(200):
        broken = bytearray(der)
        broken[choose.randrange(len(der))] ^= 1 << choose.randrange(8)
        text = whole.replace(fields["SD"], broken.hex())
        with pytest.raises(BadSignature):
            verify_record(parse_record(text), spki_of(p256().public))


def test_only_a_p256_key_signs() -> None:
    with pytest.raises(BadKey, match="this one is Ed25519"):
        sign_record(ed25519("m"), format_fiscal(FISCAL))
    with pytest.raises(BadKey, match="no Ed25519"):
        spki_of(ed25519("m").public)
    with pytest.raises(MalformedMessage, match=r"holds no \|"):
        sign_record(p256(), '{"a":"|"}')


# --- what is no record ----------------------------------------------------------------------------

BODY = '{"FV":"1.3","PG":"F1","RD":[{"RV":1}]}'
SIGNATURE = '{"SD":"00"}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is OCMF"),
        (f"OCMF|{BODY}", "is OCMF"),
        (f"OCMF|{BODY}|{SIGNATURE}|", "is OCMF"),
        (f"XCMF|{BODY}|{SIGNATURE}", "is OCMF"),
        (f"OCMF|no|{SIGNATURE}", "no JSON"),
        (f"OCMF|[]|{SIGNATURE}", "no JSON object"),
        (f"OCMF|{{}}|{SIGNATURE}", "has FV, PG and readings"),
        ('OCMF|{"FV":"1.3","PG":"F1","RD":[1]}|{}', "has FV, PG and readings"),
        ('OCMF|{"FV":"1.3","PG":"F1","PG":"F2","RD":[{}]}|{}', "twice"),
        (f'OCMF|{BODY}|{{"SA":"RSA","SD":"00"}}', "none that we know"),
        (f'OCMF|{BODY}|{{"SM":"x","SD":"00"}}', "is DER"),
        (f'OCMF|{BODY}|{{"SD":"xyz"}}', "neither hex nor base64"),
        (f'OCMF|{BODY}|{{"SD":"???","SE":"base64"}}', "neither hex nor base64"),
    ],
)
def test_what_is_no_record_is_malformed(text: str, words: str) -> None:
    with pytest.raises(MalformedMessage, match=words):
        parse_record(text)


def test_a_signature_may_be_base64() -> None:
    whole = signed()
    fields = json.loads(whole.split("|")[2])
    encoded = base64.b64encode(bytes.fromhex(fields["SD"])).decode()
    head = whole.rsplit("|", 1)[0]
    record = parse_record(f'{head}|{{"SE":"base64","SD":"{encoded}"}}')
    verify_record(record, spki_of(p256().public))


def test_keys_that_do_not_fit_are_told() -> None:
    record = parse_record(signed())
    with pytest.raises(BadKey, match="not a public key in DER"):
        verify_record(record, b"nothing")
    other = next(v for v in OCMF["vectors"] if "P384" in v["path"])
    with pytest.raises(BadKey, match="signed on secp256r1"):
        verify_record(record, parse_spki(other["public_key"]))
    with pytest.raises(MalformedMessage, match="hex or base64"):
        parse_spki("???")
