"""`hub.toml`: read once at start, strictly, to frozen values; all findings at once.

Paths in the file are relative to its folder and come out absolute. `EXAMPLE` is a whole file.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from hub.errors import ConfigError
from keys.places import place_complaint, rooted
from messages.config import Document, Finding, name_complaint, read, setting
from messages.errors import MalformedMessage
from messages.log.note import COSIGNATURE, parse_vkey

EXAMPLE = """\
microgrid = "bench"
trust = "trust.toml"            # written by `gridtally-hub init`; edges need a copy
state = "."                     # inbox and health live here
database = "sqlite:///ledger.db"

[keys]
log = "keys/log.pem"
hub = "keys/hub.pem"
administrator = "keys/administrator.pem"   # for commands; `run` does not open it

[broker]
host = "127.0.0.1"
port = 1883
password_file = "hub.password"

[slots]
slot_ms = 900000                # must be what the ledger's first entry says
close_after_ms = 30000
backlog_wait_ms = 600000

[dispatch]
lease_ttl_ms = 5000

[web]
host = "127.0.0.1"
port = 8088
password_file = "web.password"

# [[witness]]                   # one table each; the quorum stands in trust.toml
# vkey = "gridtally.example/w1+7e72f6d4+BBv3o7nhxOs5dEa01kMG9fifprIpN1QH9I+xQ/M2GsFM"
# url = "https://witness.example/w1"
"""

_SQLITE = "sqlite:///"


def _loopback_complaint(host: str) -> str:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return ""
    return f'"{host}": until there are accounts, pages are for this machine only: 127.0.0.1'


def _vkey_complaint(text: str) -> str:
    try:
        kind = parse_vkey(text).kind
    except MalformedMessage as error:
        return str(error)
    return "" if kind == COSIGNATURE else "this is a log's key; a witness's has the type 0x04"


def _url_complaint(text: str) -> str:
    try:
        parts = urlsplit(text)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment:
        return f'"{text}" is no address like "https://witness.example/w1"'
    return ""


def _database_complaint(url: str) -> str:
    if "://" in url:
        return ""
    return f'"{url}" is no database address; a file is "{_SQLITE}ledger.db"'


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Certificates towards the broker; they carry no trust for content."""

    ca: str
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker is and as whom to speak to it; the client id is the user name.

    With `mosquitto`, commands write the files that Mosquitto reads into that folder.
    """

    host: str = "127.0.0.1"
    port: int = setting(default=1883, low=1, high=65_535)
    user: str = setting(default="hub", check=name_complaint)
    password_file: str | None = None
    tls: TlsFiles | None = None
    mosquitto: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """Private keys of one installation; each is a place of `keys.places`, and need be no file."""

    log: str = setting(check=place_complaint)
    hub: str = setting(check=place_complaint)
    administrator: str | None = setting(default=None, check=place_complaint)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSettings:
    """Length of a slot and how long one is waited for after its end. [ms]"""

    slot_ms: int = setting(low=1_000, high=86_400_000)
    close_after_ms: int = setting(default=30_000, low=0, high=86_400_000)
    backlog_wait_ms: int = setting(default=600_000, low=0, high=7 * 86_400_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """How long a relay command lives without being renewed. [ms]"""

    lease_ttl_ms: int = setting(default=5_000, low=1_000, high=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """How long the bodies of sealed telemetry packs are kept; 0: for ever. [days]"""

    keep_days: int = setting(default=0, low=0, high=36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSettings:
    """Where ciphertext of records lies: in all of them; `file:FOLDER`, or what fsspec reaches."""

    stores: tuple[str, ...] = ("file:records/blobs",)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where the pages are served, and as whom their process speaks to the broker.

    With `entries_token_file`, entries are read only by who shows the token in that file.
    `broker_tls` is the web process's own certificate, since a broker keeps one client a name.
    """

    host: str = setting(default="127.0.0.1", check=_loopback_complaint)
    port: int = setting(default=8088, low=1, high=65_535)
    user: str = setting(default="web", check=name_complaint)
    password_file: str | None = None
    entries_token_file: str | None = None
    broker_tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessTable:
    """Where a witness is asked: its key (C2SP vkey) and its submission prefix."""

    vkey: str = setting(check=_vkey_complaint)
    url: str = setting(check=_url_complaint)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """The testbed's clock; with it nothing here is a real installation. `unix:PATH`

    `switchboard` is where faults are switched, which the web process then has a page for.
    """

    clock: str
    switchboard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """All of `hub.toml`."""

    microgrid: str = setting(check=name_complaint)
    trust: str = "trust.toml"
    state: str = "."
    database: str = setting(default=f"{_SQLITE}ledger.db", check=_database_complaint)
    keys: KeyFiles
    broker: BrokerSettings = BrokerSettings()
    slots: SlotSettings
    dispatch: DispatchSettings = DispatchSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    records: RecordSettings = RecordSettings()
    web: WebSettings = WebSettings()
    witness: tuple[WitnessTable, ...] = ()
    simulation: SimulationSettings | None = None


