"""Credentials of systemd: read from its folder, or refused with the line for the unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys import credential, file
from keys.errors import KeyMissing, KeyUnreadable, NotMadeHere
from keys.pin import read_pin
from keys.places import CredentialPlace, FilePlace
from keys.stores import generate, open_or_generate, open_signer

PLACE = CredentialPlace("dep1-pv")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_a_credential_is_the_key_that_was_encrypted(folder: Path) -> None:
    made = file.generate(folder / "dep1-pv")
    # Where systemd grants by ACL, the mode shows the ACL's mask.
    (folder / "dep1-pv").chmod(0o440)

    signer = open_signer("credential:dep1-pv")

    assert signer.public == made.public
    signer.public.verify(signer.sign(b"x"), b"x")


def test_a_program_without_credentials_says_what_its_unit_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(KeyMissing, match="its unit needs LoadCredentialEncrypted=dep1-pv"):
        credential.load(PLACE)


def test_a_credential_that_was_not_passed_is_named(folder: Path) -> None:
    with pytest.raises(KeyMissing, match="not among what systemd passed"):
        credential.load(PLACE)


def test_a_credential_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "dep1-pv").mkdir()
    with pytest.raises(KeyUnreadable, match="cannot read the credential: Is a directory"):
        credential.load(PLACE)


def test_a_credential_that_is_no_key_is_refused(folder: Path) -> None:
    (folder / "dep1-pv").write_text("246810\n")
    with pytest.raises(KeyUnreadable, match="credential:dep1-pv: not a PEM private key"):
        credential.load(PLACE)


def test_nobody_makes_a_credential_and_the_lines_that_do_are_told(folder: Path) -> None:
    for make in (generate, open_or_generate):
        with pytest.raises(NotMadeHere, match="systemd-creds encrypt --name=dep1-pv FILE"):
            make("credential:dep1-pv")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"246810", b"246810\n", b"246810\r\n"])
def test_a_pin_is_one_line_in_a_credential_or_a_private_file(folder: Path, content: bytes) -> None:
    (folder / "dep1-pv").write_bytes(content)
    assert read_pin(PLACE) == "246810"
    (folder / "dep1-pv").chmod(0o600)
    assert read_pin(FilePlace(folder / "dep1-pv")) == "246810"


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "one line"), (b"\n", "one line"), (b"1\n2\n", "one line"), (b"\xff", "is text")],
)
def test_what_is_no_pin_is_refused_and_not_shown(folder: Path, content: bytes, fault: str) -> None:
    (folder / "dep1-pv").write_bytes(content)
    with pytest.raises(KeyUnreadable, match=f"credential:dep1-pv: a PIN is.*{fault}|{fault}"):
        read_pin(PLACE)


def test_a_pin_that_others_can_read_is_no_secret(folder: Path) -> None:
    path = folder / "site.pin"
    path.write_text("246810\n")
    path.chmod(0o644)
    with pytest.raises(KeyUnreadable) as caught:
        read_pin(FilePlace(path))
    assert str(caught.value) == (
        f"{path}: mode 0644 lets others read the PIN; want 0600: chmod 600 {path}"
    )
