"""The text that says where a key lies: read whole or refused with what it should have been."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import BadPlace
from keys.places import (
    DEFAULT_TCTI,
    CredentialPlace,
    FilePlace,
    TokenPlace,
    TpmPlace,
    parse_place,
    place_complaint,
    rooted,
)

MODULE = "module-path=/usr/lib/softhsm/libsofthsm2.so"
FOLDER = Path("/etc/gridtally")


@pytest.mark.parametrize(
    "text", ["keys/dep1.pem", "/etc/keys/dep1.pem", "dep1", "./tpm:1", "a/b:c"]
)
def test_what_names_no_store_is_a_file(text: str) -> None:
    assert parse_place(text) == FilePlace(Path(text))


def test_a_credential_has_a_name() -> None:
    assert parse_place("credential:dep1-pv") == CredentialPlace("dep1-pv")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a" * 256])
def test_a_credential_is_no_path(name: str) -> None:
    with pytest.raises(BadPlace, match="a credential is named by letters"):
        parse_place(f"credential:{name}")


def test_a_token_is_read_as_rfc_7512_writes_it() -> None:
    text = (
        "pkcs11:token=The%20Software%20PKCS%2311;serial=4711;manufacturer=Snake;model=HSM"
        f";object=my-key;id=%69%95%3E%00;type=private?{MODULE}&pin-source=file:/etc/token_pin"
    )
    found = parse_place(text)

    assert isinstance(found, TokenPlace)
    assert found.token == (
        ("label", "The Software PKCS#11"),
        ("serial", "4711"),
        ("manufacturer_id", "Snake"),
        ("model", "HSM"),
    )
    assert (found.label, found.key_id) == ("my-key", b"\x69\x95\x3e\x00")
    assert found.module == "/usr/lib/softhsm/libsofthsm2.so"
    assert found.pin == FilePlace(Path("/etc/token_pin"))


def test_a_pin_may_be_a_credential() -> None:
    found = parse_place(f"pkcs11:token=a;id=%01?{MODULE}&pin-source=credential:site-pin")
    assert isinstance(found, TokenPlace)
    assert found.pin == CredentialPlace("site-pin")


def test_a_tpm_key_is_a_handle_or_a_file() -> None:
    handle, key_file = parse_place("tpm:0x81000101"), parse_place("tpm:keys/dep1.tpm")

    assert isinstance(handle, TpmPlace)
    assert isinstance(key_file, TpmPlace)
    assert (handle.handle, handle.tcti, handle.pin) == (0x81000101, DEFAULT_TCTI, None)
    assert (key_file.handle, key_file.path) == (0, Path("keys/dep1.tpm"))


def test_a_tpm_may_be_another_one() -> None:
    found = parse_place("tpm:0x81000101?tcti=swtpm:host=127.0.0.1,port=2321&pin-source=file:p")
    assert isinstance(found, TpmPlace)
    assert found.tcti == "swtpm:host=127.0.0.1,port=2321"
    assert found.pin == FilePlace(Path("p"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "say where the key lies"),
        ("tpn:0x81000101", '"tpn" is no store of keys; there are credential, pkcs11, tpm'),
        ("http://x", '"http" is no store'),
        ("C:/keys/dep1.pem", 'A file of that name is "./C:/keys/dep1.pem"'),
        ("tpm:", "name a handle, such as tpm:0x81000101"),
        ("tpm:81000101", "name a handle, such as tpm:0x81000101"),
        ("tpm:0x40000001", "is no persistent handle of the owner, 0x81000000 to 0x817fffff"),
        ("tpm:0x81800000", "is no persistent handle of the owner"),
        ("tpm:0x81000101?device=x", '"device" is none of tcti, pin-source'),
        ("tpm:0x81000101?pin-source=/x", "pin-source is file:PATH or credential:NAME"),
        ("tpm:0x81000101?pin-source=file:", "pin-source is file:PATH or credential:NAME"),
        (f"pkcs11:object=a?{MODULE}", "names no token: add token=LABEL"),
        (f"pkcs11:token=a?{MODULE}", "names no key: add object=LABEL"),
        (f"pkcs11:token=;object=a?{MODULE}", "names no token"),
        (f"pkcs11:token=a;object=b;object=c?{MODULE}", '"object" stands there twice'),
        (f"pkcs11:token=a;label=b?{MODULE}", '"label" is none of token, serial'),
        (f"pkcs11:token=a;object=b;type=public?{MODULE}", 'type can only be "private"'),
        ("pkcs11:token=a;object=b", "add ?module-path=, the absolute path"),
        ("pkcs11:token=a;object=b?module-path=softhsm.so", "add ?module-path=, the absolute path"),
        (f"pkcs11:token=a;object=b?{MODULE}&pin-source=credential:../x", "a credential is named"),
    ],
)
def test_what_cannot_be_a_place_is_told_with_what_it_should_be(text: str, complaint: str) -> None:
    assert complaint in place_complaint(text)
    with pytest.raises(BadPlace):
        parse_place(text)


@pytest.mark.parametrize(
    "text",
    [
        f"pkcs11:token=a;object=b?{MODULE}&pin-value=246810",
        f"pkcs11:token=a;object=b;pin-value=246810?{MODULE}",
        "tpm:0x81000101?pin-value=246810",
    ],
)
def test_a_pin_in_a_configuration_is_refused_and_not_repeated(text: str) -> None:
    complaint = place_complaint(text)
    assert "pin-source=file:PATH in the place of pin-value" in complaint
    assert "246810" not in complaint


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("keys/a.pem", "/etc/gridtally/keys/a.pem"),
        ("/keys/a.pem", "/keys/a.pem"),
        ("credential:a", "credential:a"),
        ("tpm:0x81000101", "tpm:0x81000101"),
        ("tpm:a.tpm", "tpm:/etc/gridtally/a.tpm"),
        ("tpm:/a.tpm?tcti=swtpm", "tpm:/a.tpm?tcti=swtpm"),
        (
            f"pkcs11:token=a;object=b?pin-source=file:a.pin&{MODULE}",
            f"pkcs11:token=a;object=b?pin-source=file:/etc/gridtally/a.pin&{MODULE}",
        ),
        (
            "tpm:0x81000101?pin-source=file:///a%20b.pin",
            "tpm:0x81000101?pin-source=file:/a%20b.pin",
        ),
        (
            "tpm:0x81000101?pin-source=credential:a",
            "tpm:0x81000101?pin-source=credential:a",
        ),
    ],
)
def test_every_path_in_a_place_is_of_the_configurations_folder(text: str, absolute: str) -> None:
    assert rooted(text, FOLDER) == absolute
    assert rooted(absolute, Path("/elsewhere")) == absolute


def test_in_errors_a_place_is_short() -> None:
    assert str(parse_place(f"pkcs11:token=a;object=b?{MODULE}")) == "pkcs11:token=a;object=b"
    assert str(parse_place("tpm:0x81000101?tcti=swtpm")) == "tpm:0x81000101"


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_place_or_is_refused_with_a_sentence(text: str) -> None:
    for start in (
        "",
        "tpm:",
        "pkcs11:",
        "credential:",
        "tpm:0x81000101?",
        "pkcs11:token=a;id=%01?",
    ):
        complaint = place_complaint(start + text)
        if not complaint:
            assert parse_place(rooted(start + text, FOLDER)) is not None
        else:
            assert "\n" not in complaint or "\n" in text
