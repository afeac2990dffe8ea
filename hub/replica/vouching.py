"""A witness that cosigns only what it got and checked itself.

The wire is tlog-witness's. A head that continues what was cosigned last, but is not checked yet, is
waited for a moment and then answered 503, with Retry-After; one that is wrong is answered 422.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hub.cosigning.evidence import EvidenceFolder
from hub.replica.following import Following, Objection
from hub.replica.home import Home
from hub.witness.judge import Verdict, judge, read_request
from hub.witness.service import Answer, Witness
from messages.log.note import NoteKey

VOUCH_WITHIN_S: Final = 3.0  # less than the hub waits for an answer


class VouchingWitness(Witness):
    """Owns the way from a submission to a cosignature that says: I hold all of it, and it is right.

    Comparing and storing stay the witness's own: durable before it answers.
    """

    def __init__(
        self,
        home: Home,
        log_key: NoteKey,
        evidence: EvidenceFolder,
        following: Following,
        utc_s: Callable[[], int],
        within_s: float = VOUCH_WITHIN_S,
    ) -> None:
        super().__init__(home.key, home.signer, (log_key,), home.memory, evidence, utc_s)
        self._home = home
        self._log_key = log_key
        self._following = following
        self._within_s = within_s

    def add(self, body: bytes) -> Answer:
        """Answer a submission (the body of add-checkpoint).

        Raises:
            StorageFull, sqlite3.Error: nothing was stored, so nothing may be answered.
        """
        objection = self._objection(body)
        if objection is not None:
            return Answer(objection.status, f"{objection.reason}\n")
        return super().add(body)

    def _objection(self, body: bytes) -> Objection | None:
        """Say why a submission that a witness would take is not taken here; None: it may be."""
        request = read_request(body, self.logs)
        if isinstance(request, Verdict):
            return None  # a witness refuses it, too, and says why
        held = self._home.memory.held(self._log_key.name)
        if judge(request, held).status != 200:
            return None
        head = request.checkpoint
        if head.size == 0:
            return None
        return self._following.vouch(request.note, head.size, head.root, self._within_s)

    @property
    def cosigned(self) -> int:
        """How many entries the head that was cosigned last has."""
        held = self._home.memory.held(self._log_key.name)
        return 0 if held is None else held.size
