"""gridtally-verify ocmf: single records and XML files, of devices and of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys.file import FileSigner
from member.errors import Code
from messages.ocmf import IMPORT, Fiscal, Total, format_fiscal, format_xml, sign_record, spki_of
from messages.publickey import ES256, PublicKey
from tests.support.demo_log import ask
from tests.support.vectors import vectors

DEVICES: list[dict[str, Any]] = vectors("trust/ocmf")["vectors"]


def meter(seed: int = 5) -> FileSigner:
    private = ec.derive_private_key(seed, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    raw = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return FileSigner(PublicKey(ES256, raw), private)


def record(page: int = 1) -> str:
    totals = (Total(IMPORT, 1_234_560_001),)
    fiscal = Fiscal("gridtally-edge", "n1", "0.1", page, "sdm120", "m1", 0, "S", totals)
    return sign_record(meter(), format_fiscal(fiscal))


KEY = spki_of(meter().public).hex()


@pytest.mark.parametrize("vector", DEVICES, ids=lambda v: v["path"].rsplit("/", 1)[1])
def test_records_of_devices_are_judged_as_they_are_marked(
    tmp_path: Path, capsys: Any, vector: dict[str, Any]
) -> None:
    (tmp_path / "record").write_text(vector["record"])
    told = ask(capsys, "ocmf", tmp_path / "record", "--key", vector["public_key"])
    assert told.code == (0 if vector["valid"] else Code.SIGNATURE)


def test_the_verdict_says_what_was_signed_and_by_whom(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "record").write_text(record(3) + "\n")
    told = ask(capsys, "ocmf", tmp_path / "record", "--key", KEY)
    assert told.code == 0
    assert told.verdict == (
        "record F3 of meter m1: 1234.560001 Wh on 01-00:01.08.00*FF at "
        f"1970-01-01T00:00:00,000+0000 S; signed by key {meter().public.fingerprint}"
    )
    assert told.facts["key_from_file"] is False


def test_a_changed_digit_is_no_signature(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "record").write_text(record().replace("1234.560001", "1234.560002"))
    assert ask(capsys, "ocmf", tmp_path / "record", "--key", KEY).code == Code.SIGNATURE


def test_without_a_key_nothing_can_be_said(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "record").write_text(record())
    told = ask(capsys, "ocmf", tmp_path / "record")
    assert (told.code, told.verdict) == (
        Code.SIGNATURE,
        "no key came with the record: give --key",
    )


def test_a_key_from_the_file_is_told_to_be_one(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "record.xml"
    path.write_text(format_xml([record(1), record(2)], meter().public))
    told = ask(capsys, "ocmf", path)
    assert told.code == 0
    assert told.facts["key_from_file"] is True
    assert [each["pagination"] for each in told.facts["records"]] == ["F1", "F2"]
    assert told.verdict.endswith("which came with the record: compare it")
    assert ask(capsys, "ocmf", path, "--key", KEY).code == 0
    other = spki_of(meter(6).public).hex()
    assert ask(capsys, "ocmf", path, "--key", other).code == Code.FOREIGN


def test_one_bad_record_spoils_a_file(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "record.xml"
    text = format_xml([record(1), record(2)], meter().public)
    path.write_text(text.replace('"PG":"F2"', '"PG":"F3"'))
    assert ask(capsys, "ocmf", path).code == Code.SIGNATURE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<values></values>", "no <value>"),
        ("<values>", "not XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><values/>', "no entities"),
        ("<values><value><publicKey>00</publicKey></value></values>", "is OCMF"),
    ],
)
def test_a_file_of_another_form_is_malformed(
    tmp_path: Path, capsys: Any, text: str, words: str
) -> None:
    (tmp_path / "record.xml").write_text(text)
    told = ask(capsys, "ocmf", tmp_path / "record.xml")
    assert told.code == Code.MALFORMED
    assert words in told.verdict


def test_a_key_of_another_kind_is_no_signature(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "record").write_text(record())
    other = next(v for v in DEVICES if "P384" in v["path"])
    told = ask(capsys, "ocmf", tmp_path / "record", "--key", other["public_key"])
    assert told.code == Code.SIGNATURE
    assert "signed on secp256r1" in told.verdict
