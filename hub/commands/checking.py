"""What `gridtally-hub check-config` tries: everything that `run` needs, and changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from hub.config import BrokerSettings, HubConfig
from hub.errors import ConfigError, KeysUnavailable
from hub.ledger.store import Store
from hub.starting import check_keys, load_key, read_trust

CONNECT_S = 3.0


def check_installation(config: HubConfig) -> Iterator[str]:
    """Yield what is in order.

    Raises:
        ConfigError: everything that is not, at once.
        KeysUnavailable: only that tokens or TPMs do not answer now.
        LedgerError: the ledger cannot be opened.
    """
    wrong = [*_key_errors(config), *_password_errors(config)]
    trust = None
    try:
        trust = read_trust(Path(config.trust))
    except ConfigError as error:
        wrong.append(error)
    if wrong or trust is None:
        kinds = {type(error) for error in wrong}
        kind = KeysUnavailable if kinds == {KeysUnavailable} else ConfigError
        raise kind(tuple(finding for error in wrong for finding in error.findings))
    check_keys(config, trust)
    yield f"keys and {config.trust}: belong together"
    with Store.open(config.database, read_only=True) as store:
        yield f"ledger {trust.origin}: {store.size} entries"


def broker_fault(broker: BrokerSettings) -> str:
    """Say why nobody answers at the broker's address, empty if somebody does."""
    try:
        with socket.create_connection((broker.host, broker.port), timeout=CONNECT_S):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _key_errors(config: HubConfig) -> Iterator[ConfigError]:
    for name, place in (("log", config.keys.log), ("hub", config.keys.hub)):
        try:
            load_key(name, place)
        except ConfigError as error:
            yield error


def _password_errors(config: HubConfig) -> Iterator[ConfigError]:
    for finding in _password_findings(config):
        yield ConfigError((finding,))


def _password_findings(config: HubConfig) -> Iterator[str]:
    for name, path in (
        ("broker", config.broker.password_file),
        ("web", config.web.password_file),
    ):
        if path is None:
            continue
        file = Path(path)
        if not file.is_file():
            yield f"[{name}] password_file: {path} is not there"
        elif file.stat().st_mode & 0o077:
            yield f"[{name}] password_file: others can read {path}: chmod 600 {path}"
