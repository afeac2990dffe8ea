"""Keys of a TPM 2.0: ES256 only, since TPMs have no Ed25519.

A key is made in its TPM, never leaves it in the clear, and signs there. It lies at a persistent
handle, of which a TPM has a few, or in a key file that only this TPM can load: "TSS2 PRIVATE KEY",
as OpenSSL's TPM provider reads and writes it. The TPM is opened anew for each signature, so that
several programs share it and it may restart in between. A loaded key is kept as a saved context:
the TPM takes that back in a fraction of the time that the file takes, and until then it holds none
of the three slots that there are.
Source: TPM 2.0 library, parts 1 to 3; key files: draft-bottomley-tpm2-keys. Tried on: swtpm only.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tpm2_pytss import ESAPI, TSS2_Exception, types
from tpm2_pytss.constants import (
    ESYS_TR,
    TPM2_ALG,
    TPM2_ECC,
    TPM2_RC,
    TPM2_RH,
    TPM2_SE,
    TPM2_ST,
    TPMA_OBJECT,
    TPMA_SESSION,
)
from tpm2_pytss.tsskey import TSSPrivKey

from keys import file
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
from keys.places import TpmPlace
from messages.errors import BadKey
from messages.publickey import ES256, PublicKey

TCTI_LAYER: Final = 0x0A
"""Where an error of the way to the TPM comes from. Source: TSS 2.0 overview, table 5."""
WRONG_AUTH: Final = (TPM2_RC.AUTH_FAIL, TPM2_RC.BAD_AUTH)
SHA256_ECDSA: Final = TPM2_ALG.ECDSA, TPM2_ALG.SHA256


@dataclass(frozen=True)
class TpmSigner:
    """A signer whose key is in a TPM."""

    public: PublicKey
    _tpm: Tpm
    _key: _Key

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes: r || s with s in the lower half.

        Raises:
            StoreUnavailable: the TPM does not answer now; the next call tries anew.
            KeyFault: it refused the PIN, or the key is not there any more.
        """
        return self._tpm.sign(self._key, message)

    def __repr__(self) -> str:
        """Name the key by its fingerprint."""
        return f"TpmSigner({self.public.fingerprint})"


@dataclass(slots=True)
class _Key:
    """What loads a key: its name (at a handle), or its file and the context that was saved last."""

    place: TpmPlace
    pin: str
    name: bytes = b""
    wrapped: Any = None
    context: Any = field(default=None, repr=False)


class Tpm:
    """One TPM 2.0, reached by its TCTI; `tpm` returns it."""

    def __init__(self, tcti: str) -> None:
        os.environ.setdefault("TSS2_LOG", "all+none")  # errors are told once, by ours
        self._tcti = tcti
        self._lock = threading.Lock()
        self._refused: dict[str, str] = {}

    def open(self, place: TpmPlace) -> TpmSigner:
        """Return the signer of a key that is there.

        Raises:
            KeyMissing, KeyUnreadable, StoreUnavailable: as they say.
        """
        key = _Key(place, read_pin(place.pin) if place.pin else "")
        if not place.handle:
            key.wrapped = _read(place)
            if not key.wrapped.empty_auth and not key.pin:
                raise PinRefused(f"{place}: the key has a PIN: add pin-source=file:PATH")
        with self._opened(place) as esys, _loaded(esys, key) as handle:
            public = _public(place, esys.read_public(handle)[0].publicArea)
            key.name = bytes(esys.tr_get_name(handle))
        return TpmSigner(public, self, key)

    def generate(self, place: TpmPlace, alg: int) -> TpmSigner:
        """Make a key in the TPM, and keep it at the handle or in the file that the place names.

        Raises:
            KeyExists: a key is there.
            AlgorithmRefused: Ed25519 was asked for.
            KeyFault: as `open`.
        """
        if alg != ES256:
            raise AlgorithmRefused(
                f"{place}: a TPM 2.0 has P-256 keys only, no Ed25519; ask for --alg es256"
            )
        pin = read_pin(place.pin) if place.pin else ""
        with self._opened(place) as esys:
            if place.handle and _is_taken(esys, place.handle):
                raise KeyExists(f"{place}: a key is already there, and keys are never overwritten")
            key = TSSPrivKey.create(esys, _template(pin), password=pin.encode() or None)
            if place.handle:
                with key.load(esys, pin.encode() or None) as handle:
                    esys.tr_close(esys.evict_control(ESYS_TR.RH_OWNER, handle, place.handle))
        if not place.handle:
            file.write_key(place.path, key.to_pem())
        return self.open(place)

    def sign(self, key: _Key, message: bytes) -> bytes:
        """Sign with a key that was opened before."""
        if str(key.place.pin) in self._refused:
            raise PinRefused(self._refused[str(key.place.pin)])
        with self._opened(key.place) as esys, _loaded(esys, key) as handle:
            if bytes(esys.tr_get_name(handle)) != key.name:
                raise KeyUnreadable(f"{key.place}: another key lies there now")
            try:
                return _signature(esys, handle, key.pin, message)
            except TSS2_Exception as error:
                if error.error not in WRONG_AUTH:
                    raise
                raise self._wrong_pin(key) from None

    def _wrong_pin(self, key: _Key) -> PinRefused:
        place = key.place
        text = f"{place}: the key has a PIN: add pin-source=file:PATH"
        if place.pin is not None:
            text = (
                f"{place}: the TPM refuses the PIN of {place.pin}; it is not tried again. Put the "
                "right one there, then start anew"
            )
            self._refused[str(place.pin)] = text
        return PinRefused(text)

    @contextmanager
    def _opened(self, place: TpmPlace) -> Iterator[ESAPI]:
        """Yield the open TPM; tell what it says as a fault of the store."""
        with self._lock:
            try:
                with ESAPI(self._tcti) as esys:
                    yield esys
            except TSS2_Exception as error:
                raise _fault(place, error) from None


