"""`replica.toml`: read once at start, strictly, to frozen values; all findings at once.

Paths in the file are relative to its folder and come out absolute.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hub.errors import ConfigError
from messages.config import read, setting

JOINS: Final = ("genesis", "snapshot")


def _url_complaint(url: str) -> str:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    return f'"{url}" is no address like "https://hub.example:8088"' if wrong else ""


def _listen_complaint(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdecimal() or int(port) > 65_535:
        return f'"{text}" is not HOST:PORT'
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaConfig:
    """All of `replica.toml`.

    Attributes:
        sources: where the log is got from: the hub's web address first, then mirrors.
        listen: where the hub, and other replicas, ask.
        trust: the microgrid's trust.toml.
        member: whose replica it is.
        peers: where other replicas answer: proposals are shown to them, too.
        token_file: the token that sources ask for before they show entries.
        ca_file: who signed the sources' certificates, where no public authority did.
        join: begin with entry 0, or with the newest snapshot that a final header vouches for.
        stores: where ciphertext of private records is kept, as in hub.toml; none: it is not.
        workers: processes that check signatures of a long log; 0: one a processor.
    """

    sources: tuple[str, ...] = setting(check=_url_complaint)
    listen: str = setting(default="127.0.0.1:8092", check=_listen_complaint)
    trust: str = "trust.toml"
    member: str = ""
    peers: tuple[str, ...] = setting(default=(), check=_url_complaint)
    token_file: str | None = None
    ca_file: str | None = None
    join: str = setting(default="genesis", choices=JOINS)
    stores: tuple[str, ...] = ()
    workers: int = setting(default=0, low=0, high=256)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def format_config(config: ReplicaConfig) -> str:
    """Return the text of a new `replica.toml`, for people to go on with."""
    return f"""\
sources = [{", ".join(json.dumps(url) for url in config.sources)}]   # the hub's page, or mirrors
listen = {json.dumps(config.listen)}      # where the hub asks; its policy names this place
trust = "trust.toml"
member = {json.dumps(config.member)}
join = {json.dumps(config.join)}               # or "snapshot": begin late, fill in the rest

# peers = ["http://alice.example:8092"]   # other replicas: they see our proposals, we see theirs
# token_file = "entries.token"    # what the hub asks for before it shows entries; mode 0600
# ca_file = "hub-ca.pem"          # who signed the certificate of an https:// source
# stores = ["file:records"]       # keep the ciphertext of private records, too
"""


def load_config(path: Path) -> ReplicaConfig:
    """Read `replica.toml`; ConfigError holds every finding with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(
            (f"{path}: cannot be read: {reason}. `gridtally-hub replica-init` writes one.",)
        ) from None
    document = read(text, ReplicaConfig)
    if document.value is None:
        raise ConfigError(tuple(finding.text(str(path)) for finding in document.findings))
    if not document.value.sources:
        raise ConfigError((f"{path}: sources: name at least one, such as the hub's page",))
    return _rooted(document.value, path.resolve().parent)


def _rooted(config: ReplicaConfig, folder: Path) -> ReplicaConfig:
    def at(text: str | None) -> str | None:
        return None if text is None else str(folder / text)

    return replace(
        config,
        trust=str(folder / config.trust),
        token_file=at(config.token_file),
        ca_file=at(config.ca_file),
    )
