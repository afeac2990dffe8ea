"""Telemetry is kept as long as the configuration says: a few seals at once, beside the real work.

Only bodies go. Hashes, seals and the ledger stay, so what is left can still be proven, and what
went cannot be denied.
"""

from __future__ import annotations

import logging

from hub.ledger.packs import Packs

DAY_MS = 86_400_000
SEALS_AT_ONCE = 10
LOOK_EVERY_MS = 60_000

log = logging.getLogger("hub.upkeep.retention")


class Retention:
    """Owns when bodies of packs go. Nothing goes while `keep_days` is 0."""

    def __init__(self, packs: Packs, keep_days: int) -> None:
        self._packs = packs
        self._keep_ms = keep_days * DAY_MS
        self._next_look_ms = 0

    def turn(self, now_ms: int, utc_ms: int) -> None:
        """Take what is due, at most a few seals; look again at once while there is more.

        Args:
            now_ms: the hub's monotonic clock.
            utc_ms: the microgrid's clock.

        Raises:
            StorageFull: try later.
        """
        if not self._keep_ms or now_ms < self._next_look_ms:
            return
        taken = self._packs.forget_before(utc_ms - self._keep_ms, SEALS_AT_ONCE)
        if taken:
            log.info("retention took the bodies of %d telemetry packs", taken)
        else:
            self._next_look_ms = now_ms + LOOK_EVERY_MS
