"""Compares what others show of this log with its ledger: an old copy or a fork must not sign on."""

from __future__ import annotations

from hub.errors import LedgerBehind
from hub.evidence import EvidenceFolder, complete
from hub.ledger.store import Store
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import NoteKey


class Comparison:
    """Owns the verdict on a shown head, and keeps what convinces others."""

    def __init__(self, store: Store, log_key: NoteKey, evidence: EvidenceFolder) -> None:
        self._store = store
        self._log_key = log_key
        self._evidence = evidence

    def check(self, note: str, source: str) -> Checkpoint:
        """Return a shown head that the ledger continues. `source`: such as "node dep1 shows".

        Raises:
            LedgerBehind: the ledger is shorter, or another one; it refuses to sign from now on.
            MessageError: the log did not sign it.
        """
        shown = open_checkpoint(note, self._log_key)
        try:
            self._store.check_seen(shown.size, shown.root, source)
        except LedgerBehind as error:
            heads = complete(note, self._log_key, self._store)
            path = None if heads is None else self._evidence.keep(shown.origin, heads)
            if path is None:
                raise
            raise LedgerBehind(f"{error} Evidence for others: {path}") from error
        return shown
