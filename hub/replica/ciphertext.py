"""Keeps the ciphertext of private records, too: by its hash, from the hub or any replica.

Nobody needs a key for that, and nobody is trusted: a blob's name is its SHA-256 and stands on the
ledger. What an owner erased is deleted here as well. Losing one store loses no record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub.core.effects import Effect
from hub.errors import RecordUnavailable
from hub.replica.errors import SourceAway, SourceWrong
from hub.replica.following import Following
from hub.replica.source import Source, Sources
from hub.vault.stores import BLOB_BYTES_MAX, Stores, is_name, is_whole, names_of

BLOB_PATH: Final = "blob"
AT_ONCE: Final = 16
AGAIN_S: Final = 60.0
LOOK_OVER_S: Final = 86_400.0

log = logging.getLogger("hub.replica")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Gives a blob from the first source that has it whole; RecordUnavailable if none has."""

    sources: Sources

    def __call__(self, name: str) -> bytes:
        """Ask for it."""

        def read(source: Source) -> bytes:
            blob = source.get(f"{BLOB_PATH}/{name}", BLOB_BYTES_MAX)
            if not is_whole(blob, name):
                raise SourceWrong(f"{source.place}: other bytes under the name {name}")
            return blob

        try:
            return self.sources.first(read)
        except (SourceAway, SourceWrong) as error:
            raise RecordUnavailable(str(error)) from error


class Ciphertext:
    """Owns this replica's stores of ciphertext. For the thread that follows."""

    def __init__(
        self,
        stores: Stores,
        following: Following,
        sources: Sources,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._following = following
        self._elsewhere = Elsewhere(sources)
        self._clock_s = clock_s
        self._looked_over_s = clock_s()
        self._seen: set[str] = set()  # whole in every store since they were looked over
        self._deleted: set[str] = set()
        self._delete_from_s = clock_s()
        self._missing: dict[str, float] = {}  # asked for in vain, until then

    def prepare(self) -> None:
        """Nothing is to be done before more is executed."""

    def watch(self, index: int, effects: tuple[Effect, ...]) -> None:
        """Nothing is looked at one by one."""

    def objection(self, size: int) -> str:
        """Nothing is held against any tree here."""
        return ""

    def wait_s(self) -> float | None:
        """Nothing here waits for a time."""
        return None

    @property
    def lacking(self) -> int:
        """How many blobs are not in every store, though they were asked for."""
        return len(self._missing)

    def find(self, name: str) -> bytes | None:
        """Return a blob for whoever lost it, None if it is not here. From any thread."""
        if not is_name(name):
            return None
        try:
            return self._stores.get(name)
        except RecordUnavailable:
            return None

    def tend(self) -> None:
        """Fetch some of what is new, and delete what was erased."""
        execution = self._following.execution
        if execution is None:
            return
        wanted, gone = names_of(execution.state)
        self._missing = {name: at for name, at in self._missing.items() if name in wanted}
        now_s = self._clock_s()
        if now_s >= self._delete_from_s:
            self._delete(gone - self._deleted, now_s)
        if now_s - self._looked_over_s >= LOOK_OVER_S:
            self._seen, self._looked_over_s = set(), now_s
        due = [name for name in sorted(wanted - self._seen) if self._missing.get(name, 0) <= now_s]
        for name in due[:AT_ONCE]:
            self._keep(name, now_s)

    def _keep(self, name: str, now_s: float) -> None:
        try:
            self._stores.mend(name, self._elsewhere)
        except RecordUnavailable as error:
            if name not in self._missing:
                log.warning("the ciphertext %s is not here yet: %s", name, error)
            self._missing[name] = now_s + AGAIN_S
            return
        self._missing.pop(name, None)
        self._seen.add(name)

    def _delete(self, names: set[str], now_s: float) -> None:
        for name in sorted(names):
            if self._stores.delete(name):
                self._delete_from_s = now_s + AGAIN_S
            else:
                self._deleted.add(name)