@functools.cache
def tpm(tcti: str) -> Tpm:
    """Return the one `Tpm` of a TCTI: it remembers which PIN was refused."""
    return Tpm(tcti)


def _fault(place: TpmPlace, error: TSS2_Exception) -> Exception:
    """Return what an error of the TPM means, and what mends it."""
    if error.rc >> 16 == TCTI_LAYER:
        return StoreUnavailable(f"{place}: {_way_fault(place.tcti)}")
    if error.error == TPM2_RC.INITIALIZE:
        return StoreUnavailable(f"{place}: the TPM waits to be started: tpm2_startup -c")
    if error.error == TPM2_RC.OBJECT_MEMORY:
        return StoreUnavailable(
            f"{place}: other programs fill the TPM's slots; tcti=device:/dev/tpmrm0 shares them"
        )
    if error.error == TPM2_RC.LOCKOUT:
        return PinRefused(
            f"{place}: too many wrong PINs, and the TPM refuses all for a time; "
            "tpm2_dictionarylockout --clear-lockout ends that"
        )
    if error.error == TPM2_RC.INTEGRITY:
        return KeyUnreadable(
            f"{place}: made by another TPM, or before this one was cleared: nothing brings the key "
            "back. Make another one, and enrol it"
        )
    if error.error in WRONG_AUTH:
        return KeyUnreadable(
            f"{place}: the TPM's owner has a password, and a key's parent is made without one: "
            "tpm2_changeauth --object-context=owner takes it off"
        )
    if error.error == TPM2_RC.NV_SPACE:
        return KeyUnreadable(f"{place}: no room for another handle: use a key file, tpm:PATH")
    return StoreUnavailable(f"{place}: the TPM does not work: {error}")


def _way_fault(tcti: str) -> str:
    kind, _, rest = tcti.partition(":")
    device = Path(rest)
    if kind == "device" and not device.exists():
        return f"there is no TPM at {device}; a board on a Pi needs its dtoverlay"
    if kind == "device" and not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be opened; let this user in: usermod --append --groups tss USER"
    return f"no TPM answers at {tcti}"


@contextmanager
def _loaded(esys: ESAPI, key: _Key) -> Iterator[Any]:
    """Yield the handle of a key, and let it go afterwards."""
    if key.place.handle:
        handle = _at_handle(esys, key.place)
        try:
            yield handle
        finally:
            esys.tr_close(handle)
        return
    handle = _from_context(esys, key) or _from_file(esys, key)
    try:
        yield handle
    finally:
        esys.flush_context(handle)


def _at_handle(esys: ESAPI, place: TpmPlace) -> Any:
    try:
        return esys.tr_from_tpmpublic(place.handle)
    except TSS2_Exception as error:
        if error.error != TPM2_RC.HANDLE:
            raise
        raise KeyMissing(f"{place}: no key at this handle; clearing a TPM removes all") from None


def _is_taken(esys: ESAPI, handle: int) -> bool:
    try:
        esys.tr_close(esys.tr_from_tpmpublic(handle))
    except TSS2_Exception as error:
        if error.error != TPM2_RC.HANDLE:
            raise
        return False
    return True


def _from_context(esys: ESAPI, key: _Key) -> Any:
    """Take back what was saved, or None: a TPM forgets saved contexts when it restarts."""
    if key.context is None:
        return None
    try:
        return esys.context_load(key.context)
    except TSS2_Exception as error:
        if error.rc >> 16 == TCTI_LAYER:
            raise
        key.context = None
        return None


