"""What a receipt proves about the rows of this outbox. Pure: bytes and keys in, proven places out.

Nothing may be deleted on the hub's word alone. The leaf hashes are computed from the bytes that the
outbox kept itself; one proof must lead from all of them to the root of a checkpoint that the log
signed and the policy's witnesses cosigned; packs stand under a seal, and the seal under that root.
A checkpoint that does not continue the newest one held means that the hub lost or changed history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from edge.errors import HubBehind
from messages import cose
from messages.entries import Seal, network_aad, parse_as
from messages.errors import BadProof, MessageError
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.cosignature import open_cosignatures
from messages.log.note import NoteKey, parse_vkey
from messages.log.policy import LogPolicy, parse_policy
from messages.log.tree import check_many, leaf_hash
from messages.logkeeping import Takeover
from messages.publickey import PublicKey
from messages.receipt import Receipt, SealReceipt
from messages.trust import Trust

TELEMETRY = "telemetry"
Key = TypeVar("Key")
Item = TypeVar("Item")
Place = tuple[bytes, str, int]
"""(kid, stream, sequence)"""


@dataclass(frozen=True, slots=True)
class LogTrust:
    """Who may say what is final: the hub's key, the log's, and the quorum policy."""

    hub_key: PublicKey
    log_key: NoteKey
    policy: LogPolicy
    aad: bytes
    takeovers: tuple[Takeover, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """The newest checkpoint that a node holds, as its trust has it now.

    `newest` is what the hub has to continue; None: nothing, since it is of a log that ended and
    gave entries up (`has_ended`), or since there is none.
    """

    newest: Checkpoint | None
    has_ended: bool = False


@dataclass(frozen=True, slots=True)
class Proven:
    """What a receipt says and proves.

    Attributes:
        checkpoint: the tree head it stands on, and `note` its text; None and "" if nothing is
            final yet, so that it stands on none.
        stored: (kid, stream) -> highest sequence the hub has on disk.
        final: (kid, stream) -> highest sequence it calls final.
        places: what the proof covers; only these may be deleted.
        gone: it proves rows that are no longer held, so that nothing of it could be checked.
    """

    checkpoint: Checkpoint | None
    note: str
    stored: Mapping[tuple[bytes, str], int]
    final: Mapping[tuple[bytes, str], int]
    places: frozenset[Place]
    gone: bool = False


def log_trust(trust: Trust) -> LogTrust:
    """Return the parsed keys and policy of a trust file.

    Raises:
        MessageError: one of them has another form.
    """
    return LogTrust(
        trust.hub_key,
        parse_vkey(trust.log_vkey),
        parse_policy(trust.policy),
        network_aad(trust.network_id),
        trust.takeovers,
    )


def open_held(note: str, trust: LogTrust) -> Held:
    """Return the checkpoint that a node kept; one of a key that ended is known by the takeovers.

    Raises:
        MessageError: neither the log's key nor one that it took over signed it.
    """
    if not note:
        return Held(None)
    try:
        return Held(open_checkpoint(note, trust.log_key))
    except MessageError as error:
        for place, takeover in enumerate(trust.takeovers):
            try:
                head = open_checkpoint(note, parse_vkey(takeover.old))
            except MessageError:
                continue
            if all(each.keeps_name for each in trust.takeovers[place:]):
                return Held(head)
            return Held(None, has_ended=True)
        raise error


def open_continuing(note: str, trust: LogTrust, newest: Checkpoint | None) -> Checkpoint:
    """Return the checkpoint of a note that continues the newest one held.

    Raises:
        HubBehind: it is shorter, or another tree of the same size.
        MessageError: the note is not the log's.
    """
    checkpoint = open_checkpoint(note, trust.log_key)
    if newest is None:
        return checkpoint
    if checkpoint.size < newest.size:
        raise HubBehind(
            f"the hub shows a ledger of {checkpoint.size} entries, it had {newest.size}: "
            "an old copy was restored, or its end was cut off",
            note,
        )
    if checkpoint.size == newest.size and checkpoint.root != newest.root:
        raise HubBehind(
            f"the hub shows two different ledgers of {newest.size} entries: both checkpoints "
            "are signed by its log, which is proof",
            note,
        )
    return checkpoint


def check_receipt(
    receipt: Receipt,
    trust: LogTrust,
    newest: Checkpoint | None,
    leaf_of: Callable[[bytes, str, int], bytes | None],
) -> Proven:
    """Return what a receipt of the hub proves. Its signature was checked before.

    Args:
        receipt: as it came.
        trust: keys and policy.
        newest: the newest checkpoint held.
        leaf_of: the leaf hash of a held row, None if it is not held.

    Raises:
        HubBehind: its checkpoint does not continue the newest one.
        MessageError: a proof or a signature does not hold.
    """
    stored = _highest(receipt, "stored_up_to")
    if not receipt.checkpoint:
        return Proven(None, "", stored, {}, frozenset())
    checkpoint = open_continuing(receipt.checkpoint, trust, newest)
    if not _is_cosigned(receipt.checkpoint, trust):
        return Proven(checkpoint, receipt.checkpoint, stored, {}, frozenset())
    entries = _once(
        ((line.kid, line.stream, line.from_sequence + offset), index)
        for line in receipt.streams
        for offset, index in enumerate(line.indices)
    )
    leaves = {place: leaf_of(*place) for place in (*entries, *_packs(receipt))}
    held = {place: leaf for place, leaf in leaves.items() if leaf is not None}
    if len(held) < len(leaves):
        return Proven(checkpoint, receipt.checkpoint, stored, {}, frozenset(), gone=True)
    proven = [(index, held[place]) for place, index in entries.items()]
    wanted = _once([*proven, *((seal.index, leaf_hash(seal.raw)) for seal in receipt.seals)])
    if wanted:
        check_many(wanted, checkpoint.size, receipt.hashes, checkpoint.root)
    for seal in receipt.seals:
        _check_seal(seal, trust, held)
    final = _highest(receipt, "final_up_to")
    return Proven(checkpoint, receipt.checkpoint, stored, final, frozenset(held))


def _highest(receipt: Receipt, mark: str) -> dict[tuple[bytes, str], int]:
    """Return the highest value of a mark over the lines of each stream."""
    found: dict[tuple[bytes, str], int] = {}
    for line in receipt.streams:
        key = (line.kid, line.stream)
        found[key] = max(found.get(key, 0), getattr(line, mark))
    return found


def _once(pairs: Iterable[tuple[Key, Item]]) -> dict[Key, Item]:
    """Return pairs as a dict; a key that stands twice would leave one of its items unproven."""
    listed = list(pairs)
    found = dict(listed)
    if len(found) < len(listed):
        raise BadProof("the receipt names one place twice")
    return found


def _packs(receipt: Receipt) -> list[Place]:
    return [(pack.kid, TELEMETRY, pack.sequence) for seal in receipt.seals for pack in seal.packs]


def _check_seal(receipt: SealReceipt, trust: LogTrust, held: Mapping[Place, bytes]) -> None:
    """Check that packs stand under a seal of the hub; that it is on the ledger was checked."""
    envelope = cose.parse(receipt.raw)
    cose.verify(envelope, trust.hub_key, trust.aad)
    seal = parse_as(Seal, envelope)
    wanted = _once(
        (pack.position, held[pack.kid, TELEMETRY, pack.sequence]) for pack in receipt.packs
    )
    check_many(wanted, seal.count, receipt.hashes, seal.root)


def _is_cosigned(note: str, trust: LogTrust) -> bool:
    witnesses = tuple(trust.policy.witnesses.values())
    signers = frozenset(each.key for each in open_cosignatures(note, witnesses))
    return trust.policy.is_met(signers)
