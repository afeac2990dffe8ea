"""What was offered and stayed outside the log: counts by reason, and two contents for one place."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine, func, insert, select

from hub.ledger.engine import reading, writing
from hub.ledger.records import Evidence
from hub.ledger.schema import evidence, refused

EVIDENCE_PER_KEY_MAX = 100  # a cloned key cannot fill the disk


class Strangers:
    """Owns the `refused` and `evidence` tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, refusals: Mapping[tuple[str, str], int]) -> None:
        """Add to the totals of (reason, node)."""
        with writing(self._engine) as connection:
            for (reason, node), more in sorted(refusals.items()):
                mine = (refused.c.reason == reason, refused.c.node == node)
                grown = refused.update().where(*mine).values(total=refused.c.total + more)
                if connection.execute(grown).rowcount == 0:
                    row = {"reason": reason, "node": node, "total": more}
                    connection.execute(insert(refused).values(row))

    def counts(self) -> dict[tuple[str, str], int]:
        """Return {(reason, node): total}."""
        wanted = select(refused).order_by(refused.c.reason, refused.c.node)
        with reading(self._engine) as connection:
            return {(row.reason, row.node): row.total for row in connection.execute(wanted)}

    def keep(self, found: Evidence) -> bool:
        """Keep two contents for one place; False if this one is known or the key has too many."""
        mine = select(func.count()).where(evidence.c.kid == found.kid)
        known = select(func.count()).where(evidence.c.leaf_hash == found.leaf_hash)
        with writing(self._engine) as connection:
            if connection.execute(known).scalar_one():
                return False
            if connection.execute(mine).scalar_one() >= EVIDENCE_PER_KEY_MAX:
                return False
            row = {
                "leaf_hash": found.leaf_hash,
                "kid": found.kid,
                "stream": found.stream,
                "sequence": found.sequence,
                "stored": found.stored,
                "offered": found.offered,
            }
            connection.execute(insert(evidence).values(row))
            return True

    def evidence(self) -> list[Evidence]:
        """Return all that is kept, by key and place."""
        columns = evidence.c
        wanted = select(evidence).order_by(columns.kid, columns.stream, columns.sequence)
        with reading(self._engine) as connection:
            return [Evidence(*row) for row in connection.execute(wanted)]
