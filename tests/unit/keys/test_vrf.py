"""A VRF key lies in a file as private as a signer's, proves, and signs nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keys import file, vrf
from keys.errors import KeyExists, KeyUnreadable
from messages.publickey import ES256
from messages.vrf import verify


def test_a_key_comes_back_and_proves(tmp_path: Path) -> None:
    path = tmp_path / "vrf.pem"
    key = vrf.generate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = vrf.load(path)
    assert again == key
    assert len(verify(key.public, b"height 5", again.prove(b"height 5"))) == 64
    assert repr(key) == f"VrfKey({key.public.fingerprint})"
    assert not hasattr(key, "sign")


def test_it_is_never_overwritten(tmp_path: Path) -> None:
    vrf.generate(tmp_path / "vrf.pem")
    with pytest.raises(KeyExists):
        vrf.generate(tmp_path / "vrf.pem")


def test_a_p256_key_or_an_open_file_is_refused(tmp_path: Path) -> None:
    file.generate(tmp_path / "p256.pem", ES256)
    with pytest.raises(KeyUnreadable, match="Ed25519"):
        vrf.load(tmp_path / "p256.pem")
    vrf.generate(tmp_path / "vrf.pem")
    (tmp_path / "vrf.pem").chmod(0o644)
    with pytest.raises(KeyUnreadable, match="0600"):
        vrf.load(tmp_path / "vrf.pem")
