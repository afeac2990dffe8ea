"""Which rows to send now: oldest first, a bounded number under way, again if no receipt comes.

That a row was sent is only known in memory: after a restart, or on a new connection, everything the
hub has not said to have stored is sent again. A broker's acknowledgement counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.outbox import Outbox
from edge.outbox_records import Row

WINDOW_ROWS: Final = 512
RESEND_MS: Final = 5_000
RESEND_MS_MAX: Final = 20_000


@dataclass(slots=True)
class _Sent:
    """A row under way: when it was sent last, and how often."""

    kid: bytes
    stream: str
    sequence: int
    at_ms: int
    times: int = 1

    def is_overdue(self, now_ms: int) -> bool:
        return now_ms - self.at_ms >= min(RESEND_MS << self.times - 1, RESEND_MS_MAX)


class Drain:
    """Owns what is under way between the outbox and the hub."""

    def __init__(self, outbox: Outbox, window_rows: int = WINDOW_ROWS) -> None:
        self._outbox = outbox
        self._window_rows = window_rows
        self._sent: dict[int, _Sent] = {}
        self._newest_id = 0

    def begin_again(self) -> None:
        """Send everything anew: the connection, or the hub behind it, is another."""
        self._sent.clear()
        self._newest_id = 0

    def due(self, now_ms: int) -> list[Row]:
        """Return the rows to send now; they count as sent. `now_ms`: a clock that only rises."""
        self._forget_stored()
        again = self._outbox.rows_by_id(
            row_id for row_id, sent in self._sent.items() if sent.is_overdue(now_ms)
        )
        for row in again:
            sent = self._sent[row.id]
            sent.at_ms, sent.times = now_ms, sent.times + 1
        fresh = self._outbox.rows_after(self._newest_id, self._window_rows - len(self._sent))
        for row in fresh:
            self._sent[row.id] = _Sent(row.kid, row.stream, row.sequence, now_ms)
            self._newest_id = row.id
        return again + fresh

    def _forget_stored(self) -> None:
        heads = self._outbox.heads()
        self._sent = {
            row_id: sent
            for row_id, sent in self._sent.items()
            if sent.sequence > heads[sent.kid, sent.stream].stored_up_to
        }
