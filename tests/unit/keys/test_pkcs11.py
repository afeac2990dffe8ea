"""What tokens may do that SoftHSM2 never does, played by a library that is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, TokenFlag

from keys.errors import (
    AlgorithmRefused,
    KeyFault,
    KeyMissing,
    KeyUnreadable,
    PinRefused,
    StoreUnavailable,
)
from keys.pkcs11 import ED25519_NAMED, P256, Module
from keys.places import TokenPlace, parse_place
from messages.publickey import EDDSA, ES256, P256_ORDER
from tests.support.signers import ed25519, p256


class FakeKey:
    """A private or public object; it signs as a file's key does."""

    is_gone = False

    def __init__(self, signer: Any, **attributes: Any) -> None:
        self.signer = signer
        self.attributes = {
            Attribute.CLASS: ObjectClass.PRIVATE_KEY,
            Attribute.LABEL: "pv",
            Attribute.ID: b"\x01",
            **{Attribute[name]: value for name, value in attributes.items()},
        }

    def __getitem__(self, name: Attribute) -> Any:
        if name not in self.attributes:
            raise pkcs11.AttributeTypeInvalid
        return self.attributes[name]

    def sign(self, data: bytes, mechanism: Mechanism) -> bytes:
        assert mechanism is Mechanism.EDDSA
        if self.is_gone:
            raise pkcs11.DeviceRemoved
        return bytes(self.signer.sign(data))


