"""Where a private key lies, as one text in a configuration: one line moves a key.

    keys/dep1-pv.pem                          a PEM file, relative to the configuration's folder
    credential:dep1-pv                        a credential that systemd passes to the service
    pkcs11:token=site;object=dep1-pv?module-path=/usr/lib/.../module.so&pin-source=file:site.pin
    tpm:0x81000101                            a persistent handle of a TPM 2.0
    tpm:keys/dep1-pv.tpm                      a key file that only its TPM can load

The `pkcs11:` text is a URI of RFC 7512. A PIN never stands in a configuration, which others read:
`pin-source` names a file of mode 0600 (`file:PATH`) or a credential (`credential:NAME`).
Nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from keys.errors import BadPlace

DEFAULT_TCTI: Final = "device:/dev/tpmrm0"
PERSISTENT: Final = range(0x81000000, 0x81800000)
"""Persistent handles of the owner. Source: TPM 2.0 library part 2, TPM_HT_PERSISTENT."""
STORES: Final = ("credential", "pkcs11", "tpm")

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+-]*):")
_NUMBER: Final = re.compile(r"0[xX]([0-9A-Fa-f]{1,8})")
_NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.@-]{1,255}")
_TOKEN_WORDS: Final = {
    "token": "label",
    "serial": "serial",
    "manufacturer": "manufacturer_id",
    "model": "model",
}
_PATH_WORDS: Final = (*_TOKEN_WORDS, "object", "id", "type")
_SAFE: Final = "/:@-._~"


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file of mode 0600."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class CredentialPlace:
    """A credential of the service: a file in $CREDENTIALS_DIRECTORY."""

    name: str

    def __str__(self) -> str:
        return f"credential:{self.name}"


PinSource = FilePlace | CredentialPlace


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A key on a PKCS#11 token. Source: RFC 7512.

    Attributes:
        text: the whole URI; it holds no PIN.
        module: path of the library that speaks to the token.
        token: what the token must be, by the names of CK_TOKEN_INFO: label, serial ...
        label: CKA_LABEL of the key, or "".
        key_id: CKA_ID of the key, or b"".
    """

    text: str
    module: str
    token: tuple[tuple[str, str], ...]
    label: str
    key_id: bytes
    pin: PinSource | None

    def __str__(self) -> str:
        return self.text.partition("?")[0]


@dataclass(frozen=True, slots=True)
class TpmPlace:
    """A key of a TPM 2.0: at a persistent handle, or (handle 0) in a key file.

    Attributes:
        tcti: how to reach the TPM, as the TPM software stack names it: "device:/dev/tpmrm0".
    """

    text: str
    handle: int
    path: Path
    tcti: str
    pin: PinSource | None

    def __str__(self) -> str:
        return self.text.partition("?")[0]


Place = FilePlace | CredentialPlace | TokenPlace | TpmPlace


def parse_place(text: str) -> Place:
    """Return where the text says that a key lies.

    Raises:
        BadPlace: it says nothing that a key could be found by.
    """
    if not text:
        raise BadPlace('"": say where the key lies, such as "keys/meter.pem"')
    scheme = _SCHEME.match(text)
    if scheme is None:
        return FilePlace(Path(text))
    if scheme[1] == "credential":
        return CredentialPlace(_credential_name(text, text.removeprefix("credential:")))
    if scheme[1] == "pkcs11":
        return _token_place(text)
    if scheme[1] == "tpm":
        return _tpm_place(text)
    raise BadPlace(
        f'"{text}": "{scheme[1]}" is no store of keys; there are {", ".join(STORES)}. '
        f'A file of that name is "./{text}"'
    )


def place_complaint(text: str) -> str:
    """Return what is wrong with a text that should say where a key lies, or an empty text."""
    try:
        parse_place(text)
    except BadPlace as error:
        return str(error)
    return ""


def rooted(text: str, folder: Path) -> str:
    """Return the text with every path in it absolute: relative ones are below `folder`."""
    place = parse_place(text)
    if isinstance(place, FilePlace):
        return str(folder / place.path)
    if isinstance(place, CredentialPlace):
        return text
    head, mark, query = text.partition("?")
    if isinstance(place, TpmPlace) and not place.handle:
        head = f"tpm:{quote(str(folder / place.path), safe=_SAFE)}"
    return head + mark + "&".join(_rooted_pin(part, folder) for part in query.split("&"))


