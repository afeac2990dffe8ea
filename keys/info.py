"""What can be told about a key to whoever may read the configuration: never the key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from keys.errors import KeyFault
from keys.places import CredentialPlace, FilePlace, TokenPlace, TpmPlace, parse_place
from keys.stores import ALGORITHMS, open_signer

KINDS: Final[Mapping[type, str]] = {
    FilePlace: "file",
    CredentialPlace: "systemd credential",
    TokenPlace: "PKCS#11 token",
    TpmPlace: "TPM 2.0",
}
NO_FINGERPRINT: Final = "not to be opened   "


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key.

    Attributes:
        name: whose it is.
        place: where it lies, as the configuration says.
        store: the kind of store, or "" where the text cannot be read.
        algorithm: "eddsa", "es256", or "" if the key cannot be opened.
        fingerprint: what two people compare, or "".
        fault: why it cannot be opened, or "".
    """

    name: str
    place: str
    store: str
    algorithm: str
    fingerprint: str
    fault: str


def key_info(name: str, place: str) -> KeyInfo:
    """Open a key to tell what it is; what is wrong with it is told, too."""
    store, algorithm, fingerprint, fault = "", "", "", ""
    try:
        store = KINDS[type(parse_place(place))]
        public = open_signer(place).public
        algorithm = next(word for word, alg in ALGORITHMS.items() if alg == public.alg)
        fingerprint = public.fingerprint
    except KeyFault as error:
        fault = str(error)
    return KeyInfo(name, place, store, algorithm, fingerprint, fault)


def info_lines(keys: Iterable[KeyInfo]) -> Iterator[str]:
    """Yield two lines for each key: what it is, and where it lies or why it cannot be opened."""
    for each in keys:
        yield f"{each.fingerprint or NO_FINGERPRINT}  {each.algorithm or '-':<5}  {each.name}"
        yield f"    {each.fault or f'{each.store}: {each.place}'}"
