"""Seals: one entry commits to every telemetry pack that is stored and that no seal covers yet.

They are made with each close, and before a key ends: a verifier knows the place of a seal and not
the moment at which a pack came in, so a pack of a key that ended must have been sealed before.
"""

from __future__ import annotations

from hub.core.state import State
from hub.ledger.records import PendingPack
from messages.entries import Seal
from messages.log import tree


def seal_of(start_ms: int, packs: list[PendingPack]) -> Seal:
    """Return the seal over packs, which are in (kid, sequence) order already."""
    return Seal(start_ms, len(packs), tree.root([pack.leaf_hash for pack in packs]))


def open_slot_ms(state: State) -> int:
    """Return the start of the slot that a seal between two closes falls into; 0 before any."""
    return state.progress.next_slot_ms or 0
