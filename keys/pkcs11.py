"""Keys on PKCS#11 tokens: smart cards, USB tokens, network HSMs, SoftHSM2.

A key is made on its token, never leaves it, and signs there: Ed25519 (EDDSA) or P-256 (ECDSA of a
SHA-256 made here, which every token has). A token's keys share one session, since logging in and
out is the whole program's. A session that dies, because the token was pulled or began anew, is
opened again when the next signature is asked for. A PIN that was refused is not sent a second time.
Source: PKCS#11 v2.40 and v3.0. Tried on: SoftHSM2 only.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, TokenFlag

from keys.errors import (
    AlgorithmRefused,
    KeyExists,
    KeyMissing,
    KeyUnreadable,
    PinRefused,
    StoreUnavailable,
)
from keys.es256 import low_s
from keys.pin import read_pin
from keys.places import TokenPlace
from messages.errors import BadKey, BadSignature
from messages.publickey import EDDSA, ES256, PublicKey

P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""CKA_EC_PARAMS: OID 1.2.840.10045.3.1.7."""
ED25519: Final = bytes.fromhex("06032b6570")
"""CKA_EC_PARAMS: OID 1.3.101.112. Source: RFC 8410."""
ED25519_NAMED: Final = b"\x13\x0cedwards25519"
"""The same as a PrintableString. Source: PKCS#11 v3.0, 2.3.5."""
OCTET_STRING: Final = 0x04
UNCOMPRESSED: Final = b"\x04"
MODULES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/libykcs11.so",
    "/usr/lib/aarch64-linux-gnu/libykcs11.so",
)
"""Where Debian's packages put the usual ones; named to who mistypes a path."""


