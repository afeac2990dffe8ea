"""Open an installation for writing: keys, trust, ledger, state; refuse what does not fit together.

`gridtally-hub run` and every command that appends begin here. Each refusal is one sentence that
says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hub.config import HubConfig
from hub.core.logkeeping import log_key_of
from hub.core.records import Network
from hub.errors import ConfigError, KeysUnavailable
from hub.intake import FUTURE_MS_MAX, Rules
from hub.ledger.store import Store
from hub.market.catalog import installed as installed_contracts
from hub.pen import Pen
from hub.recorder import Recorder
from keys.errors import KeyFault, StoreUnavailable
from keys.stores import open_signer
from messages.errors import MalformedMessage
from messages.log.note import format_vkey, parse_vkey
from messages.log.policy import LogPolicy, parse_policy
from messages.publickey import Signer
from messages.trust import Trust, parse_trust

SIMULATED_FUTURE_MS_MAX = 86_400_000  # instants come from the testbed, readings just before them


@dataclass(frozen=True, slots=True)
class Opened:
    """An installation that is open for writing."""

    config: HubConfig
    trust: Trust
    pen: Pen
    recorder: Recorder
    network: Network

    @property
    def rules(self) -> Rules:
        """What intake needs to know of this microgrid."""
        future_ms = SIMULATED_FUTURE_MS_MAX if self.config.simulation else FUTURE_MS_MAX
        network = self.network
        return Rules(
            network.network_id, network.microgrid, network.slot_ms, future_ms, network.readings
        )

    @property
    def policy(self) -> LogPolicy:
        """Whose cosignatures make a checkpoint final, as `trust.toml` has it."""
        return parse_policy(self.trust.policy)

    def close(self) -> None:
        """Close the ledger, so that another process may write."""
        self.recorder.store.close()


def open_hub(config: HubConfig) -> Opened:
    """Open everything.

    Raises:
        ConfigError: a file is missing or does not belong to this ledger.
        LedgerError: the ledger is locked, damaged, or behind what was handed out.
    """
    trust = read_trust(Path(config.trust))
    hub, log_signer = check_keys(config, trust)
    store = Store.open(config.database)
    try:
        recorder = Recorder(store, installed_contracts())
        network = _check_ledger(config, trust, recorder)
    except BaseException:
        store.close()
        raise
    pen = Pen(trust.network_id, trust.origin, hub, log_signer)
    return Opened(config, trust, pen, recorder, network)


def read_trust(path: Path) -> Trust:
    """Return what `trust.toml` says; ConfigError if it cannot be read."""
    try:
        return parse_trust(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            (f"{path}: cannot be read: {error.strerror}; `gridtally-hub init` writes it",)
        ) from None
    except (MalformedMessage, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: {error}",)) from None


def _log_findings(config: HubConfig, trust: Trust, recorder: Recorder) -> Iterator[str]:
    """Yield where `trust.toml` and the ledger differ about the log's key and its quorum."""
    vkey = format_vkey(log_key_of(recorder.state))
    if vkey != trust.log_vkey:
        yield (
            f"{config.trust}: names the log {trust.log_vkey}, the ledger goes on as {vkey}: finish "
            "with `gridtally-hub log retire`, or bring the trust.toml that it wrote"
        )
    elif recorder.state.network_rows[()].policy != trust.policy:
        yield (
            f"{config.trust}: asks for another quorum than the ledger: put the one that you want "
            "into a file and run `gridtally-hub quorum FILE`"
        )


def load_key(name: str, place: str) -> Signer:
    """Return the signer of a key in [keys]; ConfigError if it cannot be opened."""
    try:
        return open_signer(place)
    except KeyFault as error:
        kind = KeysUnavailable if isinstance(error, StoreUnavailable) else ConfigError
        raise kind((f"[keys] {name}: {error}",)) from None


def check_keys(config: HubConfig, trust: Trust) -> tuple[Signer, Signer]:
    """Return the signers of hub and log; ConfigError unless they are those that trust names."""
    hub, log_signer = load_key("hub", config.keys.hub), load_key("log", config.keys.log)
    findings = []
    if hub.public != trust.hub_key:
        findings.append(f"{config.keys.hub}: not the hub key that {config.trust} names")
    if log_signer.public != parse_vkey(trust.log_vkey).public:
        findings.append(f"{config.keys.log}: not the log key that {config.trust} names")
    findings += policy_findings(config, trust)
    if findings:
        raise ConfigError(tuple(findings))
    return hub, log_signer


def policy_findings(config: HubConfig, trust: Trust) -> list[str]:
    """Return what is wrong with the policy in `trust.toml`, or with where its witnesses are."""
    try:
        policy = parse_policy(trust.policy)
    except MalformedMessage as error:
        return [f"{config.trust}: {error}"]
    findings = []
    if [format_vkey(key) for key in policy.logs] != [trust.log_vkey]:
        findings.append(f"{config.trust}: the policy is to name this log, and no other")
    vkeys = [table.vkey for table in config.witness]
    findings += [f"[[witness]] {vkey}: twice" for vkey in sorted({*vkeys}) if vkeys.count(vkey) > 1]
    return findings


def _check_ledger(config: HubConfig, trust: Trust, recorder: Recorder) -> Network:
    """Compare ledger, trust and configuration; return what genesis fixed."""
    network = recorder.state.network
    if network is None:
        raise ConfigError(
            (f"{config.database}: the ledger has no genesis; `gridtally-hub init` makes one",)
        )
    findings = []
    if network.network_id != trust.network_id:
        findings.append(f"{config.trust}: of another network than the ledger {config.database}")
    else:
        findings += _log_findings(config, trust, recorder)
    if network.microgrid != config.microgrid:
        findings.append(f'microgrid = "{config.microgrid}": the ledger is of {network.microgrid}')
    if network.slot_ms != config.slots.slot_ms:
        findings.append(
            f"slot_ms = {config.slots.slot_ms}: the ledger was founded with {network.slot_ms}"
        )
    if network.is_simulation != (config.simulation is not None):
        kind = "a simulation" if network.is_simulation else "real"
        findings.append(f"the ledger is {kind}, the configuration says otherwise: see [simulation]")
    if findings:
        raise ConfigError(tuple(findings))
    return network
