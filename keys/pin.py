"""The PIN of a token or of a TPM's key, read from where only the service can read it."""

from __future__ import annotations

from keys import credential, file
from keys.errors import KeyUnreadable
from keys.places import CredentialPlace, PinSource


def read_pin(source: PinSource) -> str:
    """Return the PIN: the file's first and only line, its end taken off.

    Raises:
        KeyUnreadable: nothing is there, others can read it, or it is not one line of text.
    """
    if isinstance(source, CredentialPlace):
        raw = credential.read(source)
    else:
        raw = file.read_private(source.path, "PIN")
    try:
        pin = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise KeyUnreadable(f"{source}: a PIN is text, and this is none") from None
    if not pin or "\n" in pin:
        raise KeyUnreadable(f"{source}: a PIN is one line, and this file has none or more")
    return pin