def load_config(path: Path) -> HubConfig:
    """Read `hub.toml`; ConfigError holds every finding with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(
            (f"{path}: cannot be read: {reason}. `gridtally-hub init` writes one.",)
        ) from None
    document = read(text, HubConfig)
    document = document.with_findings(_between(document))
    if document.value is None:
        raise ConfigError(tuple(finding.text(str(path)) for finding in document.findings))
    return _rooted(document.value, path.resolve().parent)


def _between(document: Document[HubConfig]) -> list[Finding]:
    """Rules that no single key can break."""
    findings = []
    for key in ("clock", "switchboard"):
        for path, value in document.values("simulation", key):
            if isinstance(value, str) and not value.startswith("unix:"):
                text = f'{key}: "{value}" must be "unix:" and the path of a socket'
                findings.append(document.finding(path, text))
    broker_user = dict(document.values("broker", "user")).get(("broker", "user"), "hub")
    for path, value in document.values("web", "user"):
        if value == broker_user:
            text = f'user: "{value}" is the hub itself; a broker keeps one client a name'
            findings.append(document.finding(path, text))
    return findings


def _rooted(config: HubConfig, folder: Path) -> HubConfig:
    def at(text: str | None) -> str | None:
        return None if text is None else str(folder / text)

    def must(text: str) -> str:
        return str(folder / text)

    def files(tls: TlsFiles | None) -> TlsFiles | None:
        return tls and TlsFiles(ca=must(tls.ca), cert=at(tls.cert), key=at(tls.key))

    broker = config.broker
    simulation = config.simulation
    if simulation is not None:
        switchboard = simulation.switchboard
        simulation = SimulationSettings(
            clock=must(simulation.clock.removeprefix("unix:")),
            switchboard=switchboard and must(switchboard.removeprefix("unix:")),
        )
    keys = config.keys
    administrator = None if keys.administrator is None else rooted(keys.administrator, folder)
    return replace(
        config,
        trust=must(config.trust),
        state=must(config.state),
        database=_rooted_database(config.database, folder),
        keys=KeyFiles(
            log=rooted(keys.log, folder), hub=rooted(keys.hub, folder), administrator=administrator
        ),
        broker=replace(
            broker,
            password_file=at(broker.password_file),
            tls=files(broker.tls),
            mosquitto=at(broker.mosquitto),
        ),
        web=replace(
            config.web,
            password_file=at(config.web.password_file),
            entries_token_file=at(config.web.entries_token_file),
            broker_tls=files(config.web.broker_tls),
        ),
        simulation=simulation,
    )


def _rooted_database(url: str, folder: Path) -> str:
    if not url.startswith(_SQLITE):
        return url
    return _SQLITE + str(folder / url.removeprefix(_SQLITE))
