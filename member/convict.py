"""Does evidence hold? It convicts by signatures alone; who brings it need not be believed."""

from __future__ import annotations

from member.errors import Code, Refused
from member.heads import Anchor, Verdict
from messages.errors import BadKey, BadProof, BadSignature, MalformedMessage
from messages.evidence import Contents, Heads, check_contents, check_heads, parse_evidence
from messages.publickey import PublicKey, parse_cose_key


def check_evidence(text: str, anchor: Anchor) -> Verdict:
    """Check an evidence file; valid means: somebody signed what cannot both be true.

    Raises:
        Refused: it convicts nobody.
        MessageError: it is malformed, or a signature does not verify.
    """
    evidence = parse_evidence(text)
    try:
        if isinstance(evidence, Heads):
            return _heads(evidence, anchor)
        return _contents(evidence, anchor)
    except BadProof as error:
        raise Refused(Code.EVIDENCE, f"this convicts nobody: {error}") from None


def _heads(evidence: Heads, anchor: Anchor) -> Verdict:
    witnesses = tuple(anchor.policy.witnesses.values()) if anchor.policy else ()
    first, second = check_heads(evidence, anchor.log_key, witnesses)
    facts = {
        "origin": first.origin,
        "sizes": [first.size, second.size],
        "roots": [first.root.hex(), second.root.hex()],
    }
    if first.size == second.size:
        told = f"two trees of {first.size} entries"
    else:
        told = f"a tree of {second.size} entries that does not continue its own of {first.size}"
    return Verdict(f"the log {first.origin} signed {told}", facts)


def _contents(evidence: Contents, anchor: Anchor) -> Verdict:
    try:
        key = parse_cose_key(bytes.fromhex(evidence.key))
    except (BadKey, ValueError) as error:
        raise MalformedMessage(f"the key in the evidence: {error}") from None
    network_id = anchor.trust.network_id if anchor.trust else b""
    try:
        place = check_contents(evidence, key, network_id)
    except BadSignature as error:
        hint = "" if anchor.trust else "; all but a meter's needs the network: give --trust"
        raise BadSignature(f"{error}{hint}") from None
    facts = {"key": evidence.key, "fingerprint": key.fingerprint, "place": place}
    return Verdict(f"{_whose(key, anchor)} signed two contents for {place}", facts)


def _whose(key: PublicKey, anchor: Anchor) -> str:
    is_hub = anchor.trust is not None and anchor.trust.hub_key == key
    return f"{'the hub' if is_hub else 'the key'} {key.fingerprint}"
