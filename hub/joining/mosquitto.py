"""The files that Mosquitto reads: its certificates, who may do what, who may no longer.

    gridtally.conf   the listener: TLS, client certificates, the name in them is user and client id
    ca.crt, server.crt, server.key
    acl              who may use which topic, and nodes that may use none any more
    crl.pem          certificates that are revoked

`acl` and `crl.pem` are written anew when a node is revoked or paired again; Mosquitto reads them
again when it is told to (SIGHUP). Until then a revoked node still meets the hub, which asks the
ledger and takes nothing from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from hub.joining.acl import OURS, mosquitto_acl
from hub.joining.authority import Authority, hosts_of, load_tls_key, write_durably
from hub.joining.errors import JoiningRefused
from keys import file as key_files
from messages.publickey import ES256

PORT: Final = 8883
RELOAD: Final = "sudo systemctl reload mosquitto"

_CONF: Final = """\
# Written by `gridtally-hub mosquitto`. Mosquitto must be able to read this folder.
listener {port}
cafile {folder}/ca.crt
certfile {folder}/server.crt
keyfile {folder}/server.key
crlfile {folder}/crl.pem
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
allow_anonymous false
allow_zero_length_clientid false
acl_file {folder}/acl
max_connections 1024
max_keepalive 120
max_inflight_messages 200
max_queued_messages 10000
max_packet_size 65536
set_tcp_nodelay true
"""


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Where one of the hub's own certificates towards the broker lies, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """Owns the folder that Mosquitto reads."""

    folder: Path
    microgrid: str

    def found(
        self, authority: Authority, hosts: Sequence[str], port: int
    ) -> dict[str, ClientFiles]:
        """Write everything but what the registry says; return the hub's own client files.

        Args:
            authority: who signs the certificates.
            hosts: names and addresses under which nodes reach the broker, the first for people.
            port: where it listens.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        key_path = self.folder / "server.key"
        if not key_path.exists():
            key_files.generate(key_path, ES256)
        key_path.chmod(0o600)
        key = load_tls_key(key_path)
        certificate = authority.issue_server(hosts, key.public_key())
        key_path.chmod(0o640)  # the group is Mosquitto's
        write_durably(self.folder / "server.crt", certificate.public_bytes(Encoding.PEM))
        write_durably(self.folder / "ca.crt", authority.path.read_bytes())
        conf = _CONF.format(port=port, folder=self.folder)
        write_durably(self.folder / "gridtally.conf", conf.encode())
        return {user: _own(authority, user) for user in OURS}

    def refresh(self, authority: Authority, ended: Iterable[str]) -> bool:
        """Write `acl` and `crl.pem`, with nodes that do not count any more; whether one changed."""
        wanted = {
            self.folder / "acl": mosquitto_acl(self.microgrid, ended).encode(),
            self.folder / "crl.pem": authority.revocation_list.read_bytes(),
        }
        changed = False
        for path, content in wanted.items():
            if not path.exists() or path.read_bytes() != content:
                write_durably(path, content)
                changed = True
        return changed

    def check_host(self, host: str) -> None:
        """Check that the broker's certificate is for a host.

        Raises:
            JoiningRefused: it is not, or there is none; the text says what makes one.
        """
        path = self.folder / "server.crt"
        line = f"gridtally-hub mosquitto --name {host}"
        if not path.exists():
            raise JoiningRefused(f"{path} is not there: run `{line}` first")
        known = list(hosts_of(path))
        if host not in known:
            raise JoiningRefused(
                f"the broker's certificate is for {', '.join(known)}, not for {host}: nodes would "
                f"refuse it. Say --host {known[0]}, or make a new one: `{line}`"
            )


def _own(authority: Authority, user: str) -> ClientFiles:
    key_path = authority.folder / f"{user}.key.pem"
    if not key_path.exists():
        key_files.generate(key_path, ES256)
    certificate = authority.issue_client(user, load_tls_key(key_path).public_key())
    path = authority.folder / f"{user}.pem"
    write_durably(path, certificate.public_bytes(Encoding.PEM))
    return ClientFiles(path, key_path)
