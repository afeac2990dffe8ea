"""Room on the disk: when there is none, take nothing, say so, and go on by itself when there is."""

from __future__ import annotations

import logging

from hub.errors import StorageFull
from hub.ledger.store import Store

LOOK_EVERY_MS = 1_000

log = logging.getLogger("hub.vitals.room")


class Room:
    """Owns whether the hub takes anything in. Edges keep what it does not take."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_ms = 0
        self._complaint = ""

    @property
    def complaint(self) -> str:
        """Why nothing is taken in, empty while there is room."""
        return self._complaint

    def note_full(self, error: StorageFull, now_ms: int) -> None:
        """A write found the disk full: give back the ballast, so that the database works again."""
        if not self._complaint:
            log.error("%s", error)
        self._complaint = str(error)
        self._looked_ms = now_ms
        self._store.make_room()

    def look(self, now_ms: int) -> bool:
        """Whether there is room; looks at the disk once a second."""
        if now_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = now_ms
            self._look()
        return not self._complaint

    def _look(self) -> None:
        ballast = self._store.ballast
        if ballast is None:
            self._complaint = ""  # a server's disk: the next write tells
        elif ballast.is_low():
            if not self._complaint:
                self._complaint = (
                    "the disk is nearly full, so no readings are taken: free some space; the "
                    "edges keep theirs and send them again"
                )
                log.error("%s", self._complaint)
        elif self._complaint and ballast.keep():
            log.info("there is room on the disk again: readings are taken")
            self._complaint = ""
