"""One sample can be proven from a file; a changed file proves nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.errors import NoSuchEntry
from hub.ledger.samples import prove_sample
from messages.entries import Seal, sign_entry
from messages.errors import BadProof, BadSignature, MalformedMessage, MessageError
from messages.log.note import parse_vkey
from messages.sample import SampleProof, check_sample, format_sample, parse_sample
from tests.support.signers import ed25519
from tests.support.small_ledger import START_MS, SmallHub

AT_MS = START_MS + 4 * 10_000 + 1_000  # the second sample of pack 4


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    made = SmallHub(tmp_path)
    made.fill()
    yield made
    made.store.close()


def check(hub: SmallHub, proof: SampleProof) -> object:
    network = (hub.trust.network_id, hub.trust.hub_key)
    return check_sample(proof, parse_vkey(hub.trust.log_vkey), network)


def test_a_sample_is_proven_by_its_file_alone(hub: SmallHub) -> None:
    text = format_sample(prove_sample(hub.store, "m1", AT_MS))
    proven = check_sample(parse_sample(text), parse_vkey(hub.trust.log_vkey))
    assert (proven.meter_id, proven.member, proven.at_ms) == ("m1", "alice", AT_MS)
    assert dict(proven.values) == {"power_mw": 2_000}
    assert proven.head.size == hub.store.size


def test_what_was_not_measured_is_proven_as_that(hub: SmallHub) -> None:
    proof = prove_sample(hub.store, "m1", AT_MS + 1_000)
    assert dict(check_sample(proof, parse_vkey(hub.trust.log_vkey)).values) == {"power_mw": None}


def test_every_flipped_bit_of_the_evidence_is_found(hub: SmallHub) -> None:
    proof = prove_sample(hub.store, "m1", AT_MS)
    for field in ("pack", "seal", "key_entry"):
        raw = base64.b64decode(getattr(proof, field))
        for place in range(len(raw)):
            flipped = raw[:place] + bytes((raw[place] ^ 1 << place % 8,)) + raw[place + 1 :]
            changed = {field: base64.b64encode(flipped).decode()}
            with pytest.raises(MessageError):
                check(hub, replace(proof, **changed))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at_ms": AT_MS + 1}, "no sample at"),
        ({"at_ms": AT_MS + 2_000}, "no sample at"),
        ({"meter_id": "m2"}, "the pack is of meter m1"),
        ({"position": 0}, "root"),
        ({"seal_hashes": ()}, "proof|root|leaf"),
        ({"hashes": ()}, "proof"),
        ({"seal_index": 1}, "proof|root"),
    ],
)
def test_a_file_that_says_otherwise_is_refused(
    hub: SmallHub, changes: dict[str, object], words: str
) -> None:
    proof = replace(prove_sample(hub.store, "m1", AT_MS), **changes)  # type: ignore[arg-type]
    with pytest.raises(BadProof, match=words):
        check(hub, proof)


def test_a_meter_cannot_be_proven_by_another_entry_than_its_enrolment(hub: SmallHub) -> None:
    proof = prove_sample(hub.store, "m1", AT_MS)
    newest = hub.store.newest_checkpoint()
    assert newest is not None
    node = hub.store.entry(proof.key_index - 1)
    hashes = hub.store.prove_many((node.index, proof.seal_index), newest.size)
    swapped = replace(
        proof,
        key_entry=base64.b64encode(node.raw).decode(),
        key_index=node.index,
        hashes=tuple(base64.b64encode(each).decode() for each in hashes),
    )
    with pytest.raises(BadSignature):
        check(hub, swapped)


def test_a_seal_that_the_hub_did_not_sign_is_refused(hub: SmallHub) -> None:
    hub.store.append([], [hub.pack()])
    (pending,) = hub.store.packs.pending()
    raw = sign_entry(hub.meter, Seal(0, 1, pending.leaf_hash), hub.trust.network_id)
    entry = hub.entry(hub.meter, raw, "seal")
    hub.store.append([entry], sealed=[(pending.kid, pending.sequence)])
    hub.checkpoint()
    proof = prove_sample(hub.store, "m1", START_MS + pending.sequence * 10_000)
    with pytest.raises(BadSignature):
        check(hub, proof)


def test_what_cannot_be_proven_is_said(hub: SmallHub) -> None:
    with pytest.raises(NoSuchEntry, match="no meter m9"):
        prove_sample(hub.store, "m9", AT_MS)
    with pytest.raises(NoSuchEntry, match="no telemetry of m1 at 1 "):
        prove_sample(hub.store, "m1", 1)
    with pytest.raises(NoSuchEntry, match="no telemetry of m1"):
        prove_sample(hub.store, "m1", AT_MS + 10**9)
    with pytest.raises(BadProof, match="no sample at"):
        prove_sample(hub.store, "m1", AT_MS + 1)
    pack = hub.pack()
    hub.store.append([], [pack])
    with pytest.raises(NoSuchEntry, match="no checkpoint covers its seal"):
        prove_sample(hub.store, "m1", pack.at_ms)


def test_a_file_of_another_form_is_refused(hub: SmallHub) -> None:
    text = format_sample(prove_sample(hub.store, "m1", AT_MS))
    fields = json.loads(text)
    for wrong in (text + " ", json.dumps(fields), text.replace("sample-1", "sample-2")):
        with pytest.raises(MalformedMessage):
            parse_sample(wrong)


def test_another_log_s_file_is_refused(hub: SmallHub, tmp_path: Path) -> None:
    proof = prove_sample(hub.store, "m1", AT_MS)
    stranger = ed25519("stranger")
    network = (hub.trust.network_id, stranger.public)
    with pytest.raises(BadSignature):
        check_sample(proof, parse_vkey(hub.trust.log_vkey), network)
