"""Opens and makes private keys wherever they lie; the rest of the project knows only `Signer`.

The libraries of tokens and TPMs are extras: they are loaded when a configuration names such a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from keys import credential, file
from keys.errors import KeyMissing, KeyUnreadable, StoreUnavailable
from keys.places import (
    CredentialPlace,
    FilePlace,
    Place,
    TokenPlace,
    TpmPlace,
    parse_place,
    rooted,
)
from messages.errors import BadSignature
from messages.publickey import EDDSA, ES256, Signer

ALGORITHMS: Final[Mapping[str, int]] = {"eddsa": EDDSA, "es256": ES256}
TRIAL: Final = b"gridtally: does this key sign?"
"""What a key in a token or a TPM signs when it is opened. It is no message and no checkpoint."""


def open_signer(text: str, folder: Path = Path()) -> Signer:
    """Return the signer of the key that lies where `text` says; relative paths are in `folder`.

    Raises:
        KeyFault: it cannot be opened; the text says what, where, and what mends it.
    """
    place = _place(text, folder)
    if isinstance(place, FilePlace):
        return file.load(place.path)
    if isinstance(place, CredentialPlace):
        return credential.load(place)
    return _tried(place, _device(place).open(place))


def generate(text: str, alg: int | None = None, folder: Path = Path()) -> Signer:
    """Make a key where `text` says and return its signer; None: Ed25519, in a TPM ES256.

    Raises:
        KeyExists: a key is there; none is ever overwritten.
        AlgorithmRefused: the store has no keys of this algorithm.
        NotMadeHere: no program of ours makes keys there.
        KeyFault: as for `open_signer`.
    """
    place = _place(text, folder)
    if alg is None:
        alg = ES256 if isinstance(place, TpmPlace) else EDDSA
    if isinstance(place, FilePlace):
        return file.generate(place.path, alg)
    if isinstance(place, CredentialPlace):
        raise credential.refuse_to_make(place)
    return _tried(place, _device(place).generate(place, alg))


def open_or_generate(
    text: str, alg: int | None = None, folder: Path = Path()
) -> tuple[Signer, bool]:
    """Return the signer of a key and whether it was made now; raises as the two above do."""
    try:
        return open_signer(text, folder), False
    except KeyMissing:
        return generate(text, alg, folder), True


def _place(text: str, folder: Path) -> Place:
    return parse_place(rooted(text, folder))


def _device(place: TokenPlace | TpmPlace) -> Any:
    """Return what holds the key; its library is needed only now."""
    extra = "pkcs11" if isinstance(place, TokenPlace) else "tpm"
    try:
        if isinstance(place, TokenPlace):
            from keys.pkcs11 import module  # noqa: PLC0415 - an extra

            return module(place.module)
        from keys.tpm import tpm  # noqa: PLC0415 - an extra

        return tpm(place.tcti)
    except ImportError as error:
        raise StoreUnavailable(
            f"{place}: the library for such keys is not installed ({error}): "
            f"pip install 'gridtally[{extra}]'"
        ) from None


def _tried(place: Place, signer: Signer) -> Signer:
    """Return a signer that has signed once, so that a wrong PIN is told now and not at night."""
    try:
        signer.public.verify(signer.sign(TRIAL), TRIAL)
    except BadSignature as error:
        raise KeyUnreadable(f"{place}: signs what its own public key refuses: {error}") from None
    return signer
