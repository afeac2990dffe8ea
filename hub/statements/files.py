"""A statement for people: as a table for a sheet, and as pages to print. Both name the entries.

They prove nothing by themselves: the JSON does. Each line names the entries that it follows from,
registers, prices and block header, by number; the table also by the first digits of their ids,
which `gridtally-hub prove` takes as well.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hub.errors import ExportRefused
from hub.ledger.log import ID_DIGITS
from hub.statements.pages import Names, write_pages
from hub.statements.words import dispute_text
from messages.log.note import unbase64
from messages.log.tree import leaf_hash
from messages.statement import Statement, format_statement
from messages.statementlines import Item, items
from messages.timetext import format_time

COLUMNS: Final = (
    "slot_utc",
    "slot_ms",
    "line",
    "kind",
    "counterparty",
    "energy_uwh",
    "price_utok_per_kwh",
    "amount_utok",
    "balance_utok",
    "quality",
    "corrects_utc",
    "dispute",
    "match",
    "close_entry",
    "header_entry",
    "header_id",
    "price_entries",
    "price_ids",
    "register_entries",
    "register_ids",
)


def by_name(name: str, _slot_ms: int) -> str:
    """Call everybody by name."""
    return name


def write_statement(statement: Statement, path: Path, names: Names = by_name) -> None:
    """Write a statement in the format that the file's name ends in: .json, .csv or .pdf.

    `names` is for those to be read; the proofs in the .json are over names as the ledger has them.

    Raises:
        ExportRefused: another ending, or the file cannot be written.
    """
    writers: dict[str, Callable[[Statement, Names], bytes]]
    writers = {".json": _json, ".csv": _csv, ".pdf": write_pages}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise ExportRefused(f"{path}: a statement is a .json, .csv or .pdf")
    try:
        path.write_bytes(write(statement, names))
    except OSError as error:
        raise ExportRefused(f"{path}: {error.strerror}") from None


def _json(statement: Statement, _names: Names) -> bytes:
    return format_statement(statement).encode()


def _csv(statement: Statement, names: Names) -> bytes:
    ids, balance_utok = _ids(statement), statement.opening_utok
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item in items(statement):
        balance_utok += item.line.amount_utok
        writer.writerow(_csv_row(item, balance_utok, ids, names))
    return text.getvalue().encode()


def _csv_row(
    item: Item, balance_utok: int, ids: Mapping[int, str], names: Names
) -> tuple[object, ...]:
    line, row = item.line, item.dispute
    other = names(line.counterparty, item.slot_ms)
    return (
        format_time(item.slot_ms),
        item.slot_ms,
        item.number or "",
        line.kind,
        f"'{other}" if other.startswith("@") else other,
        line.energy_uwh,
        line.price_utok_per_kwh,
        line.amount_utok,
        balance_utok,
        line.quality,
        "" if item.corrects_ms is None else format_time(item.corrects_ms),
        dispute_text(row, names(row.claimant, item.slot_ms)) if row else "",
        item.match or "",
        item.close,
        item.header,
        ids[item.header],
        *_named(item.prices, ids),
        *_named(item.registers, ids),
    )


def _named(entries: tuple[int, ...], ids: Mapping[int, str]) -> tuple[str, str]:
    """Return entries as a cell of numbers and a cell of ids."""
    return " ".join(map(str, entries)), " ".join(ids[index] for index in entries)


def _ids(statement: Statement) -> dict[int, str]:
    """Return index -> the first digits of the entry's id."""
    return {
        entry.index: leaf_hash(unbase64(entry.raw)).hex()[:ID_DIGITS] for entry in statement.entries
    }
