"""A published log of seven entries with three witnesses: files that anybody can make again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from member.verify import main
from messages.log.policy import parse_policy
from messages.publickey import EDDSA, PublicKey
from messages.trust import Trust, format_trust
from tests.support.vectors import vectors

DEMO: dict[str, Any] = vectors("trust/checkpoint_cosignature_demo")
WITNESSES: list[str] = DEMO["witness_vkeys"]


def policy(needed: str = "2", *, log: str = DEMO["log_vkey"]) -> str:
    """The policy file of the log: so many of its three witnesses, or "none"."""
    lines = [f"log {log}"]
    lines += [f"witness w{n} {vkey}" for n, vkey in enumerate(WITNESSES, 1)]
    if needed == "none":
        return "\n".join([*lines, "quorum none", ""])
    return "\n".join([*lines, f"group all-of-them {needed} w1 w2 w3", "quorum all-of-them", ""])


def trust(policy_text: str) -> str:
    """The trust.toml of the log."""
    assert parse_policy(policy_text)
    hub = PublicKey(EDDSA, bytes.fromhex(DEMO["meter_pub"]))
    return format_trust(Trust(bytes(32), DEMO["origin"], DEMO["log_vkey"], hub, policy_text))


@dataclass
class Told:
    """What a run of gridtally-verify ended with."""

    code: int
    facts: dict[str, Any]

    @property
    def verdict(self) -> str:
        """Its one sentence."""
        return str(self.facts["verdict"])


def ask(capsys: Any, *words: str | Path) -> Told:
    """Run gridtally-verify with --json and return what it said."""
    code = main([*map(str, words), "--json"])
    out = capsys.readouterr()
    assert out.err == ""
    facts = json.loads(out.out)
    assert facts["code"] == code
    assert facts["valid"] is (code == 0)
    return Told(code, facts)
