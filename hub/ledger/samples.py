"""Proof of one telemetry sample, from the packs that are stored beside the log."""

from __future__ import annotations

from hub.errors import NoSuchEntry
from hub.ledger.log import Log
from hub.ledger.records import Pack
from messages import cose
from messages.entries import KeyEntry, Seal, parse_as
from messages.log import tree
from messages.publickey import parse_cose_key
from messages.sample import LoggedEntry, SampleProof, make_sample, values_at
from messages.telemetry import parse_pack

BEGINS = ("enrol", "rotate")


def prove_sample(log: Log, meter_id: str, at_ms: int) -> SampleProof:
    """Return the proof of what a meter measured at an instant, under the newest checkpoint.

    Raises:
        NoSuchEntry: nothing was measured then, it is not sealed yet, or retention took it.
        BadProof: the pack around that instant has no sample at it.
    """
    newest = log.newest_checkpoint()
    pack, key = _find(log, meter_id, at_ms)
    if pack.seal_index is None or newest is None or pack.seal_index >= newest.size:
        raise NoSuchEntry(
            f"the sample of {meter_id} at {at_ms} is stored, and no checkpoint covers its seal "
            "yet: ask again after its slot has closed"
        )
    body = parse_pack(cose.parse(pack.raw))
    values_at(body, at_ms)
    seal = LoggedEntry(pack.seal_index, log.entry(pack.seal_index).raw)
    both = (seal.index, key.index)
    return make_sample(
        body,
        pack.raw,
        at_ms,
        _place(log, pack, parse_as(Seal, cose.parse(seal.raw)).count),
        (seal, key),
        (newest.note, log.prove_many(both, newest.size)),
    )


def _find(log: Log, meter_id: str, at_ms: int) -> tuple[Pack, LoggedEntry]:
    """Return the pack around an instant, and the entry that enrolled the key that signed it."""
    keys = _keys(log, meter_id)
    if not keys:
        raise NoSuchEntry(f"no meter {meter_id} is enrolled")
    for kid, key in keys.items():
        pack = log.packs.around(kid, at_ms)
        if pack is None:
            continue
        if not pack.raw:
            raise NoSuchEntry(
                f"retention took the sample of {meter_id} at {at_ms}: of its pack, telemetry "
                f"{pack.sequence}, the hash is left, under the seal at entry {pack.seal_index}"
            )
        if parse_pack(cose.parse(pack.raw)).t0_ms <= at_ms:
            return pack, key
    raise NoSuchEntry(f"no telemetry of {meter_id} at {at_ms} is stored")


def _keys(log: Log, meter_id: str) -> dict[bytes, LoggedEntry]:
    found = {}
    for entry in log.of_kind(KeyEntry.KIND):
        body = parse_as(KeyEntry, cose.parse(entry.raw))
        if (body.holder, body.name) == ("meter", meter_id) and body.action in BEGINS:
            found[parse_cose_key(body.key).kid] = LoggedEntry(entry.index, entry.raw)
    return found


def _place(log: Log, pack: Pack, count: int) -> tuple[int, list[bytes]]:
    """Return the pack's position in its seal, and the proof that it stands there."""
    packs = log.packs.of_seal(pack.seal_index or 0)
    position = [(each.kid, each.sequence) for each in packs].index((pack.kid, pack.sequence))
    leaves = [each.leaf_hash for each in packs]
    return position, tree.prove_inclusion(position, count, tree.subtree_of(leaves))
