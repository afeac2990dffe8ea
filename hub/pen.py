"""What the hub signs: its own entries, its messages to nodes, the checkpoints.

Two keys, two meanings: the log's signs checkpoints and nothing else, the hub's signs the rest,
bound to the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.ledger.records import NewEntry
from messages.entries import sign_entry
from messages.log.tree import leaf_hash
from messages.publickey import Signer


@dataclass(frozen=True, slots=True)
class Pen:
    """The two signers and the names that stand in what they sign."""

    network_id: bytes
    origin: str
    hub: Signer
    log: Signer

    def message(self, body: Any) -> bytes:
        """Return a message to a node, signed by the hub."""
        return sign_entry(self.hub, body, self.network_id)

    def entry(self, body: Any, skips: tuple[bytes, str, int, int] | None = None) -> NewEntry:
        """Return an entry of the hub's own; `skips` only for a gap: (kid, stream, first, last)."""
        raw = self.message(body)
        return NewEntry(raw, leaf_hash(raw), self.hub.public.kid, body.KIND, skips=skips)
