"""Wires a replica and runs it: one thread follows the log, a server answers the hub."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Final

from hub.cosigning.evidence import EvidenceFolder
from hub.errors import ConfigError
from hub.market.catalog import installed as installed_contracts
from hub.replica import report
from hub.replica.ciphertext import Ciphertext
from hub.replica.config import ReplicaConfig
from hub.replica.execution import Execution
from hub.replica.following import Following
from hub.replica.home import Home, open_home
from hub.replica.mirror import Mirror
from hub.replica.opening import Preimages
from hub.replica.proposing import Proposer
from hub.replica.server import ReplicaServer
from hub.replica.source import Access, HttpSource, Sources
from hub.replica.turns import Turns
from hub.replica.vouching import VouchingWitness
from hub.serving import bind_port, serve
from hub.starting import read_trust
from hub.timing.pace import monotonic_ms
from hub.vault.stores import open_stores
from messages.log.note import parse_vkey

REPORT_EVERY_S: Final = 1.0

log = logging.getLogger("hub.replica")


def run_replica(config: ReplicaConfig, folder: Path) -> None:
    """Serve the replica of a folder until SIGTERM or SIGINT.

    Raises:
        ReplicaRefused, WitnessRefused, ConfigError, KeyFault, MirrorDamaged: it may not begin.
        ListenRefused: the address cannot be had.
    """
    home = open_home(folder)
    try:
        replica = Replica(config, home)
        host, port = config.address
        with bind_port(host, port, "choose another `listen` in replica.toml") as listener:
            log.info("replica %s listens on %s:%d", home.key.name, *listener.getsockname()[:2])
            replica.start()
            try:
                serve(replica.server, listener, "hub.replica")
            finally:
                replica.stop()
    finally:
        home.memory.close()


class Replica:
    """Wires the parts. It holds no rule of its own."""

    def __init__(self, config: ReplicaConfig, home: Home) -> None:
        trust = read_trust(Path(config.trust))
        log_key = parse_vkey(trust.log_vkey)
        evidence = EvidenceFolder(home.folder / "evidence")
        access = Access(read_token(config.token_file), config.ca_file)
        sources = Sources([HttpSource(url, access) for url in config.sources])
        contracts = installed_contracts()
        execution = None
        if home.executes:
            execution = Execution(
                home.folder / "standing",
                trust,
                contracts,
                Preimages(home.header, trust.network_id, sources, utc_ms).of,
                config.workers or None,
            )
        mirror = Mirror(home.folder / "mirror", log_key, evidence)
        self._home = home
        self._config = config
        self._following = Following(mirror, execution, sources)
        is_new = not mirror.size or mirror.first
        if execution is not None and config.join == "snapshot" and is_new and not execution.size:
            self._following.begin_behind_snapshot(execution, trust)
        witness = VouchingWitness(
            home, log_key, evidence, self._following, lambda: int(time.time())
        )
        self._witness = witness
        turns = Turns(home.folder / "objections", self._following, sources, contracts, monotonic_ms)
        self._following.add_chores(turns)
        stores = open_stores(config.stores, str(home.folder))
        self._ciphertext = Ciphertext(stores, self._following, sources)
        if config.stores:
            self._following.add_chores(self._ciphertext)
        self._propose(home, sources, config)
        self._ended = threading.Event()
        self._reporting = threading.Thread(target=self._report, name="reporting", daemon=True)
        self.server = ReplicaServer(witness, self._facts, turns.take, self._ciphertext.find)

    def _propose(self, home: Home, sources: Sources, config: ReplicaConfig) -> None:
        if home.header is None or home.vrf is None:
            return
        peers = tuple(HttpSource(url, Access(ca_file=config.ca_file)) for url in config.peers)
        self._following.add_chores(
            Proposer(home.header, home.vrf, self._following, sources, peers, monotonic_ms)
        )

    def start(self) -> None:
        """Begin to follow."""
        self._following.thread.start()
        self._reporting.start()

    def stop(self) -> None:
        """End, and keep how far it is."""
        self._following.stop()
        self._ended.set()
        self._reporting.join()
        execution = self._following.execution
        if execution is not None and not self._following.standing.finding:
            execution.keep()

    def _facts(self) -> dict[str, object]:
        found = report.facts(
            self._home, self._following, self._witness.cosigned, self._config.member
        )
        return found | {"ciphertext_lacking": self._ciphertext.lacking}

    def _report(self) -> None:
        while True:
            report.write(self._home.folder, self._facts())
            if self._ended.wait(REPORT_EVERY_S):
                return


def utc_ms() -> int:
    """Return the time of this machine. [ms UTC]"""
    return time.time_ns() // 1_000_000


def read_token(path: str | None) -> str:
    """Return the token that sources ask for, "" if there is none; ConfigError if unreadable."""
    if path is None:
        return ""
    try:
        mode, token = Path(path).stat().st_mode, Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"token_file: {path}: {error}",)) from None
    if mode & 0o077:
        raise ConfigError((f"token_file: {path}: others can read it: chmod 600 {path}",))
    return token