@dataclass(frozen=True)
class TokenSigner:
    """A signer whose key is on a token."""

    public: PublicKey
    _module: Module
    _place: TokenPlace

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes: an Ed25519 signature, or r || s with s in the lower half.

        Raises:
            StoreUnavailable: the token is not there now; the next call tries anew.
            KeyFault: it refused the PIN, or the key is not there any more.
        """
        return self._module.sign(self._place, self.public, message)

    def __repr__(self) -> str:
        """Name the key by its fingerprint."""
        return f"TokenSigner({self.public.fingerprint})"


@dataclass(frozen=True, slots=True)
class _Found:
    """A private key in an open session; it is worth nothing in another one."""

    key: Any
    public: PublicKey


@dataclass(frozen=True, slots=True)
class _Login:
    """The open session of one token, and the keys found in it."""

    session: Any
    keys: dict[TokenPlace, _Found] = field(default_factory=dict)


class Module:
    """One PKCS#11 library and the sessions that are open through it; `module` returns it."""

    def __init__(self, path: str) -> None:
        self._path = path
        # python-pkcs11 has the library initialised without locks of its own.
        self._lock = threading.RLock()
        self._logins: dict[tuple[str, bytes], _Login] = {}
        self._refused: dict[tuple[str, bytes], str] = {}

    def open(self, place: TokenPlace) -> TokenSigner:
        """Return the signer of a key that is on its token.

        Raises:
            KeyMissing, KeyUnreadable, PinRefused, StoreUnavailable: as they say.
        """
        with self._lock, _told(place):
            for login in self._logins.values():
                login.keys.pop(place, None)  # it may be of a session that died unnoticed
            return TokenSigner(self._find(place).public, self, place)

    def generate(self, place: TokenPlace, alg: int) -> TokenSigner:
        """Make a key on the token: it signs, and cannot be taken out.

        Raises:
            KeyExists: a key of this name is there.
            AlgorithmRefused: the token makes none of this kind.
            KeyFault: as `open`.
        """
        kind, params, mechanism = (
            (KeyType.EC, P256, Mechanism.EC_KEY_PAIR_GEN)
            if alg == ES256
            else (KeyType.EC_EDWARDS, ED25519, Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
        )
        with self._lock, _told(place):
            login = self._login(place)
            if _private_keys(login.session, place):
                raise KeyExists(f"{place}: a key is already there, and keys are never overwritten")
            token = login.session.token
            if mechanism not in token.slot.get_mechanisms():
                name, other = ("Ed25519", "es256") if alg == EDDSA else ("P-256", "eddsa")
                raise AlgorithmRefused(
                    f"{place}: this token makes no {name} keys; ask for --alg {other}"
                )
            with token.open(rw=True) as session:  # logged in, as every session of the token
                _generate(session, place, kind, params)
        return self.open(place)

    def sign(self, place: TokenPlace, public: PublicKey, message: bytes) -> bytes:
        """Sign with a key that was opened before; open it again if its session died.

        What comes is verified: after a restart the same handle can be that of another key.
        """
        with self._lock, _told(place):
            try:
                return _signature(self._known(place, public), public, message)
            except (pkcs11.PKCS11Error, BadSignature, KeyMissing, KeyUnreadable, StoreUnavailable):
                self._begin_anew()
            try:
                return _signature(self._known(place, public), public, message)
            except BadSignature as error:
                raise KeyUnreadable(
                    f"{place}: signs what its public key refuses: {error}"
                ) from None

    def _begin_anew(self) -> None:
        """Drop all sessions: a library may see a token's return only when it is initialised."""
        self._logins.clear()
        pkcs11.lib(self._path).reinitialize()

    def _known(self, place: TokenPlace, public: PublicKey) -> Any:
        found = self._find(place)
        if found.public != public:
            raise KeyUnreadable(
                f"{place}: another key lies there now, {found.public.fingerprint}; it was "
                f"{public.fingerprint}"
            )
        return found.key

    def _find(self, place: TokenPlace) -> _Found:
        for each in self._logins.values():
            if place in each.keys:
                return each.keys[place]
        login = self._login(place)
        there = _private_keys(login.session, place)
        if not there:
            hint = (
                "" if place.pin else "; private keys show after a login: add pin-source=file:PATH"
            )
            raise KeyMissing(f"{place}: the token holds no such private key{hint}")
        if len(there) > 1:
            raise KeyUnreadable(f"{place}: {len(there)} keys of that name: add id= to choose one")
        found = _Found(there[0], _public(place, login.session, there[0]))
        login.keys[place] = found
        return found

    def _login(self, place: TokenPlace) -> _Login:
        token = self._token(place)
        identity = (token.label, token.serial)
        if identity in self._refused:
            raise PinRefused(self._refused[identity])
        known = self._logins.get(identity)
        if known is None or not _is_open(known.session):
            try:
                self._logins[identity] = _Login(_session(token, place))
            except PinRefused as error:
                self._refused[identity] = str(error)
                raise
        return self._logins[identity]

    def _token(self, place: TokenPlace) -> Any:
        if not Path(self._path).exists():
            there = [module for module in MODULES if Path(module).exists()]
            hint = f"; here are {', '.join(there)}" if there else ""
            raise StoreUnavailable(f"{place}: there is no library {self._path}{hint}")
        fits = [
            token
            for token in pkcs11.lib(self._path).get_tokens()
            if all(_word(token, name) == value for name, value in place.token)
        ]
        if not fits:
            raise StoreUnavailable(f"{place}: no such token is plugged in")
        if len(fits) > 1:
            raise KeyUnreadable(f"{place}: {len(fits)} tokens fit: add serial= to choose one")
        return fits[0]


@functools.cache
def module(path: str) -> Module:
    """Return the one `Module` of a library: its sessions and logins are the whole process's.

    A second one would log the first one out, or send a PIN that was refused once more.
    """
    return Module(path)


@contextmanager
def _told(place: TokenPlace) -> Iterator[None]:
    """Tell what the library says as a fault of the store."""
    try:
        yield
    except pkcs11.PKCS11Error as error:
        text = f"{type(error).__name__} {error}".rstrip()
        raise StoreUnavailable(f"{place}: the token does not work: {text}") from None


def _is_open(session: Any) -> bool:
    """Ask a session for a little: a search in a dead one writes to standard error when it fails."""
    try:
        session.generate_random(64)
    except pkcs11.RandomNoRNG:
        return True
    except pkcs11.PKCS11Error:
        return False
    return True


def _word(token: Any, name: str) -> str:
    value = getattr(token, name)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _session(token: Any, place: TokenPlace) -> Any:
    """Open a session and log in; never try a PIN where a wrong one could lock the token."""
    if place.pin is None:
        return token.open()
    pin, flags = read_pin(place.pin), token.flags
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise PinRefused(f"{place}: the token is locked by wrong PINs; its SO must unlock it")
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise PinRefused(
            f"{place}: one try is left before the token locks, and no program takes it: log in "
            "once by hand with the right PIN"
        )
    try:
        return token.open(user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:
        return token.open()
    except pkcs11.PinLocked:
        raise PinRefused(f"{place}: the token is locked; its SO must unlock it") from None
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise PinRefused(
            f"{place}: the token refuses the PIN of {place.pin}; it is not tried again. Put the "
            "right one there, then start anew"
        ) from None


def _private_keys(session: Any, place: TokenPlace) -> list[Any]:
    return _objects(session, ObjectClass.PRIVATE_KEY, place.label, place.key_id)


def _objects(session: Any, kind: ObjectClass, label: str, key_id: bytes) -> list[Any]:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    if label:
        wanted[Attribute.LABEL] = label
    if key_id:
        wanted[Attribute.ID] = key_id
    return list(session.get_objects(wanted))


def _public(place: TokenPlace, session: Any, key: Any) -> PublicKey:
    """Return the public key: of the private object, else of the public one beside it."""
    kind = _attribute(key, Attribute.KEY_TYPE)
    if kind not in (KeyType.EC, KeyType.EC_EDWARDS):
        raise KeyUnreadable(f"{place}: neither an Ed25519 nor a P-256 key")
    label, key_id = _attribute(key, Attribute.LABEL), _attribute(key, Attribute.ID)
    beside = _objects(session, ObjectClass.PUBLIC_KEY, label or "", key_id or b"")
    points = [_attribute(each, Attribute.EC_POINT) for each in (key, *beside)]
    params = [_attribute(each, Attribute.EC_PARAMS) for each in (key, *beside)]
    point = next(filter(None, points), b"")
    curve = next(filter(None, params), b"")
    if not point:
        raise KeyUnreadable(f"{place}: its public key is not on the token: put it there")
    try:
        if kind == KeyType.EC and curve == P256:
            return PublicKey(ES256, _unwrapped(point, 65).removeprefix(UNCOMPRESSED))
        if kind == KeyType.EC_EDWARDS and curve in (ED25519, ED25519_NAMED):
            return PublicKey(EDDSA, _unwrapped(point, 32))
    except BadKey as error:
        raise KeyUnreadable(f"{place}: {error}") from None
    raise KeyUnreadable(f"{place}: neither an Ed25519 nor a P-256 key")


def _unwrapped(point: bytes, size: int) -> bytes:
    """Return a CKA_EC_POINT without the OCTET STRING that most tokens put around it."""
    return point[2:] if point[:2] == bytes((OCTET_STRING, size)) and len(point) > size else point


def _attribute(key: Any, name: Attribute) -> Any:
    with suppress(pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive):
        return key[name]
    return None


def _generate(session: Any, place: TokenPlace, kind: KeyType, params: bytes) -> None:
    key_id = place.key_id or secrets.token_bytes(8)
    curve = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: params}, local=True)
    curve.generate_keypair(
        store=True,
        label=place.label or key_id.hex(),
        id=key_id,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _signature(key: Any, public: PublicKey, message: bytes) -> bytes:
    """Return a signature that `public` verifies; else BadSignature."""
    if public.alg == EDDSA:
        signature = bytes(key.sign(message, mechanism=Mechanism.EDDSA))
    else:
        digest = hashlib.sha256(message).digest()
        raw = bytes(key.sign(digest, mechanism=Mechanism.ECDSA))
        half = len(raw) // 2
        signature = low_s(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    public.verify(signature, message)
    return signature
