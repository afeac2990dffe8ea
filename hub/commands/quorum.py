"""Whose cosignatures make a checkpoint final: read from people, kept in `trust.toml`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hub.errors import ConfigError
from hub.ledger.newest import sync_folder
from hub.starting import read_trust
from messages.errors import MalformedMessage
from messages.log.note import format_vkey
from messages.log.policy import parse_policy
from messages.trust import format_trust

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


def set_policy(trust_path: Path, text: str, name: str) -> str:
    """Put a policy into `trust.toml`; return it whole.

    Raises:
        ConfigError: the policy, or `trust.toml`, is wrong; nothing was written.
    """
    trust = read_trust(trust_path)
    try:
        policy = policy_of(trust.log_vkey, text)
    except MalformedMessage as error:
        raise ConfigError((f"{name}: {error}",)) from None
    partial = trust_path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(format_trust(replace(trust, policy=policy)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, trust_path)
    sync_folder(trust_path.absolute().parent)
    return policy
