"""The hub's small certificate authority: TLS certificates towards the broker, and nothing else.

No certificate carries trust for content: who signed a reading is the ledger's matter. Certificates
begin in the year 2000 and never end, so that a Pi whose clock is late can connect; what ends one is
the revocation list. All of it lies in one folder:

    ca.pem, ca.key.pem      the authority, made once
    issued/NAME-SERIAL.pem  every certificate that counts, a node has one
    revoked/NAME-SERIAL.pem those that do not count any more
    crl.pem                 the list of those, for the broker
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.joining.errors import JoiningRefused
from keys import file as key_files
from messages.publickey import ES256

BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""No end. Source: RFC 5280, section 4.1.2.5: 99991231235959Z."""
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Authority:
    """Owns one folder; open it with `open_authority`."""

    folder: Path
    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def path(self) -> Path:
        """Where its certificate lies."""
        return self.folder / "ca.pem"

    @property
    def revocation_list(self) -> Path:
        """Where the list of revoked certificates lies."""
        return self.folder / "crl.pem"

    def issue_client(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        """Return a new client certificate for a broker user; the ones before it are revoked."""
        self.revoke(name)
        certificate = self._sign(name, key, CLIENT)
        self._keep(name, certificate)
        return certificate

    def issue_server(
        self, hosts: Iterable[str], key: ec.EllipticCurvePublicKey
    ) -> x509.Certificate:
        """Return a new certificate for the broker under these names and addresses."""
        listed = list(hosts)
        names = x509.SubjectAlternativeName([_general_name(host) for host in listed])
        return self._sign(listed[0], key, SERVER, names)

    def revoke(self, name: str) -> int:
        """Let no certificate of a broker user count any more; return how many did."""
        issued = sorted((self.folder / "issued").glob(f"{name}-" + "?" * 40 + ".pem"))
        for path in issued:
            path.replace(self.folder / "revoked" / path.name)
        if issued:
            self.write_revocation_list()
        return len(issued)

    def write_revocation_list(self) -> None:
        """Write the list anew from the folder of revoked certificates."""
        revoked = self._revoked()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(BEGIN)
            .next_update(END)
            .add_extension(x509.CRLNumber(len(revoked)), critical=False)
        )
        for serial in sorted(revoked):
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(BEGIN)
                .build()
            )
        signed = builder.sign(self._key, hashes.SHA256())
        write_durably(self.revocation_list, signed.public_bytes(Encoding.PEM))

    def is_listed(self) -> bool:
        """Whether the list says what the folder does; a crash between the two leaves it behind."""
        if not self.revocation_list.exists():
            return False
        listed = x509.load_pem_x509_crl(self.revocation_list.read_bytes())
        return {each.serial_number for each in listed} == self._revoked()

    def _revoked(self) -> set[int]:
        paths = (self.folder / "revoked").glob("*.pem")
        return {x509.load_pem_x509_certificate(path.read_bytes()).serial_number for path in paths}

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        purpose: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None = None,
    ) -> x509.Certificate:
        issuer = self._key.public_key()
        builder = (
            _builder(name, self.certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _keep(self, name: str, certificate: x509.Certificate) -> None:
        path = self.folder / "issued" / f"{name}-{certificate.serial_number:040x}.pem"
        write_durably(path, certificate.public_bytes(Encoding.PEM))


def open_authority(folder: Path, microgrid: str) -> Authority:
    """Return the authority of a folder; it is made if there is none.

    Raises:
        KeyFault: its key cannot be written or read.
        JoiningRefused: key and certificate do not belong together.
    """
    key_path, path = folder / "ca.key.pem", folder / "ca.pem"
    for name in ("issued", "revoked"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not key_path.exists():
        key_files.generate(key_path, ES256)
    key = load_tls_key(key_path)
    if not path.exists():
        certificate = _own_certificate(f"gridtally {microgrid} broker CA", key)
        write_durably(path, certificate.public_bytes(Encoding.PEM))
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    if certificate.public_key() != key.public_key():
        raise JoiningRefused(f"{path} is not the certificate of {key_path}: put the right one back")
    authority = Authority(folder, certificate, key)
    if not authority.is_listed():
        authority.write_revocation_list()
    return authority


def load_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key that signs for TLS; KeyFault if others can read it or it is another."""
    key_files.load(path)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise JoiningRefused(f"{path}: TLS wants a P-256 key here; move this one away")
    return key


def requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key in a PKCS#10 request, which it signed itself; its names are passed over.

    Raises:
        ValueError: no such request.
    """
    csr = x509.load_der_x509_csr(request)
    key = csr.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it asks for a key that is not P-256")
    try:
        valid = csr.is_signature_valid
    except InvalidSignature:
        valid = False
    if not valid:
        raise ValueError("it is not signed by the key it names")
    return key


def hosts_of(certificate: Path) -> Iterator[str]:
    """Yield the names and addresses that a server certificate is for."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    yield from names.get_values_for_type(x509.DNSName)
    yield from map(str, names.get_values_for_type(x509.IPAddress))


def write_durably(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that there is always either the old one or the new one, whole."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
        file.flush()
        os.fsync(handle)
    partial.replace(path)


def _own_certificate(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        _builder(name, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