@dataclass
class FakeSession:
    token: FakeToken
    is_dead: bool = False

    def get_objects(self, wanted: dict[Attribute, Any]) -> Iterator[FakeKey]:
        assert not self.is_dead, "a search in a dead session writes to standard error"
        for each in self.token.objects:
            if all(each.attributes.get(name) == value for name, value in wanted.items()):
                yield each

    def generate_random(self, bits: int) -> bytes:
        if self.is_dead:
            raise pkcs11.SessionHandleInvalid
        if not self.token.has_random:
            raise pkcs11.RandomNoRNG
        return bytes(bits // 8)


@dataclass
class FakeToken:
    label: str = "site"
    serial: bytes = b"4711"
    manufacturer_id: str = "Nobody"
    model: str = "Fake"
    flags: int = 0
    pin: str = "246810"
    refuses_with: type[Exception] = pkcs11.PinIncorrect
    is_logged_in: bool = False
    has_random: bool = True
    objects: list[FakeKey] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    pins_tried: list[str] = field(default_factory=list)
    mechanisms: tuple[Mechanism, ...] = (Mechanism.EC_KEY_PAIR_GEN,)

    @property
    def slot(self) -> FakeToken:
        return self

    def get_mechanisms(self) -> tuple[Mechanism, ...]:
        return self.mechanisms

    def open(self, *, user_pin: str | None = None, rw: bool = False) -> FakeSession:
        if user_pin is not None:
            self.pins_tried.append(user_pin)
            if self.is_logged_in:
                raise pkcs11.UserAlreadyLoggedIn
            if user_pin != self.pin:
                raise self.refuses_with
        self.sessions.append(FakeSession(self))
        return self.sessions[-1]


@dataclass
class FakeLibrary:
    tokens: list[FakeToken]

    def get_tokens(self) -> list[FakeToken]:
        return self.tokens

    def reinitialize(self) -> None:
        for token in self.tokens:
            for session in token.sessions:
                session.is_dead = True


def key(seed: str = "pv", **attributes: Any) -> FakeKey:
    signer = ed25519(seed)
    point = b"\x04\x20" + signer.public.raw
    edwards = {"KEY_TYPE": KeyType.EC_EDWARDS, "EC_PARAMS": ED25519_NAMED, "EC_POINT": point}
    return FakeKey(signer, **(edwards | attributes))


class Bench:
    """A module on the fake, with one token and one PIN file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "token.so"
        self.path.touch()
        self.pin = folder / "site.pin"
        self.pin.touch(mode=0o600)
        self.pin.write_text("246810\n")
        self.token = FakeToken(objects=[key()])
        self.library = FakeLibrary([self.token])
        monkeypatch.setattr(pkcs11, "lib", lambda path: self.library)
        self.module = Module(str(self.path))

    def place(self, path: str = "token=site;object=pv", *, pin: bool = True) -> TokenPlace:
        source = f"&pin-source=file:{self.pin}" if pin else ""
        found = parse_place(f"pkcs11:{path}?module-path={self.path}{source}")
        assert isinstance(found, TokenPlace)
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_wrong_pin_is_sent_once_however_many_keys_and_tries_there_are(bench: Bench) -> None:
    bench.pin.write_text("999999\n")
    for label in ("pv", "load", "pv"):
        with pytest.raises(PinRefused, match="it is not tried again"):
            bench.module.open(bench.place(f"token=site;object={label}"))
    with pytest.raises(PinRefused):
        bench.module.open(bench.place("serial=4711;object=pv"))
    with pytest.raises(PinRefused):
        bench.module.generate(bench.place("token=site;object=new"), EDDSA)
    assert bench.token.pins_tried == ["999999"]


@pytest.mark.parametrize(
    ("flag", "fault"),
    [
        (TokenFlag.USER_PIN_FINAL_TRY, "one try is left before the token locks"),
        (TokenFlag.USER_PIN_LOCKED, "the token is locked by wrong PINs"),
    ],
)
def test_the_last_try_is_never_taken_by_a_program(
    bench: Bench, flag: TokenFlag, fault: str
) -> None:
    bench.token.flags = flag
    with pytest.raises(PinRefused, match=fault):
        bench.module.open(bench.place())
    assert bench.token.pins_tried == []


def test_a_pin_that_locked_the_token_is_told(bench: Bench) -> None:
    bench.token.refuses_with = pkcs11.PinLocked
    bench.pin.write_text("999999\n")
    with pytest.raises(PinRefused, match="its SO must unlock it"):
        bench.module.open(bench.place())


def test_who_is_logged_in_already_need_not_log_in(bench: Bench) -> None:
    bench.token.is_logged_in = True
    assert bench.module.open(bench.place()).public == ed25519("pv").public


def test_all_keys_of_a_token_share_one_session(bench: Bench) -> None:
    bench.token.objects.append(key("load", LABEL="load", ID=b"\x02"))
    for _ in range(3):
        bench.module.open(bench.place())
        bench.module.open(bench.place("token=site;id=%02"))
    assert len(bench.token.sessions) == 1
    assert bench.token.pins_tried == ["246810"]


@pytest.mark.parametrize("has_random", [True, False])
def test_a_session_that_died_is_noticed_before_another_key_is_looked_for(
    bench: Bench, *, has_random: bool
) -> None:
    bench.token.has_random = has_random
    bench.token.objects.append(key("load", LABEL="load", ID=b"\x02"))
    bench.module.open(bench.place())
    bench.token.sessions[0].is_dead = has_random
    assert bench.module.open(bench.place("token=site;object=load")).public == ed25519("load").public
    assert len(bench.token.sessions) == (2 if has_random else 1)


@pytest.mark.parametrize(
    "point", [ed25519("pv").public.raw, b"\x04\x20" + ed25519("pv").public.raw]
)
@pytest.mark.parametrize("params", [ED25519_NAMED, bytes.fromhex("06032b6570")])
def test_an_edwards_key_is_known_in_every_spelling(
    bench: Bench, point: bytes, params: bytes
) -> None:
    bench.token.objects = [key(EC_POINT=point, EC_PARAMS=params)]
    assert bench.module.open(bench.place()).public == ed25519("pv").public


@pytest.mark.parametrize("wrap", [b"\x04\x41", b""])
def test_a_p256_key_is_known_in_every_spelling(bench: Bench, wrap: bytes) -> None:
    point = wrap + b"\x04" + p256("pv").public.raw
    bench.token.objects = [key(KEY_TYPE=KeyType.EC, EC_PARAMS=P256, EC_POINT=point)]
    assert bench.module.open(bench.place()).public == p256("pv").public


def test_the_point_may_stand_beside_the_private_key(bench: Bench) -> None:
    private, public = key(), key(CLASS=ObjectClass.PUBLIC_KEY)
    del private.attributes[Attribute.EC_POINT]
    bench.token.objects = [private, key("other", ID=b"\x02"), public]
    assert bench.module.open(bench.place("token=site;id=%01")).public == ed25519("pv").public


@pytest.mark.parametrize(
    ("objects", "kind", "fault"),
    [
        ([], KeyMissing, "the token holds no such private key"),
        ([key(), key("b", ID=b"\x02")], KeyUnreadable, "2 keys of that name: add id="),
        ([key(KEY_TYPE=KeyType.RSA)], KeyUnreadable, "neither an Ed25519 nor a P-256 key"),
        ([key(EC_PARAMS=b"\x06\x00")], KeyUnreadable, "neither an Ed25519 nor a P-256 key"),
        ([key(EC_POINT=None)], KeyUnreadable, "its public key is not on the token"),
        ([key(EC_POINT=b"\x04\x20" + bytes(32))], KeyUnreadable, "small-order point"),
        ([key(EC_POINT=b"\x04\x05short")], KeyUnreadable, "has 32 bytes"),
    ],
)
def test_what_cannot_sign_for_us_is_told(
    bench: Bench, objects: list[FakeKey], kind: type[KeyFault], fault: str
) -> None:
    bench.token.objects = objects
    with pytest.raises(kind, match=fault):
        bench.module.open(bench.place())


def test_without_a_pin_the_fault_says_that_private_keys_hide(bench: Bench) -> None:
    bench.token.objects = []
    with pytest.raises(
        KeyMissing, match="private keys show after a login: add pin-source=file:PATH"
    ):
        bench.module.open(bench.place(pin=False))
    assert bench.token.pins_tried == []


def test_tokens_that_fit_alike_must_be_told_apart(bench: Bench) -> None:
    bench.library.tokens.append(FakeToken(serial=b"4712"))
    with pytest.raises(KeyUnreadable, match="2 tokens fit: add serial="):
        bench.module.open(bench.place())
    assert bench.module.open(bench.place("serial=4711;object=pv")).public == ed25519("pv").public


def test_a_token_that_is_not_there_may_come(bench: Bench) -> None:
    bench.library.tokens = []
    with pytest.raises(StoreUnavailable, match="no such token is plugged in"):
        bench.module.open(bench.place())
    bench.library.tokens = [bench.token]
    assert bench.module.open(bench.place()).public == ed25519("pv").public


def test_a_token_that_makes_no_such_keys_says_which_it_may(bench: Bench) -> None:
    with pytest.raises(AlgorithmRefused, match="makes no Ed25519 keys; ask for --alg es256"):
        bench.module.generate(bench.place("token=site;object=new"), EDDSA)
    bench.token.mechanisms = (Mechanism.EC_EDWARDS_KEY_PAIR_GEN,)
    with pytest.raises(AlgorithmRefused, match="makes no P-256 keys; ask for --alg eddsa"):
        bench.module.generate(bench.place("token=site;object=new"), ES256)


def test_a_high_s_of_the_token_leaves_as_a_low_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = p256("pv")
    point = b"\x04\x41\x04" + signer.public.raw
    private = key(KEY_TYPE=KeyType.EC, EC_PARAMS=P256, EC_POINT=point)
    low = signer.sign(b"x")
    s = P256_ORDER - int.from_bytes(low[32:], "big")
    high = low[:32] + s.to_bytes(32, "big")
    monkeypatch.setattr(private, "sign", lambda digest, mechanism: high)
    bench.token.objects = [private]

    assert bench.module.open(bench.place()).sign(b"x") == low


def test_a_key_that_was_exchanged_is_not_signed_with(bench: Bench) -> None:
    signer = bench.module.open(bench.place())
    signer.public.verify(signer.sign(b"x"), b"x")
    bench.token.objects[0].is_gone = True
    bench.token.objects = [key("other")]
    with pytest.raises(KeyUnreadable, match="another key lies there now"):
        signer.sign(b"x")
    with pytest.raises(KeyUnreadable, match="another key lies there now"):
        signer.sign(b"x")
