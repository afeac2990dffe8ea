"""Compares what others show of this log with its ledger: an old copy or a fork must not sign on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.cosigning.evidence import EvidenceFolder, complete
from hub.errors import LedgerBehind
from hub.ledger.store import Store
from messages.errors import MessageError
from messages.log.checkpoint import Checkpoint, open_checkpoint
from messages.log.note import NoteKey, parse_vkey
from messages.logkeeping import Takeover


@dataclass(frozen=True, slots=True)
class Retired:
    """What somebody holds of a log key that ended, in words; `is_odd`: a person should look."""

    sentence: str
    is_odd: bool


class Comparison:
    """Owns the verdict on a shown head, and keeps what convinces others."""

    def __init__(
        self,
        store: Store,
        log_key: NoteKey,
        evidence: EvidenceFolder,
        takeovers: Sequence[Takeover] = (),
    ) -> None:
        """`takeovers`: which log keys ended, and where."""
        self._takeovers = tuple(takeovers)
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

    def retired(self, note: str, source: str) -> Retired | None:
        """Return what a head means that a log key signed which ended; None: none of ours did."""
        for takeover in reversed(self._takeovers):
            try:
                head = open_checkpoint(note, parse_vkey(takeover.old))
            except MessageError:
                continue
            return self._judged(head, takeover, source)
        return None

    def _judged(self, head: Checkpoint, takeover: Takeover, source: str) -> Retired:
        what = f"{source} {head.size} entries of the log whose key ended at entry {takeover.size}"
        if head.size > takeover.signed_up_to:
            return Retired(
                f"{what}; it was known to have signed {takeover.signed_up_to}: more is given up "
                "than was known, or the old key still signs",
                is_odd=takeover.keeps_name,
            )
        if head.size <= takeover.size and self._store.root(head.size) != head.root:
            return Retired(f"{what}, and they are others than are here", is_odd=True)
        lost = max(0, head.size - takeover.size)
        return Retired(f"{what}; {lost} of them were given up", is_odd=False)
