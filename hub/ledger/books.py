"""The books that pages and exports read: derived rows, written over by key, folded again at will.

They prove nothing. What proves is the log; `gridtally-hub audit` folds it again and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Column, Connection, Engine, Select, Table, delete, select

from hub.ledger import schema
from hub.ledger.engine import insert_rows, reading, writing


class SlotRow(NamedTuple):
    """One settled slot and its sums. `unaccounted_uwh` is None where no boundary meter can tell."""

    start_ms: int
    end_ms: int
    close_index: int
    reason: str
    contract: str
    result: str
    matched_uwh: int
    grid_import_uwh: int
    grid_export_uwh: int
    curtailed_uwh: int
    unaccounted_uwh: int | None


class SlotEnergyRow(NamedTuple):
    """What one meter measured in one slot; `quality` is metered, estimated or corrected."""

    slot_ms: int
    meter_id: str
    member: str
    import_uwh: int
    export_uwh: int
    quality: str


class MatchRow(NamedTuple):
    """One sale inside the microgrid."""

    slot_ms: int
    number: int
    seller: str
    buyer: str
    energy_uwh: int
    price_utok_per_kwh: int
    amount_utok: int


class LineRow(NamedTuple):
    """One line of a member's bill; `amount_utok` above 0 is received, below 0 is paid."""

    slot_ms: int
    number: int
    member: str
    kind: str
    counterparty: str
    energy_uwh: int
    price_utok_per_kwh: int
    amount_utok: int
    quality: str
    cause_index: int


class FateRow(NamedTuple):
    """What became of a member's order in a slot; `reason` is empty where all of it was matched."""

    slot_ms: int
    number: int
    member: str
    order_id: str
    side: str
    energy_uwh: int
    price_utok_per_kwh: int
    matched_uwh: int
    reason: str


class ShedRow(NamedTuple):
    """One time that a relay held a load open; `until_ms` is None while it does."""

    node: str
    relay: str
    from_ms: int
    until_ms: int | None
    member: str
    wanted_mw: int
    wanted_uwh: int
    estimated: bool
    reason: str
    decision_index: int


class DecisionRow(NamedTuple):
    """One dispatch decision that changed something; `outputs` is readable text."""

    entry_index: int
    at_ms: int
    policy: str
    rule: str
    limit_name: str
    reason: str
    outputs: str
    view_root: bytes


BookRow = SlotRow | SlotEnergyRow | MatchRow | LineRow | FateRow | ShedRow | DecisionRow
TABLES: Final[Mapping[type[Any], Table]] = {
    SlotRow: schema.slot,
    SlotEnergyRow: schema.slot_energy,
    MatchRow: schema.match,
    LineRow: schema.line,
    FateRow: schema.fate,
    ShedRow: schema.shed,
    DecisionRow: schema.decision,
}
KINDS: Final[tuple[type[BookRow], ...]] = tuple(TABLES)
ROWS_A_READ: Final = 1_000
Row = TypeVar("Row", bound=BookRow)


class Books:
    """Owns the derived tables. Writing the same rows twice leaves one of each."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def replace(self, rows: Sequence[BookRow]) -> None:
        """Write the rows in one transaction, each over the one with its key; the last counts."""
        by_kind: dict[type[BookRow], list[BookRow]] = {}
        for row in rows:
            by_kind.setdefault(type(row), []).append(row)
        if not by_kind:
            return
        with writing(self._engine) as connection:
            for kind, values in by_kind.items():
                _replace(connection, TABLES[kind], values)

    def clear(self) -> None:
        """Drop every derived row, before the entries are folded again."""
        with writing(self._engine) as connection:
            for table in schema.BOOKS:
                connection.execute(delete(table))

    def latest(self, kind: type[Row], limit: int) -> list[Row]:
        """Return the newest rows by key, newest first."""
        newest = [column.desc() for column in _time_first(TABLES[kind])]
        return self._select(kind, select(TABLES[kind]).order_by(*newest).limit(limit))

    def of_slot(self, kind: type[Row], slot_ms: int) -> list[Row]:
        """Return the rows of one slot by their second key."""
        table = TABLES[kind]
        column = table.c.start_ms if table is schema.slot else table.c.slot_ms
        return self._select(
            kind, select(table).where(column == slot_ms).order_by(*table.primary_key)
        )

    def fates_of(self, member: str, limit: int) -> list[FateRow]:
        """Return what became of a member's newest orders, newest slot first."""
        table = schema.fate
        wanted = select(table).where(table.c.member == member)
        newest = (table.c.slot_ms.desc(), table.c.number)
        return self._select(FateRow, wanted.order_by(*newest).limit(limit))

    def all(self, kind: type[Row]) -> Iterator[Row]:
        """Yield every row by time, from one snapshot of the database."""
        with reading(self._engine) as connection:
            yield from _by_time(connection, kind)

    def history(self) -> Iterator[BookRow]:
        """Yield every row of every kind, oldest first, from one snapshot of the database.

        What was yielded is forgotten: the books of years need no more memory than those of a day.
        """
        with reading(self._engine) as connection:
            kinds = (_by_time(connection, kind) for kind in KINDS)
            yield from merge(*kinds, key=time_ms)

    def _select(self, kind: type[Row], wanted: Select[Any]) -> list[Row]:
        with reading(self._engine) as connection:
            return [kind(*row) for row in connection.execute(wanted)]


def time_ms(row: BookRow) -> int:
    """Return when what a row speaks of began. [ms UTC]"""
    if isinstance(row, SlotRow):
        return row.start_ms
    if isinstance(row, ShedRow):
        return row.from_ms
    return row.at_ms if isinstance(row, DecisionRow) else row.slot_ms


def _by_time(connection: Connection, kind: type[Row]) -> Iterator[Row]:
    wanted = select(TABLES[kind]).order_by(*_time_first(TABLES[kind]))
    found = connection.execution_options(yield_per=ROWS_A_READ).execute(wanted)
    return (kind(*row) for row in found)


def _time_first(table: Table) -> list[Column[Any]]:
    keys = list(table.primary_key)
    return sorted(keys, key=lambda column: not column.name.endswith(("_ms", "_index")))


def _replace(connection: Connection, table: Table, values: Sequence[BookRow]) -> None:
    key_of = itemgetter(*(list(table.columns).index(column) for column in table.primary_key))
    newest = {key_of(value): value for value in values}
    insert_rows(connection, table, list(newest.values()), over=True)
