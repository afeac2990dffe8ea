"""How a broker that speaks TLS comes about: its files, the hub's certificates, hub.toml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hub.config import HubConfig, load_config
from hub.joining.acl import HUB, WEB
from hub.joining.authority import write_durably
from hub.joining.errors import JoiningRefused
from hub.joining.mosquitto import ClientFiles, Mosquitto
from hub.joining.pairing import authority_of
from hub.joining.registry import ended_nodes, read_registry
from messages.configedit import set_keys


def prepare_broker(
    config: HubConfig, file: Path, hosts: Sequence[str], port: int, folder: Path
) -> Iterator[str]:
    """Write everything; yield what to do next.

    Raises:
        JoiningRefused: hub or web have names of their own at the broker.
    """
    for table, user, wanted in (("broker", config.broker.user, HUB), ("web", config.web.user, WEB)):
        if user != wanted:
            raise JoiningRefused(
                f"{file}: [{table}] user = {user!r}: over TLS it is {wanted!r}, since nodes know "
                "their place by their name. Take that line out"
            )
    authority = authority_of(config)
    mosquitto = Mosquitto(folder, config.microgrid)
    own = mosquitto.found(authority, hosts, port)
    mosquitto.refresh(authority, ended_nodes(read_registry(config)))
    text = file.read_text(encoding="utf-8")
    tls = {user: _tls(authority.path, files) for user, files in own.items()}
    host = config.broker.host if config.broker.host in hosts else hosts[0]
    text = set_keys(
        text,
        "broker",
        {"host": host, "port": port, "tls": tls[HUB], "mosquitto": str(folder)},
        ("password_file",),
    )
    text = set_keys(text, "web", {"broker_tls": tls[WEB]}, ("password_file",))
    write_durably(file, text.encode(), file.stat().st_mode & 0o777)
    load_config(file)
    yield f"{folder}: written; {file} names the broker and the hub's certificates"
    yield "as root, now and whenever this is run again:"
    yield f"  chgrp -R mosquitto {folder} && chmod 2750 {folder}"
    yield f"  ln -sf {folder}/gridtally.conf /etc/mosquitto/conf.d/gridtally.conf"
    yield "  systemctl restart mosquitto"


def _tls(authority: Path, files: ClientFiles) -> dict[str, str]:
    return {"ca": str(authority), "cert": str(files.certificate), "key": str(files.key)}
