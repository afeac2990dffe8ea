"""How far an audit is, kept in a file, so that one that was killed goes on where it stood.

The file is for whoever made it: it is this program's own earlier word, not evidence. What stands in
the ledger before its place is hashed again before an audit goes on (`check_still_there`), so an
entry that was changed since is found. Blocks are appended, each

    4 bytes length | 32 bytes SHA-256 of the body | body: canonical CBOR

the first one says what is audited and by which rules, each later one how far, and the rows of the
books since the one before. A block that a kill cut off is dropped.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from hub.errors import LedgerError
from hub.ledger.books import KINDS, BookRow
from messages import cbor
from messages.errors import MalformedMessage
from messages.log.tree import Frontier, leaf_hash
from messages.schema import from_map, to_map

KEEP_EVERY_S: Final = 30.0
ROWS_WAITING_MAX: Final = 50_000  # of the books, in memory until a place is kept
BLOCK_BYTES_MAX: Final = 1 << 31
HEAD_BYTES: Final = 36
_log = logging.getLogger(__name__)
_KINDS: Final = {kind.__name__: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Place:
    """What an audit knows after `size` entries; `state` is the fold's, as a snapshot has it."""

    size: int
    hashes: tuple[bytes, ...]
    state: bytes
    heads: tuple[tuple[bytes, str, int], ...]
    log_roots: tuple[tuple[int, bytes], ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    sum_utok: int


class Standing(NamedTuple):
    """A place, and rows of the books: all up to it, or those since the place before.

    Rows come in parts, one after the other: those of years are never in memory at once.
    """

    place: Place
    rows: Iterable[list[BookRow]]


class Keeper:
    """Owns the file. Ask `is_due` after each entry; it is every KEEP_EVERY_S, or ROWS_WAITING_MAX.

    Args:
        subject: what is audited, and by which rules; an audit of something else never goes on.
        clock_s: monotonic seconds.
    """

    def __init__(
        self,
        path: Path,
        subject: bytes,
        every_s: float = KEEP_EVERY_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._subject = subject
        self._every_s = every_s
        self._clock_s = clock_s
        self._next_s = clock_s() + every_s
        self._good_bytes = 0

    @property
    def works(self) -> bool:
        """Whether places can be kept; not after the file could not be written."""
        return self._next_s < math.inf

    def is_due(self, rows: int = 0) -> bool:
        """Whether it is time to keep a place, so many rows of the books after the last one."""
        return self._clock_s() >= self._next_s or (rows >= ROWS_WAITING_MAX and self.works)

    def keep(self, standing: Standing) -> None:
        """Append a place durably. Without an earlier one of this audit the file begins anew.

        Where it cannot be written the audit goes on without: who audits need not own the hub.
        """
        try:
            self._append(standing)
            self._next_s = self._clock_s() + self._every_s
        except OSError as error:
            _log.warning("%s cannot be written (%s): no --resume of this audit", self.path, error)
            self._next_s = math.inf

    def _append(self, standing: Standing) -> None:
        rows = [[type(row).__name__, *row] for part in standing.rows for row in part]
        block = cbor.encode({"place": to_map(standing.place), "rows": rows})
        mode = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, mode, 0o600), "r+b") as file:
            file.truncate(self._good_bytes)
            file.seek(self._good_bytes)
            if not self._good_bytes:
                file.write(_block(self._subject))
            file.write(_block(block))
            file.flush()
            os.fsync(file.fileno())
            self._good_bytes = file.tell()

    def resume(self) -> Standing | None:
        """Return where the last audit stood; None if no file, or no place in it.

        Raises:
            LedgerError: it was another ledger's, or done by other rules.
        """
        place = None
        for found in self._kept():
            place = found["place"]
        if place is None:
            return None
        with self._named_errors():
            return Standing(from_map(Place, place), self._rows())

    def forget(self) -> None:
        """Remove the file: the audit came to its end."""
        self.path.unlink(missing_ok=True)
        self._good_bytes = 0

    def _rows(self) -> Iterator[list[BookRow]]:
        for found in self._kept():
            with self._named_errors():
                rows = [_KINDS[kind](*values) for kind, *values in found["rows"]]
            yield rows

    def _kept(self) -> Iterator[dict[str, Any]]:
        """Yield what is kept, block by block, and note where the last whole one ends."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            blocks = _blocks(file)
            subject = next(blocks, self._subject)
            if subject != self._subject:
                raise LedgerError(
                    f"{self.path} is of an audit of another ledger, or by other rules than this "
                    "program's: without --resume the audit begins anew"
                )
            for body in blocks:
                with self._named_errors():
                    found = cbor.decode(body, limit=BLOCK_BYTES_MAX)
                self._good_bytes = file.tell()
                yield found

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (MalformedMessage, KeyError, TypeError) as error:
            raise LedgerError(f"{self.path} cannot be read: {error}; remove it") from error


def check_still_there(place: Place, raws: Iterable[bytes]) -> None:
    """Hash the entries before a place again; LedgerError if they are not those audited then."""
    log = Frontier()
    for raw in raws:
        log.add(leaf_hash(raw))
    if log.root() != Frontier(place.size, list(place.hashes)).root():
        raise LedgerError(
            f"the first {place.size} entries are not those that were audited: an entry was changed "
            "since. Run `gridtally-hub verify`, and the audit without --resume"
        )


def _block(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + hashlib.sha256(body).digest() + body


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the bodies that are whole, up to the first one that is not."""
    while len(head := file.read(HEAD_BYTES)) == HEAD_BYTES:
        body = file.read(int.from_bytes(head[:4], "big"))
        if hashlib.sha256(body).digest() != head[4:]:
            return
        yield body
