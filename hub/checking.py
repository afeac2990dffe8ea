"""What `gridtally-hub check-config` tries: everything that `run` needs, and changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from hub.config import BrokerSettings, HubConfig
from hub.errors import ConfigError
from hub.ledger.store import Store
from hub.starting import check_keys, read_trust
from keys import file as key_files
from keys.errors import KeyFault

CONNECT_S = 3.0


def check_installation(config: HubConfig) -> Iterator[str]:
    """Yield what is in order.

    Raises:
        ConfigError: everything that is not, at once.
        LedgerError: the ledger cannot be opened.
    """
    findings = [*_key_findings(config), *_password_findings(config)]
    trust = None
    try:
        trust = read_trust(Path(config.trust))
    except ConfigError as error:
        findings += error.findings
    if findings or trust is None:
        raise ConfigError(tuple(findings))
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


def _key_findings(config: HubConfig) -> Iterator[str]:
    for path in (config.keys.log, config.keys.hub):
        try:
            key_files.load(Path(path))
        except KeyFault as error:
            yield str(error)


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
