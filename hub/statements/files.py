"""A statement for people: as a table for a sheet, and as pages to print. Both name the entries.

They prove nothing by themselves: the JSON does. Each line names the block header and the registers
that it follows from by the first digits of their ids, with which `gridtally-hub prove` finds them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hub.errors import ExportRefused
from messages.log.note import parse_note, unbase64
from messages.log.tree import leaf_hash
from messages.statement import Item, Statement, format_statement, items

ID_DIGITS: Final = 12
UTOK_PER_TOKEN: Final = 1_000_000
KWH_UWH: Final = 1_000_000_000
COLUMNS: Final = (
    "slot_utc",
    "slot_ms",
    "line",
    "kind",
    "counterparty",
    "energy_uwh",
    "price_utok_per_kwh",
    "amount_utok",
    "quality",
    "dispute",
    "close_entry",
    "header_entry",
    "header_id",
    "register_entries",
    "register_ids",
)
PAGE: Final = (  # heading, width in mm, alignment
    ("Slot (UTC)", 35, "L"),
    ("What", 19, "L"),
    ("With", 28, "L"),
    ("Energy kWh", 27, "R"),
    ("Price", 20, "R"),
    ("Amount", 27, "R"),
    ("Quality", 19, "L"),
    ("Block header", 27, "L"),
    ("Registers", 75, "L"),
)


Names = Callable[[str, int], str]
"""How somebody is called on paper: by name or account, and the slot."""


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
    writers = {".json": _json, ".csv": _csv, ".pdf": _pdf}
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
    ids = _ids(statement)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_csv_row(item, ids, names) for item in items(statement))
    return text.getvalue().encode()


def _csv_row(item: Item, ids: Mapping[int, str], names: Names) -> tuple[object, ...]:
    line = item.line
    other = names(line.counterparty, item.slot_ms)
    return (
        _utc(item.slot_ms),
        item.slot_ms,
        item.number or "",
        line.kind,
        f"'{other}" if other.startswith("@") else other,
        line.energy_uwh,
        line.price_utok_per_kwh,
        line.amount_utok,
        line.quality,
        _dispute(item),
        item.close,
        item.header,
        ids[item.header],
        " ".join(map(str, item.registers)),
        " ".join(ids[index] for index in item.registers),
    )


def _pdf(statement: Statement, names: Names) -> bytes:
    from fpdf import FPDF  # noqa: PLC0415 - it is large, and few commands print

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-10)
            self.set_font("Helvetica", size=7)
            self.cell(
                0, 4, f"{statement.account}, {statement.origin}, page {self.page_no()}/{{nb}}"
            )

    pages = Pages(orientation="landscape", format="A4")
    pages.set_creation_date(datetime.fromtimestamp(statement.until_ms // 1000, UTC))
    pages.set_title(f"Statement of {statement.account}")
    pages.set_margin(10)
    pages.add_page()
    for size, text in _head(statement):
        pages.set_font("Helvetica", size=size)
        pages.multi_cell(0, size / 2, _plain(text), new_x="LMARGIN", new_y="NEXT")
    ids = _ids(statement)
    pages.set_font("Courier", size=7)
    with pages.table(
        col_widths=tuple(width for _, width, _ in PAGE),
        text_align=tuple(align for _, _, align in PAGE),
        line_height=3.4,
        borders_layout="SINGLE_TOP_LINE",
    ) as table:
        table.row(tuple(heading for heading, _, _ in PAGE))
        for item in items(statement):
            table.row(tuple(map(_plain, _pdf_row(item, ids, names))))
    return bytes(pages.output())


def _head(statement: Statement) -> Iterator[tuple[int, str]]:
    """Yield (font size, text) of what stands above the table."""
    totals = statement.totals
    checkpoint = parse_note(statement.checkpoint).text.split("\n")
    yield 16, f"Statement of {statement.account}"
    yield 10, f"{_utc(statement.from_ms)} to {_utc(statement.until_ms)}, {statement.microgrid}"
    if "simulation" in statement.origin:
        yield 12, "SIMULATION: nothing of this was measured or is owed"
    yield (
        9,
        (
            f"Opening {_tokens(statement.opening_utok)}, closing {_tokens(statement.closing_utok)} "
            f"tokens. Sales {_tokens(totals.sales_utok)} for {_kwh(totals.sold_uwh)} kWh, "
            f"purchases {_tokens(totals.purchases_utok)} for {_kwh(totals.bought_uwh)} kWh, "
            f"corrections {_tokens(totals.corrections_utok)}, "
            f"transfers {_tokens(totals.transfers_utok)}."
        ),
    )
    yield (
        8,
        (
            "Block headers and registers are entries of the ledger, by the first digits of their "
            "ids. This paper proves nothing: the JSON beside it does (gridtally-verify bill FILE), "
            f"under the head of {checkpoint[1]} entries with root {checkpoint[2]}."
        ),
    )
    yield 4, " "


def _pdf_row(item: Item, ids: Mapping[int, str], names: Names) -> tuple[str, ...]:
    line = item.line
    return (
        _utc(item.slot_ms),
        line.kind,
        names(line.counterparty, item.slot_ms),
        _kwh(line.energy_uwh),
        _tokens(line.price_utok_per_kwh),
        _tokens(line.amount_utok),
        line.quality,
        ids[item.header],
        _dispute(item) or " ".join(ids[index] for index in item.registers),
    )


def _dispute(item: Item) -> str:
    """Say what a step of a dispute is about; empty for any other line."""
    row = item.dispute
    if row is None:
        return ""
    about = f"{row.dispute}: line {row.line} of {_utc(row.slot_ms)}"
    return f"{about}, {_tokens(row.amount_utok)} tokens"


def _ids(statement: Statement) -> dict[int, str]:
    """Return index -> the first digits of the entry's id."""
    return {
        entry.index: leaf_hash(unbase64(entry.raw)).hex()[:ID_DIGITS] for entry in statement.entries
    }


def _plain(text: str) -> str:
    """Return a text in the letters that every PDF reader has."""
    return text.encode("latin-1", errors="replace").decode("latin-1")


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _tokens(amount_utok: int) -> str:
    return _decimal(amount_utok, UTOK_PER_TOKEN, 6)


def _kwh(energy_uwh: int) -> str:
    return _decimal(energy_uwh, KWH_UWH, 9)


def _decimal(value: int, one: int, digits: int) -> str:
    whole, rest = divmod(abs(value), one)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{digits}d}"
