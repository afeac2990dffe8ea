"""The hub's side: a replica's keys onto the ledger, and its cosigning key into the quorum."""

from __future__ import annotations

import time
from pathlib import Path

from hub.commands.enrolling import hand_over, sign_as_administrator
from hub.commands.quorum import set_policy
from hub.config import HubConfig
from hub.replica.errors import ReplicaRefused
from hub.replica.home import EXECUTES, HOLDER, Enrolment
from hub.starting import read_trust
from messages.entries import KeyEntry
from messages.log.note import format_vkey
from messages.log.policy import REPLICAS, LogPolicy, parse_policy
from messages.membership import check_proof, entry_fault

FINAL = "final"


def key_entry(enrolment: Enrolment, network_id: bytes) -> KeyEntry:
    """Return the entry that enrols what proposes.

    Raises:
        ReplicaRefused: there is nothing to enrol, or no name to enrol it under.
        BadSignature: its key does not agree.
    """
    if not enrolment.member or not enrolment.header:
        raise ReplicaRefused("the replica has no member: it cosigns, and proposes nothing")
    entry = KeyEntry(
        "enrol",
        HOLDER,
        enrolment.member,
        bytes.fromhex(enrolment.header),
        vrf=bytes.fromhex(enrolment.vrf),
        proof=bytes.fromhex(enrolment.proof),
    )
    fault = entry_fault(entry)
    if fault:
        raise ReplicaRefused(fault)
    check_proof(entry, network_id)
    return entry


def with_replica(text: str, vkey: str, url: str) -> str:
    """Return a policy in which one more replica counts: more than two thirds of them must agree.

    Whoever else had to agree before still has to.

    Raises:
        ReplicaRefused: it counts already, or its policy has names that are in the way.
    """
    policy = parse_policy(text)
    if vkey in {format_vkey(key) for key in policy.witnesses.values()}:
        raise ReplicaRefused("this replica is in the policy already: see `gridtally-hub quorum`")
    name = vkey.partition("+")[0].replace("/", "-")
    lines = [line for line in text.splitlines() if line.split()[:1] != ["quorum"]]
    group = policy.groups.get(REPLICAS)
    others = () if group is None else group.members
    if others:
        lines = [line for line in lines if line.split()[:2] != ["group", REPLICAS]]
    members = (*others, name)
    at = _before_groups(lines)
    needed = 2 * len(members) // 3 + 1
    added = [f"witness {name} {vkey} {url}", f"group {REPLICAS} {needed} {' '.join(members)}"]
    lines[at:at] = added
    quorum = policy.quorum
    if group is None:
        quorum, more = _joined(policy)
        lines += more
    whole = "\n".join([*lines, f"quorum {quorum}", ""])
    parse_policy(whole)
    return whole


def _before_groups(lines: list[str]) -> int:
    return next((at for at, line in enumerate(lines) if line.split()[:1] == ["group"]), len(lines))


def _joined(policy: LogPolicy) -> tuple[str, list[str]]:
    """Return the quorum with the replicas in it, and the line that it needs."""
    if not policy.witnessed:
        return REPLICAS, []
    name = FINAL
    while name in policy.groups or name in policy.witnesses:
        name += "-too"
    return name, [f"group {name} all {REPLICAS} {policy.quorum}"]


def enrol(config: HubConfig, enrolment: Enrolment) -> list[str]:
    """Put a replica and its quorum onto the ledger and into `trust.toml`; return what was done.

    Raises:
        ReplicaRefused: it only mirrors, counts already, or the ledger did not take its key.
    """
    if enrolment.meaning != EXECUTES:
        raise ReplicaRefused(
            "this one only mirrors: it says nothing of results. Count it as a witness, by a line "
            f"in the policy: witness NAME {enrolment.vkey} {enrolment.url}"
        )
    trust_path = Path(config.trust)
    trust = read_trust(trust_path)
    policy = with_replica(trust.policy, enrolment.vkey, enrolment.url)
    done = []
    if enrolment.member:
        entry = key_entry(enrolment, trust.network_id)
        (reason,) = hand_over(config, sign_as_administrator(config, [entry]))
        if reason:
            raise ReplicaRefused(reason)
        done.append(f"replica {enrolment.member}: its keys are on the ledger, and it proposes")
    now_ms = time.time_ns() // 1_000_000
    set_policy(config, policy, "the policy with the replica", now_ms)
    done.append(f"{trust_path}: its cosignature counts; copy it to every node and replica")
    done.append("start the hub again, so that it asks the replica")
    return done