def _from_file(esys: ESAPI, key: _Key) -> Any:
    password = None if key.wrapped.empty_auth else key.pin.encode()
    handle = key.wrapped.load(esys, password)
    key.context = esys.context_save(handle)
    return handle


def _read(place: TpmPlace) -> Any:
    raw = file.read_private(place.path)
    try:
        return TSSPrivKey.from_pem(raw)
    except (ValueError, TypeError, TSS2_Exception):
        raise KeyUnreadable(f"{place}: not a key file of a TPM (TSS2 PRIVATE KEY)") from None


def _public(place: TpmPlace, area: Any) -> PublicKey:
    """Return the public key; KeyUnreadable unless it is one that signs what it is given."""
    is_p256 = area.type == TPM2_ALG.ECC and area.parameters.eccDetail.curveID == TPM2_ECC.NIST_P256
    attributes = area.objectAttributes
    signs = attributes & TPMA_OBJECT.SIGN_ENCRYPT and not attributes & TPMA_OBJECT.RESTRICTED
    if not is_p256 or not signs:
        raise KeyUnreadable(
            f"{place}: no P-256 key for signing; 0x81000001 is where many systems keep another one"
        )
    point = area.unique.ecc
    x, y = (int.from_bytes(bytes(each), "big") for each in (point.x, point.y))
    try:
        return PublicKey(ES256, x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    except BadKey as error:
        raise KeyUnreadable(f"{place}: {error}") from None


def _template(pin: str) -> Any:
    """Return what a new key is: for ECDSA of SHA-256, bound to this TPM. Source: part 2, 12.2."""
    attributes = (
        TPMA_OBJECT.USERWITHAUTH
        | TPMA_OBJECT.SIGN_ENCRYPT
        | TPMA_OBJECT.FIXEDTPM
        | TPMA_OBJECT.FIXEDPARENT
        | TPMA_OBJECT.SENSITIVEDATAORIGIN
    )
    scheme, digest = SHA256_ECDSA
    curve = types.TPMS_ECC_PARMS(
        symmetric=types.TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
        scheme=types.TPMT_ECC_SCHEME(
            scheme=scheme,
            details=types.TPMU_ASYM_SCHEME(ecdsa=types.TPMS_SCHEME_HASH(hashAlg=digest)),
        ),
        curveID=TPM2_ECC.NIST_P256,
        kdf=types.TPMT_KDF_SCHEME(scheme=TPM2_ALG.NULL),
    )
    return types.TPMT_PUBLIC(
        type=TPM2_ALG.ECC,
        nameAlg=TPM2_ALG.SHA256,
        # Without a PIN there is nothing to guess: such keys work on while others are locked out.
        objectAttributes=attributes if pin else attributes | TPMA_OBJECT.NODA,
        authPolicy=b"",
        parameters=types.TPMU_PUBLIC_PARMS(eccDetail=curve),
    )


def _signature(esys: ESAPI, handle: Any, pin: str, message: bytes) -> bytes:
    scheme, digest = SHA256_ECDSA
    with _authorised(esys, handle, pin) as session:
        signed = esys.sign(
            handle,
            types.TPM2B_DIGEST(hashlib.sha256(message).digest()),
            types.TPMT_SIG_SCHEME(
                scheme=scheme,
                details=types.TPMU_SIG_SCHEME(ecdsa=types.TPMS_SCHEME_HASH(hashAlg=digest)),
            ),
            types.TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL),
            session1=session,
        )
    # r and s are views of `signed`: they are copied while it lives.
    r, s = signed.signature.ecdsa.signatureR, signed.signature.ecdsa.signatureS
    return low_s(int.from_bytes(bytes(r), "big"), int.from_bytes(bytes(s), "big"))


@contextmanager
def _authorised(esys: ESAPI, handle: Any, pin: str) -> Iterator[Any]:
    """Yield what authorises the use of a key: a PIN stays here, only a keyed hash crosses the bus.

    Source: part 1, 19.6, HMAC sessions.
    """
    if not pin:
        yield ESYS_TR.PASSWORD
        return
    esys.tr_set_auth(handle, pin.encode())
    session = esys.start_auth_session(
        tpm_key=ESYS_TR.NONE,
        bind=ESYS_TR.NONE,
        session_type=TPM2_SE.HMAC,
        symmetric=types.TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL),
        auth_hash=TPM2_ALG.SHA256,
    )
    esys.trsess_set_attributes(session, TPMA_SESSION.CONTINUESESSION)
    try:
        yield session
    finally:
        esys.flush_context(session)
