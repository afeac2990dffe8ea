"""Where the fold for a statement begins: at genesis, or at a snapshot that is nearer.

A snapshot is believed only if a block header names its root (`hub.upkeep.snapshots`). What a
statement names besides and lies before it, registers, epochs and keys, is looked up. Where that is
not plain, the fold begins at genesis: slower, and right.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from hub.core.errors import SnapshotUnreadable
from hub.core.events import Event, read_event
from hub.core.state import State
from hub.ledger.log import Log
from hub.ledger.records import Entry
from hub.upkeep.snapshots import vouched_state
from messages.entries import Epoch, Genesis, KeyEntry
from messages.errors import BadKey, BadSignature
from messages.keyring import KeyRing
from messages.logkeeping import Quorum, Takeover
from messages.reading import STREAM, Reading

Place = tuple[str, int]

log_ = logging.getLogger("hub.statements")


@dataclass(slots=True)
class Beginning:
    """A state after `size` entries, and what a statement may name of the entries before.

    `registers`: (meter, instant) -> (index, epoch); `epochs`: (meter, epoch) -> index.
    """

    size: int = 0
    state: State = field(default_factory=State)
    registers: dict[Place, tuple[int, int]] = field(default_factory=dict)
    epochs: dict[Place, int] = field(default_factory=dict)
    key_entries: list[tuple[int, bytes, KeyEntry]] = field(default_factory=list)
    takeovers: list[int] = field(default_factory=list)


class NotPlain(Exception):
    """Something before a snapshot cannot be told without folding up to it."""


def beginning_for(log: Log, account: str, from_ms: int) -> Beginning:
    """Return where to begin for the slots of an account from a time on.

    At least one slot before that time is still folded, for the balance it leaves.
    """
    for snapshot in log.snapshots():
        try:
            state = vouched_state(log, snapshot)
            next_slot_ms = state.progress.next_slot_ms
            if next_slot_ms is None or next_slot_ms >= from_ms:
                continue
            return _looked_up(log, Beginning(snapshot.size, state), account)
        except (SnapshotUnreadable, NotPlain) as error:
            log_.warning("the snapshot after entry %d is not used: %s", snapshot.size, error)
    return Beginning()


def _looked_up(log: Log, found: Beginning, account: str) -> Beginning:
    for meter_id, _ in found.state.meters_of(account):
        _add_registers(log, found, meter_id)
    _add_epochs(log, found, account)
    _add_keys(log, found)
    return found


def _add_registers(log: Log, found: Beginning, meter_id: str) -> None:
    """Add the registers of a meter from the one on up to which it is settled."""
    cursor = found.state.cursors.get(meter_id)
    if cursor is None:
        return
    kids = [kid for kid, key in found.state.keys.items() if key.name == meter_id]
    for kid in kids:
        for entry in log.backwards(kid, STREAM, found.size):
            body = read_event(entry.index, entry.raw, entry.preimage).body
            if not isinstance(body, Reading) or body.at_ms < cursor.at_ms:
                break
            place = (meter_id, body.at_ms)
            if place in found.registers:
                raise NotPlain(f"two registers of {meter_id} are of one instant")
            found.registers[place] = (entry.index, body.epoch)


def _add_epochs(log: Log, found: Beginning, account: str) -> None:
    own = {meter_id for meter_id, _ in found.state.meters_of(account)}
    for event in _events(log.of_kind(Epoch.KIND), found.size):
        body = event.body
        if isinstance(body, Epoch) and body.meter_id in own:
            place = (body.meter_id, body.epoch)
            if place in found.epochs:
                raise NotPlain(f"two entries begin epoch {body.epoch} of {body.meter_id}")
            found.epochs[place] = event.index


def _add_keys(log: Log, found: Beginning) -> None:
    """Add the key entries and takeovers that had an effect, as any verifier reads them."""
    ring = KeyRing()
    rows = [row for kind in (KeyEntry, Quorum, Takeover) for row in log.of_kind(kind.KIND)]
    rows.sort(key=lambda row: row.index)
    for event in _events([log.entry(0), *rows], found.size):
        body = event.body
        if isinstance(body, Genesis):
            ring.found(body)
        elif isinstance(body, KeyEntry | Quorum | Takeover):
            try:
                signer = ring.signer(event.kid, body.KIND, "", 0)
            except (BadSignature, BadKey):
                continue  # it changed nothing
            if isinstance(body, KeyEntry):
                ring.change(event.index, signer, body)
                found.key_entries.append((event.index, event.kid, body))
                continue
            ring.keep_log(event.index, signer, body)
            if isinstance(body, Takeover):
                found.takeovers.append(event.index)


def _events(entries: list[Entry], size: int) -> Iterator[Event]:
    return (
        read_event(entry.index, entry.raw, entry.preimage)
        for entry in entries
        if entry.index < size
    )
