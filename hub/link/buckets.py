"""Token buckets: how often something may happen for each of many keys. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

KEYS_MAX = 10_000


class Buckets:
    """Each key may take `burst` at once, and one more every `every_ms` after that."""

    def __init__(self, burst: int, every_ms: int) -> None:
        self._burst_ms = burst * every_ms
        self._every_ms = every_ms
        self._empty_until_ms: OrderedDict[Hashable, int] = OrderedDict()

    def take(self, key: Hashable, now_ms: int) -> bool:
        """Take one for a key if there is one left."""
        spent_to_ms = max(self._empty_until_ms.pop(key, 0), now_ms - self._burst_ms)
        allowed = spent_to_ms + self._every_ms <= now_ms
        self._empty_until_ms[key] = spent_to_ms + self._every_ms if allowed else spent_to_ms
        if len(self._empty_until_ms) > KEYS_MAX:
            self._empty_until_ms.popitem(last=False)
        return allowed
