"""How a microgrid begins: its keys, its first two entries, its configuration.

Writes a whole installation into an empty folder and never over anything. Who appends the signed
entries is the caller's business.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from hub.errors import FoundingRefused
from keys.file import FileSigner, generate
from messages.entries import Genesis, PolicyEntry, sign_entry
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import unwitnessed
from messages.log.tree import leaf_hash
from messages.publickey import PublicKey
from messages.topics import check_name
from messages.trust import Trust, format_trust

SIMULATION_PREFIX = "simulation."
BROKER_USERS = ("hub", "web")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a new microgrid is to be. [ms]"""

    microgrid: str
    slot_ms: int
    close_after_ms: int
    readings: str
    simulation: bool
    policy: PolicyEntry
    domain: str = "gridtally.local"

    @property
    def origin(self) -> str:
        """The ledger's name; a simulated one can never pass for a real one."""
        return f"{SIMULATION_PREFIX if self.simulation else ''}{self.domain}/{self.microgrid}"


@dataclass(frozen=True, slots=True)
class Founded:
    """The signed first entries, and what everybody needs to know."""

    entries: tuple[bytes, ...]
    trust: Trust
    administrator: PublicKey


def found(directory: Path, plan: Plan, now_ms: int) -> Founded:
    """Make keys, sign genesis and the first policy, write `trust.toml` and `hub.toml`.

    Raises:
        FoundingRefused: one of the files is already there; nothing was written.
    """
    check_name(plan.microgrid, "microgrid")
    _require_empty(directory)
    keys = directory / "keys"
    log = generate(keys / "log.pem")
    hub = generate(keys / "hub.pem")
    administrator = generate(keys / "administrator.pem")
    vkey = format_vkey(NoteKey(plan.origin, ED25519, log.public))
    policy_text = unwitnessed(vkey)
    genesis = _sign_genesis(plan, log, hub, administrator, policy_text, now_ms)
    network_id = leaf_hash(genesis)
    trust = Trust(network_id, plan.origin, vkey, hub.public, policy_text, plan.simulation)
    policy = sign_entry(administrator, plan.policy, network_id)
    _write(directory / "trust.toml", format_trust(trust))
    return Founded((genesis, policy), trust, administrator.public)


def write_config(directory: Path, plan: Plan) -> Path:
    """Write `hub.toml`, last of all: its presence says that the founding was finished.

    Random passwords towards the broker are made beside it, for its administrator to enter there.
    """
    for user in BROKER_USERS:
        _write_private(directory / f"{user}.password", secrets.token_urlsafe(24) + "\n")
    path = directory / "hub.toml"
    _write(path, hub_toml(plan))
    return path


def hub_toml(plan: Plan) -> str:
    """Return the configuration of a new installation."""
    simulation = ""
    if plan.simulation:
        simulation = (
            "\n[simulation]              # SIMULATION: instants come from the testbed\n"
            'clock = "unix:clock.sock"\n'
        )
    return (
        f'microgrid = "{plan.microgrid}"\n'
        'trust = "trust.toml"      # copy it to every edge\n'
        'state = "."\n'
        'database = "sqlite:///ledger.db"\n'
        "\n[keys]\n"
        'log = "keys/log.pem"\n'
        'hub = "keys/hub.pem"\n'
        'administrator = "keys/administrator.pem"  # for commands: better kept elsewhere\n'
        "\n[broker]\n"
        'host = "127.0.0.1"\n'
        "port = 1883\n"
        'password_file = "hub.password"\n'
        "\n[slots]\n"
        f"slot_ms = {plan.slot_ms}\n"
        f"close_after_ms = {plan.close_after_ms}\n"
        "\n[web]\n"
        'host = "127.0.0.1"\n'
        "port = 8088\n"
        'password_file = "web.password"\n' + simulation
    )


def _require_empty(directory: Path) -> None:
    ours = ("hub.toml", "trust.toml", "keys", "ledger.db")
    there = [name for name in ours if (directory / name).exists()]
    if there:
        raise FoundingRefused(
            f"{directory}: {', '.join(there)} already there; a microgrid is founded once and "
            "nothing is overwritten. Choose another --dir, or move that away first."
        )
    directory.mkdir(parents=True, exist_ok=True)


def _sign_genesis(
    plan: Plan,
    log: FileSigner,
    hub: FileSigner,
    administrator: FileSigner,
    policy_text: str,
    now_ms: int,
) -> bytes:
    genesis = Genesis(
        microgrid=plan.microgrid,
        origin=plan.origin,
        slot_ms=plan.slot_ms,
        close_after_ms=plan.close_after_ms,
        readings=plan.readings,
        simulation=plan.simulation,
        administrator=administrator.public.cose_key,
        hub=hub.public.cose_key,
        log=log.public.cose_key,
        policy=policy_text,
        at_ms=now_ms,
    )
    return sign_entry(administrator, genesis, b"")


def _write_private(path: Path, text: str) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
