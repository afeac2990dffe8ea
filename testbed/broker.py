"""The broker of a laptop: embedded amqtt in a child process, on loopback and nowhere else.

Run as `python -m testbed.broker --port N --users FILE --microgrid NAME`. An installation with a
network uses Mosquitto with TLS and client certificates; this one refuses any other address.
Nothing depends on its memory: sessions are clean, and an edge resends what has no receipt.
"""

import argparse
import asyncio
import getpass
import ipaddress
import json
import logging
import secrets
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hub.joining.acl import HUB, WEB, mosquitto_acl
from testbed.errors import BrokerRefused

CONNECTIONS_MAX = 512
PACKET_BYTES_MAX = 65_536
_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Users:
    """The clients of one broker; passwords are random and made anew for each installation."""

    microgrid: str
    nodes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every user name, the hub's and the page's first."""
        return (HUB, WEB, *self.nodes)

    def password_file(self, folder: Path, user: str) -> Path:
        """Return where a user's password lies."""
        return folder / f"{user}.password"

    def write(self, folder: Path) -> Path:
        """Make the passwords that are not there yet; return the broker's own list of hashes."""
        hashes = {}
        for user in self.names:
            path = self.password_file(folder, user)
            if not path.exists():
                write_private(path, secrets.token_urlsafe(24) + "\n")
            hashes[user] = sha256(path.read_text("utf-8").strip().encode()).hexdigest()
        listing = folder / "broker-users.json"
        write_private(listing, json.dumps(hashes, indent=1) + "\n")
        return listing


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, "utf-8")


def require_loopback(host: str) -> None:
    """Raise BrokerRefused unless the address is this machine's own."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise BrokerRefused(
            f"the embedded broker serves 127.0.0.1 only, not {host}: for a network install "
            "Mosquitto (apt install mosquitto) and use the configuration in systemd/"
        )


def amqtt_config(host: str, port: int, users: Path, microgrid: str) -> dict[str, Any]:
    """Return amqtt's configuration: one TCP listener on loopback and our two plugins."""
    require_loopback(host)
    plugins = {
        "testbed.acl_plugin.PasswordPlugin": {
            "sha256_by_user": json.loads(users.read_text("utf-8"))
        },
        "testbed.acl_plugin.TopicPlugin": {"microgrid": microgrid},
    }
    listener = {"type": "tcp", "bind": f"{host}:{port}", "max_connections": CONNECTIONS_MAX}
    return {"listeners": {"default": listener}, "plugins": plugins}


async def serve(config: dict[str, Any]) -> None:
    """Run amqtt until a signal asks it to stop."""
    from testbed.loopback_broker import LoopbackBroker  # noqa: PLC0415 - only the child needs it

    broker = LoopbackBroker(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def mosquitto_program() -> str:
    """Return the path of Mosquitto, or raise BrokerRefused with the line that installs it."""
    program = find_program("mosquitto")
    if program is None or find_program("mosquitto_passwd") is None:
        raise BrokerRefused("--broker mosquitto: it is not installed (apt install mosquitto)")
    return program


def find_program(name: str) -> str | None:
    """Return where a program lies, administrators' folders included."""
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def write_mosquitto_config(folder: Path, host: str, port: int, users: Users) -> Path:
    """Write Mosquitto's configuration with the same rules as the embedded broker."""
    require_loopback(host)
    mosquitto_program()
    passwords = folder / "mosquitto.passwords"
    passwords.unlink(missing_ok=True)
    write_private(passwords, "")
    for user in users.names:
        secret = users.password_file(folder, user).read_text("utf-8").strip()
        program = find_program("mosquitto_passwd") or "mosquitto_passwd"
        subprocess.run([program, "-b", str(passwords), user, secret], check=True, timeout=20)
    acl = folder / "mosquitto.acl"
    write_private(acl, mosquitto_acl(users.microgrid))
    config = folder / "mosquitto.conf"
    owner = getpass.getuser()  # started by root it would change to a user who cannot read these
    config.write_text(
        _MOSQUITTO.format(host=host, port=port, owner=owner, passwords=passwords, acl=acl)
    )
    return config


_MOSQUITTO = """per_listener_settings false
listener {port} {host}
user {owner}
allow_anonymous false
allow_zero_length_clientid false
use_username_as_clientid true
password_file {passwords}
acl_file {acl}
persistence false
max_connections 512
max_keepalive 120
max_inflight_messages 2000
max_queued_messages 20000
max_packet_size 65536
set_tcp_nodelay true
"""


def main(arguments: list[str]) -> int:
    """Serve until stopped; the supervisor's child."""
    parser = argparse.ArgumentParser(prog="python -m testbed.broker", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--users", type=Path, required=True)
    parser.add_argument("--microgrid", required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        config = amqtt_config(given.host, given.port, given.users, given.microgrid)
    except BrokerRefused as refusal:
        print(refusal, file=sys.stderr)
        return 78
    asyncio.run(serve(config))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
