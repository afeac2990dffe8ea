"""One text, one signer: what is opened, what is made, what is told of a key, what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from keys import file, stores
from keys.errors import KeyExists, KeyMissing, KeyUnreadable, StoreUnavailable
from keys.info import KeyInfo, info_lines, key_info
from keys.stores import generate, open_or_generate, open_signer
from messages.publickey import EDDSA, ES256, PublicKey
from tests.support.signers import ed25519, p256

TOKEN = "pkcs11:token=site;object=pv?module-path=/nowhere/token.so"


@pytest.mark.parametrize("alg", [EDDSA, ES256])
def test_a_key_in_a_file_is_made_and_opened_by_its_path(tmp_path: Path, alg: int) -> None:
    made = generate("keys/pv.pem", alg, tmp_path)

    assert made.public.alg == alg
    assert open_signer("keys/pv.pem", tmp_path).public == made.public
    assert open_signer(str(tmp_path / "keys/pv.pem")).public == made.public
    with pytest.raises(KeyExists):
        generate("keys/pv.pem", alg, tmp_path)


def test_keys_are_ed25519_unless_told_otherwise(tmp_path: Path) -> None:
    assert generate("pv.pem", folder=tmp_path).public.alg == EDDSA


def test_a_key_that_is_there_is_opened_and_only_a_missing_one_is_made(tmp_path: Path) -> None:
    made, is_new = open_or_generate("pv.pem", ES256, tmp_path)
    again, is_new_again = open_or_generate("pv.pem", EDDSA, tmp_path)

    assert (is_new, is_new_again) == (True, False)
    assert again.public == made.public
    (tmp_path / "pv.pem").write_text("no key")
    with pytest.raises(KeyUnreadable, match="not a PEM"):
        open_or_generate("pv.pem", None, tmp_path)
    assert (tmp_path / "pv.pem").read_text() == "no key"


def test_a_missing_key_can_be_told_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing):
        open_signer("none.pem", tmp_path)
    (tmp_path / "broken.pem").touch(mode=0o600)
    with pytest.raises(KeyUnreadable) as caught:
        open_signer("broken.pem", tmp_path)
    assert not isinstance(caught.value, KeyMissing)


@pytest.mark.parametrize(
    ("place", "library", "extra"),
    [(TOKEN, "pkcs11", "pkcs11"), ("tpm:0x81000101", "tpm2_pytss", "tpm")],
)
def test_a_missing_library_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, place: str, library: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"keys.{extra}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    for use in (open_signer, generate, open_or_generate):
        with pytest.raises(StoreUnavailable) as caught:
            use(place)
        assert f"pip install 'gridtally[{extra}]'" in str(caught.value)


class Store:
    """A store whose one signer signs what it likes."""

    def __init__(self, public: PublicKey, signature: bytes) -> None:
        self.public, self.signature = public, signature

    def open(self, place: object) -> Store:
        return self

    def sign(self, message: bytes) -> bytes:
        return self.signature


def test_a_key_that_signs_what_its_public_key_refuses_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Store(p256("a").public, p256("b").sign(stores.TRIAL))
    monkeypatch.setattr(stores, "_device", lambda place: wrong)
    with pytest.raises(KeyUnreadable, match="token=site;object=pv: signs what its own public key"):
        open_signer(TOKEN)

    right = Store(ed25519("a").public, ed25519("a").sign(stores.TRIAL))
    monkeypatch.setattr(stores, "_device", lambda place: right)
    assert open_signer(TOKEN).public == ed25519("a").public


def test_what_is_told_of_a_key_is_never_the_key(tmp_path: Path) -> None:
    path = tmp_path / "pv.pem"
    made = file.generate(path, ES256)

    found = key_info("meter pv", str(path))

    print_out = made.public.fingerprint
    assert found == KeyInfo("meter pv", str(path), "file", "es256", print_out, "")
    assert list(info_lines([found])) == [f"{print_out}  es256  meter pv", f"    file: {path}"]


@pytest.mark.parametrize(
    ("place", "store", "fault"),
    [
        ("/nowhere/pv.pem", "file", "cannot read the key: No such file"),
        ("credential:pv", "systemd credential", "LoadCredentialEncrypted=pv"),
        (TOKEN, "PKCS#11 token", "there is no library /nowhere/token.so"),
        ("tpn:0x81000101", "", '"tpn" is no store of keys'),
    ],
)
def test_a_key_that_cannot_be_opened_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, place: str, store: str, fault: str
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = key_info("meter pv", place)

    assert (found.store, found.algorithm, found.fingerprint) == (store, "", "")
    assert fault in found.fault
    first, second = info_lines([found])
    assert first == "not to be opened     -      meter pv"
    assert second.strip() == found.fault
