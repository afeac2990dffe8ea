"""One telemetry sample: did this meter say so, and is its pack under a seal on the ledger?"""

from __future__ import annotations

from datetime import UTC, datetime

from member.heads import Anchor, Verdict, finality, head_facts, head_told, open_head
from messages.sample import check_sample, parse_sample


def check_sample_file(text: str, anchor: Anchor) -> Verdict:
    """Check a file of `gridtally-hub prove --sample`.

    Raises:
        Refused, MessageError: what does not hold.
    """
    proof = parse_sample(text)
    open_head(proof.checkpoint, anchor)
    words, facts = finality(proof.checkpoint, anchor)
    network = (anchor.trust.network_id, anchor.trust.hub_key) if anchor.trust else None
    found = check_sample(proof, anchor.log_key, network)
    facts |= head_facts(found.head) | {
        "meter": found.meter_id,
        "member": found.member,
        "at_ms": found.at_ms,
        "values": dict(found.values),
    }
    moment = datetime.fromtimestamp(found.at_ms // 1000, UTC)
    at = f"{moment:%Y-%m-%dT%H:%M:%S}.{found.at_ms % 1000:03d}Z"
    values = ", ".join(
        f"{name} {'not measured' if value is None else value}"
        for name, value in found.values.items()
    )
    return Verdict(
        f"meter {found.meter_id} at {at}: {values}; sealed in {head_told(found.head)}; {words}",
        facts,
    )
