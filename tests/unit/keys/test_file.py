"""Key files: private, durable, never overwritten; what is wrong with one is said with its cure."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from keys import file as key_file
from keys.errors import KeyExists, KeyUnreadable
from keys.file import generate, load
from messages.errors import BadSignature
from messages.publickey import EDDSA, ES256, P256_ORDER


@pytest.mark.parametrize("alg", [EDDSA, ES256])
def test_a_key_file_is_private_and_comes_back(tmp_path: Path, alg: int) -> None:
    path = tmp_path / "keys" / "meter.pem"
    signer = generate(path, alg)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = load(path)
    assert again.public == signer.public
    signer.public.verify(again.sign(b"x"), b"x")
    with pytest.raises(BadSignature):
        signer.public.verify(again.sign(b"x"), b"y")
    assert repr(signer) == f"FileSigner({signer.public.fingerprint})"


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "meter.pem"
    generate(path)
    before = path.read_bytes()
    with pytest.raises(KeyExists, match="never overwritten"):
        generate(path, ES256)
    assert path.read_bytes() == before


def test_every_es256_signature_has_a_low_s(tmp_path: Path) -> None:
    """OpenSSL gives a high s every other time; 40 signatures without one would be luck of 2^-40."""
    signer = generate(tmp_path / "meter.pem", ES256)
    for number in range(40):
        signature = signer.sign(bytes([number]))
        assert len(signature) == 64
        assert int.from_bytes(signature[32:], "big") <= P256_ORDER // 2
        signer.public.verify(signature, bytes([number]))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777])
def test_a_key_that_others_can_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "meter.pem"
    generate(path)
    path.chmod(mode)
    with pytest.raises(KeyUnreadable) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: mode {mode:04o} lets others read the key; want 0600: chmod 600 {path}"
    )
    path.chmod(0o400)
    load(path)


def pem(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


P384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "not a PEM private key"),
        (b"x", "not a PEM private key"),
        (pem(P384), "neither an Ed25519 nor a P-256"),
        (pem(rsa.generate_private_key(65537, 2048)), "neither an Ed25519 nor a P-256"),
        (pem(P384, BestAvailableEncryption(b"secret")), "without a password"),
    ],
    ids=["empty", "text", "p384", "rsa", "encrypted"],
)
def test_what_is_no_key_of_ours_is_refused(tmp_path: Path, content: bytes, finding: str) -> None:
    path = tmp_path / "bad.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyUnreadable, match=finding):
        load(path)


def test_a_cut_key_is_refused_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "meter.pem"
    generate(path)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        with pytest.raises(KeyUnreadable) as caught:
            load(path)
        assert whole[30:60].decode() not in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnreadable, match=r"none\.pem: cannot read the key: No such file"):
        load(tmp_path / "none.pem")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyUnreadable, match="cannot write the key"):
        generate(tmp_path / "file" / "key.pem")
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_no_half_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(key_file.os, "fsync", full)
        with pytest.raises(KeyUnreadable, match="cannot write the key: No space left"):
            generate(tmp_path / "meter.pem")
    assert os.listdir(tmp_path) == []
    generate(tmp_path / "meter.pem")


def test_name_and_content_are_synced_before_the_key_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    monkeypatch.setattr(key_file.os, "fsync", note)
    generate(tmp_path / "meter.pem")
    assert synced == ["meter.pem", tmp_path.name]
