"""Keys of a TPM 2.0 (swtpm): made there, sign there, and outlive its restarts but not its owner."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from keys.errors import (
    AlgorithmRefused,
    KeyExists,
    KeyMissing,
    KeyUnreadable,
    PinRefused,
    StoreUnavailable,
)
from keys.stores import generate, open_or_generate, open_signer
from messages.errors import BadSignature
from messages.publickey import EDDSA, ES256, P256_ORDER
from tests.support.soft_tpm import SoftTpm

HANDLE = "0x81000101"
KINDS = pytest.mark.parametrize("kind", ["handle", "file"])


def place(tpm: SoftTpm, folder: Path, kind: str, pin: object = "") -> str:
    return tpm.place(HANDLE if kind == "handle" else folder / "pv.tpm", pin)


def pin_file(folder: Path, pin: str, name: str = "tpm.pin") -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(f"{pin}\n")
    return path


@KINDS
def test_a_key_is_made_signs_is_verified_and_comes_back(
    tpm: SoftTpm, tmp_path: Path, kind: str
) -> None:
    made = generate(place(tpm, tmp_path, kind))
    signature = made.sign(b"x")

    assert (made.public.alg, len(signature)) == (ES256, 64)
    made.public.verify(signature, b"x")
    with pytest.raises(BadSignature):
        made.public.verify(signature, b"y")
    again = open_signer(place(tpm, tmp_path, kind))
    assert again.public == made.public
    made.public.verify(again.sign(b"z"), b"z")


def test_every_signature_has_a_low_s(tpm: SoftTpm) -> None:
    """A TPM gives a high s every other time; 40 signatures without one would be luck of 2^-40."""
    signer = generate(tpm.place(HANDLE), ES256)
    for number in range(40):
        signature = signer.sign(bytes([number]))
        assert int.from_bytes(signature[32:], "big") <= P256_ORDER // 2
        signer.public.verify(signature, bytes([number]))


@KINDS
def test_ed25519_is_refused_by_name_before_anything_is_made(
    tpm: SoftTpm, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(AlgorithmRefused, match="no Ed25519; ask for --alg es256"):
        generate(place(tpm, tmp_path, kind), EDDSA)
    with pytest.raises(KeyMissing):
        open_signer(place(tpm, tmp_path, kind))


@KINDS
def test_a_key_is_never_made_twice(tpm: SoftTpm, tmp_path: Path, kind: str) -> None:
    made = generate(place(tpm, tmp_path, kind))
    with pytest.raises(KeyExists, match="never overwritten"):
        generate(place(tpm, tmp_path, kind))
    again, is_new = open_or_generate(place(tpm, tmp_path, kind))
    assert (again.public, is_new) == (made.public, False)


@KINDS
def test_a_signer_outlives_a_restart_of_its_tpm(tpm: SoftTpm, tmp_path: Path, kind: str) -> None:
    signer = generate(place(tpm, tmp_path, kind))
    for _ in range(2):
        signer.public.verify(signer.sign(b"x"), b"x")
        tpm.restart()
    signer.public.verify(signer.sign(b"x"), b"x")


@KINDS
def test_a_tpm_that_is_away_is_told_and_one_that_is_back_signs(
    tpm: SoftTpm, tmp_path: Path, kind: str
) -> None:
    signer = generate(place(tpm, tmp_path, kind))
    tpm.stop()
    for use in (lambda: signer.sign(b"x"), lambda: open_signer(place(tpm, tmp_path, kind))):
        with pytest.raises(StoreUnavailable, match="no TPM answers at swtpm"):
            use()
    tpm.start()
    signer.public.verify(signer.sign(b"x"), b"x")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("handle", (KeyMissing, "clearing a TPM removes all")), ("file", (KeyUnreadable, "enrol it"))],
)
def test_a_tpm_that_was_cleared_has_no_key_any_more(
    tpm: SoftTpm, tmp_path: Path, kind: str, fault: tuple[type[Exception], str]
) -> None:
    signer = generate(place(tpm, tmp_path, kind))
    tpm.clear()
    for use in (lambda: signer.sign(b"x"), lambda: open_signer(place(tpm, tmp_path, kind))):
        with pytest.raises(fault[0], match=fault[1]):
            use()


def test_another_key_at_the_same_handle_is_not_signed_with(tpm: SoftTpm) -> None:
    signer = generate(tpm.place(HANDLE))
    tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", HANDLE)
    other = generate(tpm.place(HANDLE))
    with pytest.raises(KeyUnreadable, match="another key lies there now"):
        signer.sign(b"x")
    other.public.verify(other.sign(b"x"), b"x")


@KINDS
def test_a_wrong_pin_is_told_and_not_sent_again(tpm: SoftTpm, tmp_path: Path, kind: str) -> None:
    right, wrong = pin_file(tmp_path, "246810"), pin_file(tmp_path, "999999", "wrong.pin")
    made = generate(place(tpm, tmp_path, kind, right))
    made.public.verify(made.sign(b"x"), b"x")
    before = lockout_counter(tpm)
    with pytest.raises(PinRefused, match="it is not tried again"):
        open_signer(place(tpm, tmp_path, kind, wrong))
    assert lockout_counter(tpm) == before + 1

    pin_file(tmp_path, "246810", "wrong.pin")  # were the TPM asked again, it would sign
    for _ in range(2):
        with pytest.raises(PinRefused, match="it is not tried again"):
            open_signer(place(tpm, tmp_path, kind, wrong))
    assert lockout_counter(tpm) == before + 1
    with pytest.raises(PinRefused, match="the key has a PIN: add pin-source=file:PATH"):
        open_signer(place(tpm, tmp_path, kind))
    made.public.verify(made.sign(b"x"), b"x")


def lockout_counter(tpm: SoftTpm) -> int:
    """Return how many wrong PINs the TPM counts."""
    lines = tpm.tool("tpm2_getcap", "properties-variable").splitlines()
    return int(next(line for line in lines if "LOCKOUT_COUNTER" in line).split(":")[1], 16)


def test_a_tpm_that_locked_itself_says_so_and_keys_without_a_pin_sign_on(
    tpm: SoftTpm, tmp_path: Path
) -> None:
    pin = pin_file(tmp_path, "246810")
    with_pin = generate(tpm.place(HANDLE, pin))
    without = generate(tpm.place("0x81000102"))
    tpm.tool("tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1")
    with pytest.raises(PinRefused):
        open_signer(tpm.place(HANDLE, pin_file(tmp_path, "999999", "wrong.pin")))

    with pytest.raises(PinRefused, match="tpm2_dictionarylockout --clear-lockout ends that"):
        with_pin.sign(b"x")
    without.public.verify(without.sign(b"x"), b"x")
    tpm.tool("tpm2_dictionarylockout", "--clear-lockout")
    with_pin.public.verify(with_pin.sign(b"x"), b"x")


def test_a_key_that_another_tool_made_signs_too(tpm: SoftTpm, tmp_path: Path) -> None:
    primary, made = tmp_path / "primary.ctx", tmp_path / "made.ctx"
    tpm.tool("tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", primary)
    tpm.tool("tpm2_flushcontext", "-t")
    private, public = tmp_path / "made.priv", tmp_path / "made.pub"
    words = ("-G", "ecc256:ecdsa", "-u", public, "-r", private)
    tpm.tool("tpm2_create", "-Q", "-C", primary, *words)
    tpm.tool("tpm2_flushcontext", "-t")
    tpm.tool("tpm2_load", "-Q", "-C", primary, "-u", public, "-r", private, "-c", made)
    tpm.tool("tpm2_flushcontext", "-t")
    tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", made, HANDLE)
    tpm.tool("tpm2_flushcontext", "-t")

    signer = open_signer(tpm.place(HANDLE))
    signer.public.verify(signer.sign(b"x"), b"x")


def test_another_tool_reads_the_public_key_of_ours(tpm: SoftTpm) -> None:
    signer = generate(tpm.place(HANDLE))
    told = tpm.tool("tpm2_readpublic", "-c", HANDLE)
    assert f"x: {signer.public.raw[:32].hex()}" in told
    assert f"y: {signer.public.raw[32:].hex()}" in told
    for attribute in ("fixedtpm", "fixedparent", "sensitivedataorigin"):
        assert attribute in told


def test_a_key_that_does_not_sign_is_refused(tpm: SoftTpm, tmp_path: Path) -> None:
    """Many systems keep their storage key at a handle that looks like any other."""
    primary = tmp_path / "primary.ctx"
    tpm.tool("tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-c", primary)
    tpm.tool("tpm2_evictcontrol", "-Q", "-C", "o", "-c", primary, "0x81000001")
    tpm.tool("tpm2_flushcontext", "-t")
    with pytest.raises(KeyUnreadable, match="no P-256 key for signing"):
        open_signer(tpm.place("0x81000001"))


def test_an_owner_with_a_password_is_named(tpm: SoftTpm) -> None:
    tpm.tool("tpm2_changeauth", "-c", "owner", "secret")
    with pytest.raises(KeyUnreadable, match="the TPM's owner has a password"):
        generate(tpm.place(HANDLE))


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_is_no_key_of_a_tpm_is_refused(
    tpm: SoftTpm, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "pv.tpm"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(KeyUnreadable, match="not a key file of a TPM"):
        open_signer(tpm.place(path))
    path.chmod(0o644)
    with pytest.raises(KeyUnreadable, match="chmod 600"):
        open_signer(tpm.place(path))


def test_more_keys_than_a_tpm_has_slots_sign_in_many_threads(tpm: SoftTpm, tmp_path: Path) -> None:
    signers = [generate(tpm.place(tmp_path / f"k{n}.tpm")) for n in range(5)]
    signers.append(generate(tpm.place(HANDLE)))
    bad: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for count in range(10):
                message = bytes([number, count])
                signer = signers[(number + count) % len(signers)]
                signer.public.verify(signer.sign(message), message)
        except BaseException as error:
            bad.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert bad == []
