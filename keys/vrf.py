"""The key of a proposer's verifiable random function: a file like a signer's, and never a signer.

One key, one meaning: who also signed with it would give outputs away before their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys import file
from keys.errors import KeyUnreadable
from messages import vrf
from messages.publickey import EDDSA, PublicKey


@dataclass(frozen=True)
class VrfKey:
    """Makes proofs; `public` is what others verify them with."""

    public: PublicKey
    _secret: bytes

    def prove(self, alpha: bytes) -> bytes:
        """Return the proof for an input (80 bytes, RFC 9381); one input has one."""
        return vrf.prove(self._secret, alpha)

    def __repr__(self) -> str:
        """Name the key by its fingerprint; the private part is never shown."""
        return f"VrfKey({self.public.fingerprint})"


def generate(path: Path) -> VrfKey:
    """Make a key, write it to `path` with mode 0600, and return it.

    Raises:
        KeyExists, KeyUnreadable: as for a signer's (`keys.file.generate`).
    """
    file.generate(path)
    return load(path)


def load(path: Path) -> VrfKey:
    """Return the key that lies at `path`.

    Raises:
        KeyUnreadable: as for a signer's (`keys.file.load`), or it is no Ed25519 key.
    """
    private = file.load_private(path)
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyUnreadable(f"{path}: a proposer's random function wants an Ed25519 key")
    public = PublicKey(EDDSA, private.public_key().public_bytes_raw())
    return VrfKey(public, private.private_bytes_raw())
