"""Proof of one telemetry sample: a file that shows what one meter measured at one instant.

Telemetry stays off the ledger; a seal entry at each close commits to it. So a sample is proven in
three steps: it stands in a pack that the meter signed; the pack stands under a seal; seal and
enrolment of the meter's key stand under a checkpoint that the log signed. Nobody else's packs, and
no other pack of the meter, are in the file.

Canonical JSON (`messages.jsontext`); bytes are base64.

    {"format": "gridtally-sample-1", "meter_id": text, "at_ms": number, "checkpoint": <signed note>,
     "hashes": [<base64>], "key_entry": <base64>, "key_index": number, "pack": <base64>,
     "position": number, "seal": <base64>, "seal_hashes": [<base64>], "seal_index": number}

`hashes` is one proof for both entries (`tree.check_many`); `seal_hashes` the RFC 6962 inclusion
proof of the pack at `position` of the seal's tree.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from messages import cose, schema
from messages.entries import KeyEntry, Seal, network_aad, parse_as
from messages.errors import BadProof, MalformedMessage
from messages.jsontext import format_json, parse_json
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import NoteKey, unbase64
from messages.log.tree import check_inclusion, check_many, leaf_hash
from messages.publickey import PublicKey, parse_cose_key
from messages.telemetry import Pack, parse_pack

FORMAT: Final = "gridtally-sample-1"


@dataclass(frozen=True, slots=True)
class SampleProof:
    """What the file says; bytes in base64. It need not hold good. [ms]"""

    meter_id: str
    at_ms: int
    pack: str
    position: int
    seal_hashes: tuple[str, ...]
    seal: str
    seal_index: int
    key_entry: str
    key_index: int
    hashes: tuple[str, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class ProvenSample:
    """What follows from a proof that holds: the values of one meter at one instant. [ms]"""

    meter_id: str
    member: str
    at_ms: int
    values: Mapping[str, int | None]
    head: Checkpoint


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """Bytes of an entry and their place on the ledger."""

    index: int
    raw: bytes


def make_sample(
    pack: Pack,
    raw: bytes,
    at_ms: int,
    place: tuple[int, Iterable[bytes]],
    entries: tuple[LoggedEntry, LoggedEntry],
    head: tuple[str, Iterable[bytes]],
) -> SampleProof:
    """Return the proof of the sample at an instant.

    Args:
        pack: what the pack says.
        raw: the pack as its meter signed it.
        at_ms: the instant. [ms UTC]
        place: position in the seal's tree, and the inclusion proof there.
        entries: the seal, and the enrolment of the meter's key.
        head: a checkpoint, and one proof for both entries under it.
    """
    seal, key = entries
    return SampleProof(
        meter_id=pack.meter_id,
        at_ms=at_ms,
        pack=_text(raw),
        position=place[0],
        seal_hashes=tuple(map(_text, place[1])),
        seal=_text(seal.raw),
        seal_index=seal.index,
        key_entry=_text(key.raw),
        key_index=key.index,
        hashes=tuple(map(_text, head[1])),
        checkpoint=head[0],
    )


def format_sample(proof: SampleProof) -> str:
    """Return the text of a file."""
    return format_json({"format": FORMAT, **schema.to_map(proof)})


def parse_sample(text: str) -> SampleProof:
    """Return what a file says.

    Raises:
        MalformedMessage: another format, or a field missing, unknown or of another type.
    """
    fields = parse_json(text)
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise MalformedMessage(f"no proof of a sample: its format is not {FORMAT}")
    return schema.from_map(SampleProof, fields)


def check_sample(
    proof: SampleProof,
    log_key: NoteKey,
    network: tuple[bytes, PublicKey] | None = None,
) -> ProvenSample:
    """Return the sample that a proof shows.

    Args:
        proof: what a file said.
        log_key: the log that is believed.
        network: network id and hub key, where they are known (trust.toml): the seal's signature is
            checked too.

    Raises:
        MalformedMessage, BadSignature, BadProof: what does not hold, in the text.
    """
    head = open_checkpoint(proof.checkpoint, log_key)
    seal_raw, key_raw, raw = map(unbase64, (proof.seal, proof.key_entry, proof.pack))
    if proof.seal_index == proof.key_index:
        raise BadProof("seal and enrolment cannot be one entry")
    leaves = {proof.seal_index: leaf_hash(seal_raw), proof.key_index: leaf_hash(key_raw)}
    check_many(leaves, head.size, [unbase64(line) for line in proof.hashes], head.root)
    seal = _seal(seal_raw, network)
    path = [unbase64(line) for line in proof.seal_hashes]
    check_inclusion(leaf_hash(raw), proof.position, seal.count, path, seal.root)
    enrolment = parse_as(KeyEntry, cose.parse(key_raw))
    envelope = cose.parse(raw)
    cose.verify(envelope, parse_cose_key(enrolment.key))
    pack = parse_pack(envelope)
    _check_said(proof, pack, enrolment)
    return ProvenSample(
        pack.meter_id, enrolment.member, proof.at_ms, values_at(pack, proof.at_ms), head
    )


def values_at(pack: Pack, at_ms: int) -> dict[str, int | None]:
    """Return what a pack says of an instant.

    Raises:
        BadProof: it holds no sample of it.
    """
    place, rest = divmod(at_ms - pack.t0_ms, pack.step_ms)
    if rest or not 0 <= place < len(pack.columns[0]):
        raise BadProof(f"the pack from {pack.t0_ms} to {pack.last_ms} has no sample at {at_ms}")
    return {name: column[place] for name, column in zip(pack.names, pack.columns, strict=True)}


def _seal(raw: bytes, network: tuple[bytes, PublicKey] | None) -> Seal:
    envelope = cose.parse(raw)
    if network is not None:
        network_id, hub_key = network
        cose.verify(envelope, hub_key, network_aad(network_id))
    return parse_as(Seal, envelope)


def _check_said(proof: SampleProof, pack: Pack, enrolment: KeyEntry) -> None:
    is_meters = enrolment.action in ("enrol", "rotate") and enrolment.holder == "meter"
    if not is_meters or enrolment.name != pack.meter_id:
        raise BadProof(f"the key entry is not the enrolment of meter {pack.meter_id}")
    if proof.meter_id != pack.meter_id:
        raise BadProof(f"the pack is of meter {pack.meter_id}, the proof says {proof.meter_id}")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
