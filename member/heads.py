"""Heads of a log and what hangs under them: checkpoints, quorums, proofs that a file brings along.

Nothing here asks anybody: what is believed is the log's key, or trust.toml, and the rest follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from member.errors import Code, Refused
from messages import cose
from messages.errors import BadProof, MessageError
from messages.log import proof as proofs
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.cosignature import Cosignature, open_cosignatures
from messages.log.note import NoteKey, parse_vkey, unbase64
from messages.log.policy import LogPolicy, parse_policy
from messages.log.tree import check_consistency, check_inclusion, leaf_hash
from messages.trust import Trust, parse_trust

AHEAD_S = 300
"""How far a witness's clock may be ahead of ours. [s]"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: one sentence, and the facts behind it for other programs."""

    sentence: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is believed. With the log's key alone there is no policy, and nothing is called final.

    `max_age_s`: a head whose newest cosignature is older than this is stale; None: any age.
    """

    log_key: NoteKey
    now_s: int
    trust: Trust | None = None
    policy: LogPolicy | None = None
    max_age_s: int | None = None


def anchor_of(
    trust_text: str | None, vkey: str | None, now_s: int, max_age_s: int | None
) -> Anchor:
    """Return what a doubter believes; a vkey alone, or trust.toml.

    Raises:
        MessageError: one of them is malformed.
    """
    if trust_text is None:
        return Anchor(parse_vkey((vkey or "").strip()), now_s, max_age_s=max_age_s)
    trust = parse_trust(trust_text)
    policy = parse_policy(trust.policy)
    return Anchor(parse_vkey(trust.log_vkey), now_s, trust, policy, max_age_s)


def open_head(note: str, anchor: Anchor) -> Checkpoint:
    """Return the head in a note that the trusted log signed.

    Raises:
        Refused: another log's, or signed by nobody who is known.
        MessageError: not a note, or a signature that does not verify.
    """
    try:
        return open_checkpoint(note, anchor.log_key)
    except BadProof as error:
        other = not note.startswith(f"{anchor.log_key.name}\n")
        _check_ended(note, anchor)
        raise Refused(Code.FOREIGN if other else Code.SIGNATURE, str(error)) from None


def _check_ended(note: str, anchor: Anchor) -> None:
    """Refuse a head of a log key that ended, saying so.

    Raises:
        Refused: the trusted key took over from the one that signed it.
    """
    for takeover in anchor.trust.takeovers if anchor.trust else ():
        try:
            head = open_checkpoint(note, parse_vkey(takeover.old))
        except MessageError:
            continue
        raise Refused(
            Code.FOREIGN,
            f"signed over {head.size} entries by {head.origin}, whose key ended: the first "
            f"{takeover.size} of them went over. Check it with the trust.toml of that time",
        )


def quorum(note: str, policy: LogPolicy) -> tuple[Cosignature, ...]:
    """Return who cosigned a head, newest first, if that meets the policy.

    Raises:
        Refused: it does not.
        MessageError: a cosignature of a known witness does not verify.
    """
    found = open_cosignatures(note, tuple(policy.witnesses.values()))
    newest_first = tuple(sorted(found, key=lambda each: (-each.time_s, each.key.name)))
    if not policy.is_met(frozenset(each.key for each in found)):
        who = ", ".join(each.key.name for each in newest_first) or "nobody"
        raise Refused(Code.POLICY, f"not final: cosigned by {who}, which is no {policy.quorum}")
    return newest_first


def finality(note: str, anchor: Anchor) -> tuple[str, dict[str, Any]]:
    """Return how far others agree with a head, in words and as facts.

    Raises:
        Refused: the policy is not met, or the head is stale.
    """
    policy = anchor.policy
    cosigners = quorum(note, policy) if policy else ()
    ages = [anchor.now_s - each.time_s for each in cosigners]
    _check_age(min(ages, default=None), anchor.max_age_s)
    facts = {
        "final": policy is not None,
        "witnessed": policy is not None and policy.witnessed,
        "cosigners": [
            {"name": each.key.name, "time_s": each.time_s, "age_s": anchor.now_s - each.time_s}
            for each in cosigners
        ],
    }
    if policy is None:
        return "nobody was asked whether it is final (give --trust)", facts
    if not policy.witnessed:
        return "unwitnessed: nobody but the log signs", facts
    who = ", ".join(f"{each.key.name} {_ago(anchor.now_s - each.time_s)}" for each in cosigners)
    return f"final: cosigned by {who}", facts


def check_checkpoint(note: str, anchor: Anchor) -> Verdict:
    """Check a head: the log's signature, and the quorum where a policy is known."""
    head = open_head(note, anchor)
    words, facts = finality(note, anchor)
    return Verdict(f"{head_told(head)}; {words}", head_facts(head) | facts)


