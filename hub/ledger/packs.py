"""Telemetry packs: signed, durable, contiguous, kept beside the log until a seal commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, Engine, bindparam, func, select, update

from hub.errors import LedgerError
from hub.ledger.engine import insert_rows, reading, writing
from hub.ledger.records import NewPack, Pack, PendingPack
from hub.ledger.schema import ledger, pack

KEPT_FROM = "telemetry_kept_from"  # the first seal whose packs are not yet forgotten


class Packs:
    """Owns the `pack` table. A seal's packs stand in (kid, sequence) order, as in its tree."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pending(self, limit: int = 100_000) -> list[PendingPack]:
        """Return the packs that no seal covers yet, in (kid, sequence) order."""
        wanted = (
            select(pack.c.kid, pack.c.sequence, pack.c.leaf_hash)
            .where(pack.c.seal_index.is_(None))
            .order_by(pack.c.kid, pack.c.sequence)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [PendingPack(*row) for row in connection.execute(wanted)]

    def of_seal(self, index: int) -> list[PendingPack]:
        """Return what the seal entry at `index` covers; a pack's place is its position there."""
        wanted = (
            select(pack.c.kid, pack.c.sequence, pack.c.leaf_hash)
            .where(pack.c.seal_index == index)
            .order_by(pack.c.kid, pack.c.sequence)
        )
        with reading(self._engine) as connection:
            return [PendingPack(*row) for row in connection.execute(wanted)]

    def under(self, seal_index: int) -> list[Pack]:
        """Return the packs that the seal entry at an index covers, bodies and all."""
        wanted = select(pack).where(pack.c.seal_index == seal_index)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(pack.c.kid, pack.c.sequence))
            return [Pack(*row) for row in rows]

    def pack(self, kid: bytes, sequence: int) -> Pack | None:
        """Return one pack, None if it is not stored; `raw` is empty once retention took it."""
        wanted = select(pack).where(pack.c.kid == kid, pack.c.sequence == sequence)
        with reading(self._engine) as connection:
            row = connection.execute(wanted).first()
        return Pack(*row) if row else None

    def around(self, kid: bytes, at_ms: int) -> Pack | None:
        """Return a key's first pack that ends at an instant or later; None if there is none."""
        wanted = select(pack).where(pack.c.kid == kid, pack.c.at_ms >= at_ms)
        with reading(self._engine) as connection:
            row = connection.execute(wanted.order_by(pack.c.at_ms).limit(1)).first()
        return Pack(*row) if row else None

    def forgotten(self) -> tuple[int, int | None]:
        """Return how many bodies retention took, and the last sample's instant among them. [ms]"""
        with reading(self._engine) as connection:
            kept_from = _kept_from(connection)
            gone = pack.c.seal_index < kept_from
            count = connection.execute(select(func.count(pack.c.seal_index)).where(gone))
            newest = select(func.max(pack.c.seal_index)).where(gone).scalar_subquery()
            last = select(func.max(pack.c.at_ms)).where(pack.c.seal_index == newest)
            return int(count.scalar_one()), connection.execute(last).scalar_one()

    def seals(self, kid: bytes, first: int, last: int) -> Mapping[int, int | None]:
        """Return {sequence: seal index or None} for what is stored of [first, last]."""
        wanted = select(pack.c.sequence, pack.c.seal_index).where(
            pack.c.kid == kid, pack.c.sequence.between(first, last)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(pack.c.sequence))
            return {row.sequence: row.seal_index for row in rows}

    def sealed(self) -> Iterator[Pack]:
        """Yield every pack that a seal covers, in (seal, kid, sequence) order."""
        wanted = (
            select(pack)
            .where(pack.c.seal_index.is_not(None))
            .order_by(pack.c.seal_index, pack.c.kid, pack.c.sequence)
        )
        with reading(self._engine) as connection:
            for row in connection.execution_options(yield_per=1000).execute(wanted):
                yield Pack(*row)

    def sealed_up_to(self, kid: bytes) -> int:
        """Return the sequence before a key's oldest pending pack; before its next one if none."""
        mine = select(func.min(pack.c.sequence)).where(pack.c.kid == kid)
        with reading(self._engine) as connection:
            first = connection.execute(mine.where(pack.c.seal_index.is_(None))).scalar_one()
            return self.head(connection, kid) if first is None else first - 1

    def count(self) -> int:
        """Return how many packs are stored."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(pack)).scalar_one())

    def forget_before(self, at_ms: int, seals_max: int = 10) -> int:
        """Empty the bodies under the next seals whose last sample is older; return how many.

        Seals go in their order, a few at once, so that a writer with little time calls again. The
        leaves stay: without them no other pack of the same seal could be proven.
        """
        taken = 0
        for _ in range(seals_max):
            with reading(self._engine) as connection:
                kept_from = _kept_from(connection)
                after = select(func.min(pack.c.seal_index)).where(pack.c.seal_index >= kept_from)
                seal_index = connection.execute(after).scalar_one()
                if seal_index is None:
                    break
                last = select(func.max(pack.c.at_ms)).where(pack.c.seal_index == seal_index)
                last_ms = connection.execute(last).scalar_one()
            if last_ms >= at_ms:
                break
            old = update(pack).where(pack.c.seal_index == seal_index, pack.c.raw != b"")
            with writing(self._engine) as connection:
                taken += connection.execute(old.values(raw=b"")).rowcount
                _keep_from(connection, seal_index + 1)
        return taken

    def head(self, connection: Connection, kid: bytes) -> int:
        """Return the highest stored sequence of a key, 0 if none."""
        wanted = select(func.max(pack.c.sequence)).where(pack.c.kid == kid)
        return connection.execute(wanted).scalar_one() or 0

    def write(
        self,
        connection: Connection,
        packs: Sequence[NewPack],
        sealed: Sequence[tuple[bytes, int]],
        seal_index: int | None,
    ) -> None:
        """Store new packs and mark sealed ones, inside the caller's transaction."""
        if sealed:
            _mark_sealed(connection, sealed, seal_index)
        rows = [(p.kid, p.sequence, p.leaf_hash, p.at_ms, None, p.raw) for p in packs]
        insert_rows(connection, pack, rows)


def _kept_from(connection: Connection) -> int:
    wanted = select(ledger.c.number).where(ledger.c.name == KEPT_FROM)
    return connection.execute(wanted).scalar_one_or_none() or 0


def _keep_from(connection: Connection, seal_index: int) -> None:
    known = update(ledger).where(ledger.c.name == KEPT_FROM).values(number=seal_index)
    if not connection.execute(known).rowcount:
        insert_rows(connection, ledger, [(KEPT_FROM, seal_index)])


def _mark_sealed(
    connection: Connection, sealed: Sequence[tuple[bytes, int]], seal_index: int | None
) -> None:
    mark = (
        update(pack)
        .where(
            pack.c.kid == bindparam("of_kid"),
            pack.c.sequence == bindparam("of_sequence"),
            pack.c.seal_index.is_(None),
        )
        .values(seal_index=seal_index)
    )
    places = [{"of_kid": kid, "of_sequence": sequence} for kid, sequence in sealed]
    if connection.execute(mark, places).rowcount != len(places):
        raise LedgerError("a seal names a pack that is not stored, or is sealed already")
