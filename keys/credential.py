"""Keys and PINs that systemd passes to a service as credentials: LoadCredentialEncrypted= and kin.

systemd puts them into a folder of memory that only the service can read, and names it in
$CREDENTIALS_DIRECTORY. Modes are not looked at: where systemd grants by ACL, the mode's group bits
are the ACL's mask. Source: systemd.exec(5), "Credentials".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from keys.errors import KeyMissing, KeyUnreadable, NotMadeHere
from keys.file import PEM_BYTES_MAX, FileSigner, signer_of_pem
from keys.places import CredentialPlace

DIRECTORY: Final = "CREDENTIALS_DIRECTORY"


def load(place: CredentialPlace) -> FileSigner:
    """Return the signer whose PEM key is a credential.

    Raises:
        KeyUnreadable: systemd passed no such credential (KeyMissing), or it is no PEM key.
    """
    return signer_of_pem(read(place), str(place))


def read(place: CredentialPlace) -> bytes:
    """Return the content of a credential.

    Raises:
        KeyUnreadable: systemd passed no such credential (KeyMissing), or it cannot be read.
    """
    folder = os.environ.get(DIRECTORY, "")
    if not folder:
        raise KeyMissing(
            f"{place}: systemd passed no credentials to this program (${DIRECTORY} is not set); "
            f"its unit needs LoadCredentialEncrypted={place.name}"
        )
    try:
        with (Path(folder) / place.name).open("rb") as file:
            return file.read(PEM_BYTES_MAX)
    except FileNotFoundError:
        raise KeyMissing(
            f"{place}: not among what systemd passed to this program; its unit needs "
            f"LoadCredentialEncrypted={place.name}"
        ) from None
    except OSError as error:
        raise KeyUnreadable(f"{place}: cannot read the credential: {error.strerror}") from None


def refuse_to_make(place: CredentialPlace) -> NotMadeHere:
    """Return why no program of ours makes a credential, with the lines that do."""
    return NotMadeHere(
        f"{place}: only root puts keys there. Make the key in a file first, then: systemd-creds "
        f"encrypt --name={place.name} FILE /etc/credstore.encrypted/{place.name}"
    )
