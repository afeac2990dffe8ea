"""What a node has on disk when it joined: trust.toml, certificates, and edge.toml that names them.

Nothing of another network is ever overwritten, and edge.toml keeps every line that is not about the
broker.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from edge.config import EdgeConfig, parse_config
from edge.errors import Unavailable
from edge.joining.errors import JoinRefused
from keys import file as key_file
from keys.errors import KeyExists
from messages.configedit import Setting, set_keys
from messages.errors import MessageError
from messages.pairing import Offer
from messages.publickey import ES256
from messages.trust import parse_trust

CONFIG: Final = "edge.toml"
SAMPLE_MS: Final = 1_000

_NEW: Final = """\
node = "{node}"
microgrid = "{microgrid}"
member = "{member}"
trust = "trust.toml"
state = "state-{node}"

[sampling]
sample_ms = {sample_ms}
slot_ms = {slot_ms}

# Devices come here: `gridtally-edge scan` finds them and drafts their tables. Then pair once more,
# and the hub enrols what is new.
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that a node joins in."""

    path: Path

    @property
    def config_file(self) -> Path:
        """Where its configuration is, or will be."""
        return self.path / CONFIG

    def configured(self, node: str, offer: Offer) -> tuple[str, EdgeConfig]:
        """Return the configuration that the node will have, and its text; nothing is written.

        Raises:
            JoinRefused: it is another node's, or of another microgrid.
            ConfigError: the one that is there is wrong.
        """
        tls = {"ca": "tls/ca.pem", "cert": f"tls/{node}.pem", "key": f"tls/{node}.key.pem"}
        settings: dict[str, Setting] = {
            "host": offer.broker_host,
            "port": offer.broker_port,
            "tls": tls,
        }
        text = set_keys(self._text(node, offer), "broker", settings, ("password_file",))
        config = parse_config(text, self.config_file)
        wanted = (node, offer.microgrid, offer.slot_ms)
        found = (config.node, config.microgrid, config.sampling.slot_ms)
        for name, want, got in zip(("node", "microgrid", "slot_ms"), wanted, found, strict=True):
            if want != got:
                raise JoinRefused(
                    f"{self.config_file}: {name} is {got}, the pairing is for {want}: join in "
                    "another --dir, change the file, or let the hub make another text"
                )
        self._check_trust(Path(config.trust), offer, is_simulated=config.simulation is not None)
        return text, config

    def _text(self, node: str, offer: Offer) -> str:
        try:
            return self.config_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self.config_file}: {error}") from None
        if not offer.member:
            raise JoinRefused(
                f"{self.config_file} is not there, and the pairing does not say whose node this "
                "is: write one, or pair with --member"
            )
        return _NEW.format(
            node=node,
            microgrid=offer.microgrid,
            member=offer.member,
            sample_ms=SAMPLE_MS,
            slot_ms=offer.slot_ms,
        )

    def _check_trust(self, path: Path, offer: Offer, *, is_simulated: bool) -> None:
        try:
            trust = parse_trust(offer.trust)
        except MessageError as error:
            raise JoinRefused(f"the hub's {error}") from None
        if trust.simulation != is_simulated:
            kind = "simulated" if trust.simulation else "real"
            raise JoinRefused(f"the hub's ledger is {kind}, {self.config_file} says otherwise")
        if not path.exists():
            return
        try:
            known = parse_trust(path.read_text(encoding="utf-8")).network_id
        except (OSError, UnicodeDecodeError, MessageError) as error:
            raise JoinRefused(f"{path}: {error}: move it away") from None
        if known != trust.network_id:
            raise JoinRefused(
                f"{path} is the trust of another network ({known.hex()[:16]}...): a node belongs "
                "to one. Move it away, with its state and its keys, if it is to change"
            )

    def tls_key(self, node: str) -> ec.EllipticCurvePrivateKey:
        """Return the node's key towards the broker; it is made if there is none."""
        path = self.path / "tls" / f"{node}.key.pem"
        try:
            key_file.generate(path, ES256)
        except KeyExists:
            key_file.load(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise JoinRefused(f"{path}: a P-256 key belongs there; move this one away")
        return key

    def keep(
        self, config: EdgeConfig, text: str, offer: Offer, certificate: bytes
    ) -> tuple[Path, ...]:
        """Write what the hub gave, edge.toml last of all; return the files.

        Raises:
            JoinRefused: the certificate is not what was asked for.
        """
        self._check_certificate(config.node, offer, certificate)
        authority = x509.load_der_x509_certificate(offer.authority).public_bytes(Encoding.PEM)
        files = {
            Path(config.trust): offer.trust.encode(),
            self.path / "tls" / "ca.pem": authority,
            self.path / "tls" / f"{config.node}.pem": certificate,
            self.config_file: text.encode(),
        }
        for path, content in files.items():
            write_file(path, content)
        return tuple(files)

    def _check_certificate(self, node: str, offer: Offer, certificate: bytes) -> None:
        try:
            found = x509.load_pem_x509_certificate(certificate)
            authority = x509.load_der_x509_certificate(offer.authority)
            found.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise JoinRefused(f"the hub's certificate for the broker is none: {error}") from None
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        is_ours = found.public_key() == self.tls_key(node).public_key()
        if [name.value for name in names] != [node] or not is_ours:
            raise JoinRefused("the hub's certificate for the broker is of another node")


def certificate_request(node: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return what asks for a certificate (PKCS#10, DER)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that there is always either the old one or the new one, whole."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        partial.replace(path)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from None
