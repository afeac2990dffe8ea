"""Are the books those that the entries give? Compared slot by slot, while the slots settle.

Both sides come by time, so all that is kept is what one of them has and the other not yet: an
estimate that a late register will correct, a load that is still shed. A ledger of years is compared
in the memory of a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from hub.auditing.refold import LogWrong
from hub.ledger.books import TABLES, BookRow, SlotRow, time_ms

Key = tuple[Any, ...]


class BookCheck:
    """Owns what does not agree yet.

    Args:
        books: the rows that pages and bills were made from, best by time (`Books.history`).
    """

    def __init__(self, books: Iterable[BookRow]) -> None:
        self._books = iter(books)
        self._next = next(self._books, None)
        self._given: dict[Key, BookRow] = {}  # by the entries, and not in the books so far
        self._shown: dict[Key, BookRow] = {}  # by the books, and not explained so far

    def explain(self, rows: Sequence[BookRow]) -> None:
        """Take what an entry gives to the books, and read these up to the slot that it settles."""
        shown: set[BookRow] = set()
        for row in rows:
            if isinstance(row, SlotRow):
                shown.update(self._until(row.start_ms))
        for row in rows:
            if row not in shown:
                self._give(row)
            else:
                shown.remove(row)
                if self._given:
                    self._given.pop(_key_of(row), None)  # an entry may give a row twice: the last
        for row in shown:
            self._show(row)

    def finish(self) -> None:
        """Read the rest of the books.

        Raises:
            LogWrong: a row of the books is not as the entries give it, one is missing or too many.
        """
        while self._next is not None:
            for row in self._until(time_ms(self._next)):
                self._show(row)
        for key, row in self._shown.items():
            if key not in self._given:
                raise LogWrong(f"the books have a row that no entry explains: {row}")
            raise LogWrong(f"the books say {row}, the entries give {self._given[key]}")
        for row in self._given.values():
            raise LogWrong(f"the books lack {len(self._given)} rows, the first one is {row}")

    def _until(self, end_ms: int) -> Iterator[BookRow]:
        while self._next is not None and time_ms(self._next) <= end_ms:
            yield self._next
            self._next = next(self._books, None)

    def _give(self, row: BookRow) -> None:
        key = _key_of(row)
        if self._shown.get(key) == row:
            del self._shown[key]
            self._given.pop(key, None)
        else:
            self._given[key] = row

    def _show(self, row: BookRow) -> None:
        key = _key_of(row)
        if self._given.get(key) == row:
            del self._given[key]
        else:
            self._shown[key] = row


def _key_of(row: BookRow) -> Key:
    """Return a row's kind and primary key."""
    kind: Any = type(row)
    return kind, _reader_of(kind)(row)


@lru_cache(maxsize=64)
def _reader_of(kind: Any) -> Callable[[BookRow], Any]:
    return attrgetter(*(column.name for column in TABLES[kind].primary_key))