def check_proof(text: str, entry: bytes | None, entry_id: bytes | None, anchor: Anchor) -> Verdict:
    """Check a `.tlog-proof`; without an entry or its id nothing is shown of any entry."""
    proof = proofs.parse_proof(text)
    head = open_head(proof.checkpoint, anchor)
    words, facts = finality(proof.checkpoint, anchor)
    facts |= head_facts(head) | {"index": proof.index}
    leaf = leaf_hash(entry) if entry is not None else entry_id
    if leaf is None:
        return Verdict(
            f"the checkpoint alone: {head_told(head)}; {words}. Give --entry or --id to check "
            f"entry {proof.index}",
            facts,
        )
    check_inclusion(leaf, proof.index, head.size, proof.path, head.root)
    facts |= {"entry_id": leaf.hex()}
    what = f"entry {proof.index}"
    if entry is not None:
        what += f" ({_content(entry, facts)})"
    return Verdict(f"{what} is in {head_told(head)}; {words}", facts)


def check_heads(old: str, new: str, proof: str | None, anchor: Anchor) -> Verdict:
    """Check that the tree of one head is the beginning of that of another."""
    first, second = open_head(old, anchor), open_head(new, anchor)
    if first.size > second.size:
        raise Refused(Code.PROOF, f"the old head has {first.size} entries, the new {second.size}")
    hashes = [unbase64(line) for line in (proof or "").splitlines()]
    if first.size:
        check_consistency(first.size, second.size, hashes, first.root, second.root)
    elif hashes:
        raise Refused(Code.PROOF, "nothing has to be proven from an empty tree")
    words, facts = finality(new, anchor)
    facts |= head_facts(second) | {"old_size": first.size}
    return Verdict(
        f"the first {first.size} entries of {head_told(second)} are those of the old head; {words}",
        facts,
    )


def check_policy(text: str, note: str, now_s: int, max_age_s: int | None) -> Verdict:
    """Check a head against a policy file: who cosigned, how long ago, and whether it is enough."""
    policy = parse_policy(text)
    for log_key in policy.logs:
        if note.startswith(f"{log_key.name}\n"):
            anchor = Anchor(log_key, now_s, policy=policy, max_age_s=max_age_s)
            return check_checkpoint(note, anchor)
    raise Refused(Code.FOREIGN, "the checkpoint is of no log that the policy names")


def _check_age(age_s: int | None, max_age_s: int | None) -> None:
    if max_age_s is None:
        return
    if age_s is None:
        raise Refused(Code.STALE, "nobody dated this head: its age is not known")
    if age_s > max_age_s:
        raise Refused(Code.STALE, f"stale: the newest cosignature was made {_ago(age_s)}")
    if age_s < -AHEAD_S:
        raise Refused(Code.STALE, f"the newest cosignature is dated {-age_s} s ahead of this clock")


def _content(entry: bytes, facts: dict[str, Any]) -> str:
    """Say what an entry is; its signature is not looked at, since its key is not here."""
    try:
        envelope = cose.parse(entry)
    except MessageError:
        return f"{len(entry)} bytes, not one of our messages"
    facts |= {"content_type": envelope.content_type, "kid": envelope.kid.hex()}
    return f"content type {envelope.content_type}, signed by key {envelope.kid.hex()}"


def head_facts(head: Checkpoint) -> dict[str, Any]:
    """Return a head for other programs."""
    return {"origin": head.origin, "size": head.size, "root": head.root.hex()}


def head_told(head: Checkpoint) -> str:
    """Return a head for people."""
    return f"{head.origin} of {head.size} entries"


def _ago(age_s: int) -> str:
    return f"{age_s} s ago" if age_s < 7_200 else f"{age_s // 3_600} h ago"
