"""Whose cosignatures make a checkpoint final: by a signed entry, and in `trust.toml`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hub.commands.enrolling import hand_over, sign_as_administrator
from hub.config import HubConfig
from hub.errors import ConfigError, LedgerCorrupt, QuorumRefused
from hub.ledger.log import Log
from hub.ledger.newest import sync_folder
from hub.ledger.store import Store
from hub.starting import read_trust
from messages import cose
from messages.entries import Genesis, parse_entry
from messages.errors import MalformedMessage
from messages.log.note import format_vkey
from messages.log.policy import parse_policy
from messages.logkeeping import Quorum, Takeover
from messages.trust import Trust, format_trust

EXAMPLE = """\
# Who must cosign a checkpoint before it is final (C2SP tlog-policy). The line of the log is added.
witness w1 gridtally.example/w1+7e72f6d4+BBv3o7nhxOs5dEa01kMG9fifprIpN1QH9I+xQ/M2GsFM https://w.test
witness w2 gridtally.example/w2+7a9e3347+BEeoTq8q9VcbgKCF7sr5slguG+tmq5Jt8asDxpaHEbMU https://x.test
group final any w1 w2
quorum final
"""


def policy_of(log_vkey: str, text: str) -> str:
    """Return the whole policy of a log from the lines that people wrote.

    Raises:
        MalformedMessage: a line of another form, or of another log.
    """
    lines = text if text.endswith("\n") else f"{text}\n"
    whole = lines if parse_policy(lines).logs else f"log {log_vkey}\n{lines}"
    if [format_vkey(key) for key in parse_policy(whole).logs] != [log_vkey]:
        raise MalformedMessage("the policy names another log; leave its `log` line out")
    return whole


def set_policy(config: HubConfig, text: str, name: str, now_ms: int) -> str:
    """Put a policy onto the ledger, signed by the administrator, and into `trust.toml`.

    Returns it whole. One that the ledger has already is only written into `trust.toml`, so that a
    command which was cut short can be repeated.

    Raises:
        ConfigError: the policy, or `trust.toml`, is wrong, or the key is not here; nothing was
            written.
        QuorumRefused: the ledger does not take it.
    """
    path = Path(config.trust)
    trust = read_trust(path)
    try:
        policy = policy_of(trust.log_vkey, text)
    except MalformedMessage as error:
        raise ConfigError((f"{name}: {error}",)) from None
    with Store.open(config.database, read_only=True) as store:
        in_force = policy_in_force(store)
    if policy != in_force:
        if trust.policy != in_force:
            write_trust(path, replace(trust, policy=in_force))
        (reason,) = hand_over(config, sign_as_administrator(config, [Quorum(policy, now_ms)]))
        if reason:
            raise QuorumRefused(reason)
    write_trust(path, replace(trust, policy=policy))
    return policy


def policy_in_force(store: Log) -> str:
    """Return the quorum policy that the entries have: genesis's, or the newest that changed it."""
    rows = [store.entry(0), *store.of_kind(Quorum.KIND), *store.of_kind(Takeover.KIND)]
    body = parse_entry(cose.parse(max(rows, key=lambda row: row.index).raw))
    if not isinstance(body, Genesis | Quorum | Takeover):
        raise LedgerCorrupt("entry 0 is no genesis: run `gridtally-hub verify`")
    return body.policy


def write_trust(trust_path: Path, trust: Trust) -> None:
    """Replace `trust.toml`, durably."""
    partial = trust_path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(format_trust(trust))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, trust_path)
    sync_folder(trust_path.absolute().parent)
