"""What sealed readings commit to, as far as it is kept: beside the log, in none of its exports."""

from __future__ import annotations

from sqlalchemy import Engine, select

from hub.ledger.engine import reading
from hub.ledger.schema import entry
from messages.records import Opened

ENTRIES_A_READ = 1_000


class Preimages:
    """Answers by index. Asked in order it reads a thousand places at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._window = range(0)
        self._known: dict[int, bytes] = {}

    def of(self, index: int) -> bytes | None:
        """Return the preimage of the entry at an index, None if there is none."""
        if index not in self._window:
            self._window = range(index, index + ENTRIES_A_READ)
            self._known = self._read(index, index + ENTRIES_A_READ)
        return self._known.get(index)

    def places(self, kid: bytes, stop: int) -> list[int]:
        """Return where readings of a key stand whose preimage is kept, before `stop`, in order."""
        wanted = (
            select(entry.c.index)
            .where(entry.c.kid == kid, entry.c.index < stop, entry.c.preimage.is_not(None))
            .order_by(entry.c.sequence)
        )
        with reading(self._engine) as connection:
            return [row[0] for row in connection.execute(wanted)]

    def sealed(self, index: int) -> Opened:
        """Return an entry with its preimage, which is kept."""
        wanted = select(entry.c.raw, entry.c.preimage).where(entry.c.index == index)
        with reading(self._engine) as connection:
            raw, preimage = connection.execute(wanted).one()
        return Opened(index, bytes(raw), bytes(preimage))

    def _read(self, start: int, stop: int) -> dict[int, bytes]:
        wanted = select(entry.c.index, entry.c.preimage).where(
            entry.c.index >= start, entry.c.index < stop, entry.c.preimage.is_not(None)
        )
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(wanted)}
