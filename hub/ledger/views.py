"""What dispatch policies saw: the bodies of views whose roots stand in decision entries.

Kept beside the log like telemetry, under the same retention; where a body is kept, an audit decides
again.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine, delete, select

from hub.ledger.engine import insert_rows, reading, writing
from hub.ledger.schema import view


class Views:
    """Owns the `view` table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, root: bytes, at_ms: int, body: bytes) -> None:
        """Keep a view's body under its root; the same view again changes nothing."""
        with writing(self._engine) as connection:
            connection.execute(delete(view).where(view.c.root == root))
            insert_rows(connection, view, [(root, at_ms, body)])

    def body(self, root: bytes) -> bytes | None:
        """Return a view's body, None if it is not kept, or no longer."""
        with reading(self._engine) as connection:
            body: bytes | None = connection.execute(
                select(view.c.body).where(view.c.root == root)
            ).scalar_one_or_none()
        return body

    def all(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield (root, time, body) of every view that is kept."""
        with reading(self._engine) as connection:
            rows = connection.execution_options(yield_per=100).execute(select(view))
            yield from ((row.root, row.at_ms, row.body) for row in rows)

    def forget_before(self, at_ms: int) -> int:
        """Drop the bodies of older views; return how many. Their roots stay on the log."""
        with writing(self._engine) as connection:
            return connection.execute(delete(view).where(view.c.at_ms < at_ms)).rowcount
