"""Private keys in files: PKCS#8 PEM, mode 0600, made once and never overwritten."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from keys.errors import KeyExists, KeyMissing, KeyUnreadable
from keys.es256 import low_s
from messages.publickey import EDDSA, ES256, PublicKey

PEM_BYTES_MAX = 65_536
PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class FileSigner:
    """A signer whose private key was read from a file."""

    public: PublicKey
    _private: PrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes: an Ed25519 signature, or r || s with s in the lower half."""
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(message)
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256())))
        return low_s(r, s)

    def __repr__(self) -> str:
        """Name the key by its fingerprint; the private part is never shown."""
        return f"FileSigner({self.public.fingerprint})"


def generate(path: Path, alg: int = EDDSA) -> FileSigner:
    """Make a key, write it to `path` with mode 0600, and return its signer.

    Raises:
        KeyExists: something is already there.
        KeyUnreadable: the folder cannot be written to.
    """
    private: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1()) if alg == ES256 else Ed25519PrivateKey.generate()
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_key(path, pem)
    return FileSigner(_public(private), private)


def write_key(path: Path, content: bytes) -> None:
    """Write what holds a key to a new file of mode 0600.

    Raises:
        KeyExists: something is already there.
        KeyUnreadable: the folder cannot be written to.
    """
    if path.exists():
        raise KeyExists(f"{path}: a key is already there, and keys are never overwritten")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_new(path, content)
    except OSError as error:
        raise KeyUnreadable(f"{path}: cannot write the key: {error.strerror}") from None


def _write_new(path: Path, content: bytes) -> None:
    """Make a file of mode 0600 that survives a power cut, or none: half a key would be in the way.

    O_EXCL decides when two start at once; the folder's own sync makes the new name durable.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> FileSigner:
    """Return the signer whose key lies at `path`.

    Raises:
        KeyUnreadable: no such file (KeyMissing), others can read it, or no Ed25519 or P-256 key.
    """
    return signer_of_pem(read_private(path), str(path))


def load_private(path: Path) -> PrivateKey:
    """Return the private key itself, for what is no signing; raises as `load` does."""
    return _private_key(read_private(path), str(path))


def read_private(path: Path, what: str = "key") -> bytes:
    """Return the content of a file that nobody but its owner can read.

    Raises:
        KeyUnreadable: no such file (KeyMissing), or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(PEM_BYTES_MAX)
    except OSError as error:
        kind = KeyMissing if isinstance(error, FileNotFoundError) else KeyUnreadable
        raise kind(f"{path}: cannot read the {what}: {error.strerror}") from None
    if mode & 0o077:
        raise KeyUnreadable(
            f"{path}: mode {mode:04o} lets others read the {what}; want 0600: chmod 600 {path}"
        )
    return content


def signer_of_pem(pem: bytes, where: str) -> FileSigner:
    """Return the signer of a PKCS#8 PEM; `where` names its place in errors.

    Raises:
        KeyUnreadable: no PEM without a password, or no Ed25519 or P-256 key.
    """
    private = _private_key(pem, where)
    return FileSigner(_public(private), private)


def _private_key(pem: bytes, where: str) -> PrivateKey:
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnreadable(f"{where}: not a PEM private key without a password") from None
    if isinstance(private, Ed25519PrivateKey) or (
        isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1)
    ):
        return private
    raise KeyUnreadable(f"{where}: neither an Ed25519 nor a P-256 key")


def _public(private: PrivateKey) -> PublicKey:
    if isinstance(private, Ed25519PrivateKey):
        return PublicKey(EDDSA, private.public_key().public_bytes_raw())
    numbers = private.public_key().public_numbers()
    return PublicKey(ES256, numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
