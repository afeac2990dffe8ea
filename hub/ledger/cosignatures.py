"""Who else signed which checkpoint, and which of them are final by that.

A cosignature is kept as the line that stands in the note. Newer ones replace older ones: what a
witness cosigned last says all that it cosigned before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, delete, select

from hub.errors import LedgerCorrupt
from hub.ledger.engine import insert_rows, reading, writing
from hub.ledger.records import Checkpoint, Cosigned
from hub.ledger.schema import checkpoint, cosignature
from messages.errors import MessageError
from messages.log.cosignature import Cosignature, open_cosignatures
from messages.log.note import NoteKey
from messages.log.policy import LogPolicy

SIZES_KEPT = 64  # of each witness; a late one still meets the others at one of them


@dataclass(frozen=True, slots=True)
class Standing:
    """What a witness cosigned last, verified: a tree size and when [s]; 0 and None: nothing."""

    key: NoteKey
    size: int
    time_s: int | None


class Cosignatures:
    """Owns the `cosignature` table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, found: Cosigned, final_size: int) -> None:
        """Keep one line durably, and drop what is old; those of the final checkpoint stay."""
        table = cosignature.c
        mine = (table.name == found.name, table.key_id == found.key_id)
        newest = select(table.size).where(*mine).order_by(table.size.desc()).limit(SIZES_KEPT)
        with writing(self._engine) as connection:
            connection.execute(delete(cosignature).where(*mine, table.size == found.size))
            row = (found.size, found.name, found.key_id, found.time_s, found.line)
            insert_rows(connection, cosignature, [row])
            oldest = min(connection.execute(newest).scalars())
            old = (table.size < oldest, table.size != final_size)
            connection.execute(delete(cosignature).where(*mine, *old))

    def clear(self) -> None:
        """Forget every line: they are of a log that ended, and this one has another name."""
        with writing(self._engine) as connection:
            connection.execute(delete(cosignature))

    def all(self) -> list[Cosigned]:
        """Return every line that is kept, by size and name."""
        table = cosignature.c
        wanted = select(cosignature).order_by(table.size, table.name, table.key_id)
        with reading(self._engine) as connection:
            return [Cosigned(*row) for row in connection.execute(wanted)]

    def newest(self) -> dict[tuple[str, bytes], Cosigned]:
        """Return what each key cosigned last, by (name, key id)."""
        return {(found.name, found.key_id): found for found in self.all()}

    def standings(self, keys: Iterable[NoteKey]) -> tuple[Standing, ...]:
        """Return what each key cosigned last, its signature verified.

        Raises:
            LedgerCorrupt: a stored line does not verify.
        """
        newest = self.newest()
        return tuple(self._standing(key, newest.get((key.name, key.key_id))) for key in keys)

    def _standing(self, key: NoteKey, held: Cosigned | None) -> Standing:
        if held is None:
            return Standing(key, 0, None)
        (found,) = self._open(held.size, [held.line], (key,))[1]
        return Standing(key, held.size, found.time_s)

    def final(self, policy: LogPolicy) -> Checkpoint | None:
        """Return the largest stored checkpoint that meets a quorum, None if there is none.

        Its note carries the lines that count. Who needs no witness finds none here either.

        Raises:
            LedgerCorrupt: a stored line does not verify.
        """
        for size, lines in sorted(self._lines().items(), reverse=True):
            if policy.witnessed:
                found = self.cosigned(size, lines, policy)
                if found is not None:
                    return found
        return None

    def lines(self, size: int) -> str:
        """Return all lines over one checkpoint, to stand behind its note."""
        return "".join(self._lines().get(size, ()))

    def cosigned(self, size: int, lines: Iterable[str], policy: LogPolicy) -> Checkpoint | None:
        """Return a checkpoint with those of `lines` that the policy counts, if they are enough."""
        note, counted = self._open(size, lines, tuple(policy.witnesses.values()))
        if not policy.is_met(frozenset(each.key for each in counted)):
            return None
        return Checkpoint(size, note + "".join(each.line for each in counted))

    def _open(
        self, size: int, lines: Iterable[str], keys: tuple[NoteKey, ...]
    ) -> tuple[str, tuple[Cosignature, ...]]:
        """Return the stored note over `size` entries, and those of the lines that are of `keys`."""
        with reading(self._engine) as connection:
            wanted = select(checkpoint.c.note).where(checkpoint.c.size == size)
            note: str | None = connection.execute(wanted).scalar_one_or_none()
        if note is None:
            raise LedgerCorrupt(f"a checkpoint over {size} entries is cosigned, but not stored")
        try:
            return note, open_cosignatures(note + "".join(lines), keys)
        except MessageError as error:
            raise LedgerCorrupt(f"the checkpoint over {size} entries: {error}") from error

    def _lines(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for each in self.all():
            found.setdefault(each.size, []).append(each.line)
        return found
