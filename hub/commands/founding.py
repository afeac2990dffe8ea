"""How a microgrid begins: its keys, its first two entries, its configuration.

Writes a whole installation into an empty folder and never over anything. Who appends the signed
entries is the caller's business.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from hub.errors import FoundingRefused
from keys.stores import open_or_generate
from messages.entries import Genesis, PolicyEntry, sign_entry
from messages.errors import MessageError
from messages.log.note import ED25519, NoteKey, format_vkey
from messages.log.policy import parse_policy, unwitnessed
from messages.log.tree import leaf_hash
from messages.logkeeping import policy_for
from messages.publickey import EDDSA, PublicKey, Signer
from messages.topics import check_name
from messages.trust import Trust, format_trust

SIMULATION_PREFIX = "simulation."
BROKER_USERS = ("hub", "web")


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    """Where the three keys are made, or lie already: places of `keys.places`."""

    log: str = "keys/log.pem"
    hub: str = "keys/hub.pem"
    administrator: str = "keys/administrator.pem"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a new microgrid is to be. [ms]

    `quorum`: the lines of a C2SP policy that say who has to cosign; "": nobody.
    """

    microgrid: str
    slot_ms: int
    close_after_ms: int
    readings: str
    simulation: bool
    policy: PolicyEntry
    domain: str = "gridtally.local"
    keys: KeyPlaces = KeyPlaces()
    quorum: str = ""

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
    log: Signer


def found(directory: Path, plan: Plan, now_ms: int) -> Founded:
    """Make keys, sign genesis and the first policy, write `trust.toml` and `hub.toml`.

    Raises:
        FoundingRefused: one of the files is already there and nothing was written, or a key may
            not be what it is to be.
        KeyFault: a key cannot be made where it is to be; a token keeps those made before.
    """
    check_name(plan.microgrid, "microgrid")
    _require_empty(directory)
    _check_quorum(plan)
    log, hub, administrator = _signers(directory, plan.keys)
    vkey = format_vkey(NoteKey(plan.origin, ED25519, log.public))
    policy_text = policy_for(vkey, plan.quorum) if plan.quorum else unwitnessed(vkey)
    genesis = _sign_genesis(plan, log, hub, administrator, policy_text, now_ms)
    network_id = leaf_hash(genesis)
    trust = Trust(network_id, plan.origin, vkey, hub.public, policy_text, plan.simulation)
    policy = sign_entry(administrator, plan.policy, network_id)
    _write(directory / "trust.toml", format_trust(trust))
    return Founded((genesis, policy), trust, administrator.public, log)


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
        f"log = {json.dumps(plan.keys.log)}\n"
        f"hub = {json.dumps(plan.keys.hub)}\n"
        f"administrator = {json.dumps(plan.keys.administrator)}  # for commands, not for `run`\n"
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


def _check_quorum(plan: Plan) -> None:
    """Refuse a quorum that nobody could read, before any key is made."""
    try:
        if plan.quorum:
            parse_policy(plan.quorum)
    except MessageError as error:
        raise FoundingRefused(f"--witnesses: {error}") from None


def _signers(directory: Path, places: KeyPlaces) -> tuple[Signer, Signer, Signer]:
    log, _ = open_or_generate(places.log, EDDSA, directory)
    if log.public.alg != EDDSA:
        raise FoundingRefused(f"{places.log}: a log signs with Ed25519, and this key is P-256")
    hub, _ = open_or_generate(places.hub, None, directory)
    administrator, _ = open_or_generate(places.administrator, None, directory)
    if len({log.public, hub.public, administrator.public}) != 3:
        raise FoundingRefused("log, hub and administrator must each have a key of their own")
    return log, hub, administrator


def _sign_genesis(
    plan: Plan,
    log: Signer,
    hub: Signer,
    administrator: Signer,
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