def _rooted_pin(part: str, folder: Path) -> str:
    name, _, value = part.partition("=")
    source = unquote(value)
    if name != "pin-source" or not source.startswith("file:"):
        return part
    path = folder / source.removeprefix("file:").removeprefix("//")
    return f"pin-source=file:{quote(str(path), safe=_SAFE)}"


def _token_place(text: str) -> TokenPlace:
    head, _, query = text.removeprefix("pkcs11:").partition("?")
    path = _attributes(text, head, ";", _PATH_WORDS)
    options = _attributes(text, query, "&", ("module-path", "pin-source"))
    if unquote(path.get("type", "private")) != "private":
        raise BadPlace(f'"{text}": a private key signs, so type can only be "private"')
    token = tuple(
        (_TOKEN_WORDS[name], unquote(path[name])) for name in _TOKEN_WORDS if path.get(name)
    )
    label, key_id = unquote(path.get("object", "")), unquote_to_bytes(path.get("id", ""))
    if not token:
        raise BadPlace(f'"{text}": names no token: add token=LABEL or serial=NUMBER')
    if not label and not key_id:
        raise BadPlace(f'"{text}": names no key: add object=LABEL or id=%01')
    module = unquote(options.get("module-path", ""))
    if not module.startswith("/"):
        raise BadPlace(f'"{text}": add ?module-path=, the absolute path of the token\'s library')
    return TokenPlace(text, module, token, label, key_id, _pin_source(text, options))


def _tpm_place(text: str) -> TpmPlace:
    head, _, query = text.removeprefix("tpm:").partition("?")
    options = _attributes(text, query, "&", ("tcti", "pin-source"))
    tcti = unquote(options.get("tcti", "")) or DEFAULT_TCTI
    pin = _pin_source(text, options)
    number = _NUMBER.fullmatch(head)
    if number is None:
        if not head or head.isdigit():
            raise BadPlace(f'"{text}": name a handle, such as tpm:0x81000101, or a key file')
        return TpmPlace(text, 0, Path(unquote(head)), tcti, pin)
    handle = int(number[1], 16)
    if handle not in PERSISTENT:
        raise BadPlace(
            f'"{text}": {handle:#x} is no persistent handle of the owner, '
            f"{PERSISTENT.start:#x} to {PERSISTENT.stop - 1:#x}"
        )
    return TpmPlace(text, handle, Path(), tcti, pin)


def _attributes(text: str, part: str, between: str, known: tuple[str, ...]) -> Mapping[str, str]:
    """Return name -> value, still percent-encoded."""
    found: dict[str, str] = {}
    for name, value in _pairs(part, between):
        if name.startswith("pin-value"):
            raise BadPlace(  # the text itself is not shown: it holds a PIN
                "a PIN in a configuration is no secret: write it to a file of mode 0600 and name "
                "that with pin-source=file:PATH in the place of pin-value"
            )
        if name not in known:
            raise BadPlace(f'"{text}": "{name}" is none of {", ".join(known)}')
        if name in found:
            raise BadPlace(f'"{text}": "{name}" stands there twice')
        found[name] = value
    return found


def _pairs(part: str, between: str) -> Iterator[tuple[str, str]]:
    for each in part.split(between):
        if each:
            name, _, value = each.partition("=")
            yield name, value


def _pin_source(text: str, options: Mapping[str, str]) -> PinSource | None:
    source = unquote(options.get("pin-source", ""))
    if not source:
        return None
    if source.startswith("credential:"):
        return CredentialPlace(_credential_name(text, source.removeprefix("credential:")))
    path = source.removeprefix("file:").removeprefix("//")
    if not source.startswith("file:") or not path:
        raise BadPlace(f'"{text}": pin-source is file:PATH or credential:NAME, not "{source}"')
    return FilePlace(Path(path))


def _credential_name(text: str, name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise BadPlace(f'"{text}": a credential is named by letters, digits and _ . @ -')
