"""Keys on a SoftHSM2 token: made there, sign there, and come back after whatever happens to it."""

from __future__ import annotations

import threading

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from keys.errors import KeyExists, KeyMissing, KeyUnreadable, PinRefused, StoreUnavailable
from keys.pkcs11 import module
from keys.stores import generate, open_or_generate, open_signer
from messages.errors import BadSignature
from messages.publickey import EDDSA, ES256, P256_ORDER
from tests.support.soft_token import PIN, SoftToken

ALGS = pytest.mark.parametrize("alg", [EDDSA, ES256], ids=["eddsa", "es256"])


@ALGS
def test_a_key_is_made_signs_is_verified_and_comes_back(token: SoftToken, alg: int) -> None:
    made = generate(token.place("pv"), alg)
    signature = made.sign(b"x")

    assert (made.public.alg, len(signature)) == (alg, 64)
    made.public.verify(signature, b"x")
    with pytest.raises(BadSignature):
        made.public.verify(signature, b"y")
    token.close()
    again = open_signer(token.place("pv"))
    assert again.public == made.public
    made.public.verify(again.sign(b"z"), b"z")


def test_every_es256_signature_has_a_low_s(token: SoftToken) -> None:
    """A token gives a high s every other time; 40 signatures without one would be luck of 2^-40."""
    signer = generate(token.place("pv"), ES256)
    for number in range(40):
        signature = signer.sign(bytes([number]))
        assert int.from_bytes(signature[32:], "big") <= P256_ORDER // 2
        signer.public.verify(signature, bytes([number]))


@ALGS
def test_the_key_cannot_be_taken_out(token: SoftToken, alg: int) -> None:
    generate(token.place("pv"), alg)
    found = next(pkcs11.lib(token.library).get_tokens(token_label="site"))
    wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    (private,) = list(found.open().get_objects(wanted))

    assert private[Attribute.SENSITIVE]
    assert not private[Attribute.EXTRACTABLE]
    with pytest.raises(pkcs11.AttributeSensitive):
        private[Attribute.VALUE]


def test_a_key_is_never_made_twice(token: SoftToken) -> None:
    made = generate(token.place("pv"), ES256)
    with pytest.raises(KeyExists, match="never overwritten"):
        generate(token.place("pv"), EDDSA)
    again, is_new = open_or_generate(token.place("pv"), EDDSA)
    assert (again.public, is_new) == (made.public, False)


def test_a_key_has_the_id_it_was_made_with(token: SoftToken) -> None:
    made = generate(token.place("pv", id="%01%fe"))
    assert open_signer(token.place("pv")).public == made.public
    by_id = token.place("pv").replace("object=pv", "id=%01%FE")
    assert open_signer(by_id).public == made.public
    with pytest.raises(KeyMissing):
        open_signer(by_id.replace("%FE", "%FF"))


def test_a_missing_key_and_a_missing_token_are_told_apart(token: SoftToken) -> None:
    with pytest.raises(KeyMissing, match="object=none: the token holds no such private key"):
        open_signer(token.place("none"))
    other = token.place("none").replace("token=site", "token=other")
    with pytest.raises(StoreUnavailable, match="no such token is plugged in"):
        open_signer(other)


def test_without_a_pin_private_keys_do_not_show(token: SoftToken) -> None:
    generate(token.place("pv"))
    token.close()
    with pytest.raises(KeyMissing, match="add pin-source=file:PATH"):
        open_signer(token.place("pv").partition("&pin-source")[0])


def test_a_wrong_pin_is_told_and_not_sent_again(token: SoftToken) -> None:
    generate(token.place("pv"))
    token.close()
    token.write_pin("999999")
    with pytest.raises(PinRefused, match="it is not tried again"):
        open_signer(token.place("pv"))

    token.write_pin(PIN)  # were the token asked again, it would let us in
    for label in ("pv", "load"):
        with pytest.raises(PinRefused, match="it is not tried again"):
            open_signer(token.place(label))
    token.close()
    assert open_signer(token.place("pv")).sign(b"x")


def test_a_pin_may_come_from_systemd(token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = token.folder / "credentials"
    folder.mkdir()
    (folder / "site-pin").write_text(PIN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    made = generate(token.place("pv", pin="credential:site-pin"))
    assert open_signer(token.place("pv")).public == made.public


@ALGS
def test_a_signer_outlives_the_sessions_of_its_token(token: SoftToken, alg: int) -> None:
    signers = [generate(token.place(name), alg) for name in ("pv", "load")]
    for _ in range(3):
        token.restart()
        for signer in signers:
            signer.public.verify(signer.sign(b"x"), b"x")


def test_a_token_that_is_pulled_is_told_and_one_that_is_back_signs(token: SoftToken) -> None:
    signer = generate(token.place("pv"), ES256)
    token.pull()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="token=site;object=pv: "):
            signer.sign(b"x")
    token.plug()
    signer.public.verify(signer.sign(b"x"), b"x")


def test_a_token_that_was_wiped_has_no_key_any_more(token: SoftToken) -> None:
    signer = generate(token.place("pv"))
    token.wipe()
    with pytest.raises(KeyMissing):
        signer.sign(b"x")


def test_another_key_of_the_same_name_is_not_signed_with(token: SoftToken) -> None:
    signer = generate(token.place("pv"))
    token.wipe()
    token.restart()
    other = generate(token.place("pv"))
    assert other.public != signer.public
    for _ in range(2):
        with pytest.raises(KeyUnreadable, match="another key lies there now"):
            signer.sign(b"x")
    other.public.verify(other.sign(b"x"), b"x")


def test_many_threads_sign_with_many_keys(token: SoftToken) -> None:
    signers = [generate(token.place(f"k{n}"), (EDDSA, ES256)[n % 2]) for n in range(4)]
    bad: list[BaseException] = []

    def work(number: int) -> None:
        signer = signers[number % len(signers)]
        try:
            for count in range(25):
                message = bytes([number, count])
                signer.public.verify(signer.sign(message), message)
                if number == 0 and count % 8 == 0:
                    with module(token.library)._lock:  # a library bears no restart amid a call
                        token.restart()
        except BaseException as error:
            bad.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert bad == []
