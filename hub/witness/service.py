"""What a witness does with a request: judge, store durably, and only then answer.

The cosignature is made before the commit and leaves this process after it: a kill in between loses
an answer, never a memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hub.cosigning.evidence import EvidenceFolder
from hub.witness.judge import Held, Request, Verdict, judge, read_request
from hub.witness.memory import Memory
from messages.evidence import Heads
from messages.log.cosignature import TIME_MAX, cosign
from messages.log.note import NoteKey
from messages.log.submission import SIZE_TYPE, format_size, origin_hash
from messages.publickey import Signer

TEXT = "text/plain; charset=utf-8"

log = logging.getLogger("hub.witness")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, body, media type."""

    status: int
    body: str
    kind: str = TEXT


class Witness:
    """Owns the way from a request to its answer. Any thread may ask."""

    def __init__(
        self,
        key: NoteKey,
        signer: Signer,
        logs: tuple[NoteKey, ...],
        memory: Memory,
        evidence: EvidenceFolder,
        utc_s: Callable[[], int],
    ) -> None:
        self.key = key
        self.logs = logs
        self._signer = signer
        self._memory = memory
        self._evidence = evidence
        self._utc_s = utc_s
        self._origins = {origin_hash(each.name): each.name for each in logs}

    def add(self, body: bytes) -> Answer:
        """Answer a submission (the body of add-checkpoint).

        Raises:
            StorageFull, sqlite3.Error: nothing was stored, so nothing may be answered.
        """
        request = read_request(body, self.logs)
        if isinstance(request, Verdict):
            return Answer(request.status, f"{request.reason}\n")
        with self._memory.deciding(request.checkpoint.origin) as decision:
            held = decision.held
            verdict = judge(request, held)
            line = ""
            if verdict.status == 200:
                decision.new, line = self._cosigned(request, held)
        if line:
            return Answer(200, line)
        return self._refused(request, held, verdict)

    def newest(self, hashed_origin: str) -> Answer:
        """Return the checkpoint cosigned last for the log whose origin has this SHA-256."""
        origin = self._origins.get(hashed_origin)
        held = None if origin is None else self._memory.held(origin)
        if held is None:
            return Answer(404, "this witness has cosigned no checkpoint of such a log\n")
        return Answer(200, held.note)

    def _cosigned(self, request: Request, held: Held | None) -> tuple[Held, str]:
        """Return what to hold from now on, and our line. Never a time before the last one."""
        time_s = max(self._utc_s(), 1, 0 if held is None else held.time_s)
        line = cosign(request.text, min(time_s, TIME_MAX), self.key.name, self._signer)
        head = request.checkpoint
        return Held(head.size, head.root, time_s, request.note + line), line

    def _refused(self, request: Request, held: Held | None, verdict: Verdict) -> Answer:
        head = request.checkpoint
        if verdict.contradicts and held is not None:
            log.critical(
                "%s: %s; it asked for %d entries after %d",
                head.origin,
                verdict.reason,
                head.size,
                held.size,
            )
            heads = Heads(held.note, request.note)
            self._evidence.keep(head.origin, heads, proven=head.size == held.size)
        if verdict.status == 409:
            return Answer(409, format_size(0 if held is None else held.size), SIZE_TYPE)
        return Answer(verdict.status, f"{verdict.reason}\n")
