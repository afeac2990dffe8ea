"""Which checkpoint is final: the newest that carries the cosignatures the policy asks for.

Nodes delete only what is under a final checkpoint. Where nobody has to agree, whatever the log
signs is final, and every page says "unwitnessed".
"""

from __future__ import annotations

from hub.ledger.records import Checkpoint, Cosigned
from hub.ledger.store import Store
from messages.log.policy import NONE, LogPolicy


class Finality:
    """Owns the newest final checkpoint of a ledger; `policy` None: nobody has to agree."""

    def __init__(self, store: Store, policy: LogPolicy | None = None) -> None:
        """Take up where the stored cosignatures lead; LedgerCorrupt if one does not verify."""
        self.policy = policy or LogPolicy((), {}, {}, NONE)
        self._cosignatures = store.cosignatures
        self.newest: Checkpoint | None = self._cosignatures.final(self.policy)

    @property
    def is_witnessed(self) -> bool:
        """Whether anybody but the log has to agree."""
        return self.policy.witnessed

    @property
    def size(self) -> int:
        """How many entries are final by a quorum; 0 where there is none."""
        return 0 if self.newest is None else self.newest.size

    def take(self, found: Cosigned) -> bool:
        """Keep a verified cosignature durably; return whether more became final by it."""
        self._cosignatures.keep(found, self.size)
        if not self.is_witnessed or found.size <= self.size:
            return False
        lines = [each.line for each in self._cosignatures.all() if each.size == found.size]
        final = self._cosignatures.cosigned(found.size, lines, self.policy)
        if final is None:
            return False
        self.newest = final
        return True
