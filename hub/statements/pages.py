"""A statement as pages to print: one day after the other, each line with the entries behind it.

Entries go by their numbers: under the head of the log that the first page names, a number is one
entry and no other. Paper proves nothing by itself; the JSON does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from hub.statements.sums import sums
from hub.statements.words import dispute_text, kwh_text, tokens_text
from messages.log.note import parse_note
from messages.statement import CORRECTION, PURCHASE, SALE, TRANSFER, Statement
from messages.statementlines import Item, items
from messages.timetext import format_time

if TYPE_CHECKING:
    from fpdf import FPDF

Names = Callable[[str, int], str]
"""How somebody is called on paper: by name or account, and the slot."""

COLUMNS: Final = (  # heading, width in mm, alignment
    ("Slot", 13, "L"),
    ("Line", 8, "R"),
    ("What", 18, "L"),
    ("With", 48, "L"),
    ("kWh", 25, "R"),
    ("per kWh", 16, "R"),
    ("Tokens", 23, "R"),
    ("Balance", 25, "R"),
    ("Quality", 18, "L"),
    ("Match", 12, "C"),
    ("Price by", 18, "L"),
    ("Readings", 39, "L"),
    ("Block", 14, "R"),
)
WRAPPED: Final = 11  # the column that may need several lines
LINE_MM: Final = 3.8
MARGIN_MM: Final = 10
FOOT_MM: Final = 14
FACE: Final = "Helvetica"
BODY_PT: Final = 7.5
GREY: Final = 110
SHADE: Final = 236
RULE: Final = 205
LEGEND: Final = (
    "Price by, Readings and Block are numbers of ledger entries: the policy, and the facts from "
    "outside, behind the slot's prices; the signed registers behind the energy; the block header "
    "that proves the line. Match is the trade in that slot's bill. A line is disputed by its slot "
    "and number. Paper proves nothing: the JSON of this statement does (gridtally-verify bill "
    "FILE), under the head of {size} entries with root {root}."
)


def write_pages(statement: Statement, names: Names) -> bytes:
    """Return the statement as a PDF, the same bytes for the same statement."""
    paper = _open(statement)
    _write_head(paper, statement)
    _write_headings(paper)
    balance_utok = statement.opening_utok
    for day, found in groupby(items(statement), key=lambda item: _day(item.slot_ms)):
        _write_day(paper, day)
        for item in found:
            balance_utok += item.line.amount_utok
            cells, remark = _cells(item, balance_utok, names), _remark(item, names)
            _write_item(paper, day, cells, remark)
    return bytes(paper.output())


def _open(statement: Statement) -> FPDF:
    from fpdf import FPDF  # noqa: PLC0415 - it is large, and few commands print

    class Paper(FPDF):
        def footer(self) -> None:
            self.set_y(-10)
            self.set_font(FACE, size=7)
            self.set_text_color(GREY)
            foot = f"{statement.account}, {statement.origin}, page {self.page_no()}/{{nb}}"
            self.cell(0, 4, _plain(foot))
            self.set_text_color(0)

    paper = Paper(orientation="landscape", format="A4")
    paper.set_creation_date(datetime.fromtimestamp(statement.until_ms // 1000, UTC))
    paper.set_title(f"Statement of {statement.account}")
    paper.set_margin(MARGIN_MM)
    paper.set_auto_page_break(auto=False)
    paper.set_draw_color(RULE)
    paper.add_page()
    return paper


# --- above the table -----------------------------------------------------------------------------


def _write_head(paper: FPDF, statement: Statement) -> None:
    checkpoint = parse_note(statement.checkpoint).text.split("\n")
    span = f"{format_time(statement.from_ms)} to {format_time(statement.until_ms)}"
    _paragraph(paper, 16, f"Statement of {statement.account}", style="B")
    _paragraph(paper, 10, f"{statement.microgrid}, {span}")
    if "simulation" in statement.origin:
        _paragraph(paper, 12, "SIMULATION: nothing of this was measured or is owed", style="B")
    paper.ln(2)
    for word, energy, money in _totals(statement):
        paper.set_font(FACE, size=9, style="B" if word.endswith("balance") else "")
        paper.cell(70, 4.6, _plain(word))
        paper.cell(32, 4.6, money, align="R")
        paper.cell(40, 4.6, energy, align="R", new_x="LMARGIN", new_y="NEXT")
    paper.ln(2)
    paper.set_text_color(GREY)
    _paragraph(paper, 7.5, LEGEND.format(size=checkpoint[1], root=checkpoint[2]))
    paper.set_text_color(0)
    paper.ln(2)


def _totals(statement: Statement) -> Iterator[tuple[str, str, str]]:
    """Yield what the account held, what was booked, and what it holds: word, energy, tokens."""
    totals = statement.totals
    yield "Opening balance", "", tokens_text(statement.opening_utok)
    parts = sums(item.line for item in items(statement))
    for word, kind, energy_uwh, amount_utok in (
        ("Sales", SALE, totals.sold_uwh, totals.sales_utok),
        ("Purchases", PURCHASE, totals.bought_uwh, totals.purchases_utok),
        ("Corrections", CORRECTION, 0, totals.corrections_utok),
        ("Transfers", TRANSFER, 0, totals.transfers_utok),
    ):
        yield word, _energy(energy_uwh, kind), tokens_text(amount_utok)
        for part in parts:
            if part.kind == kind and part.what:
                energy = _energy(part.energy_uwh, kind)
                yield f"    {part.what}", energy, tokens_text(part.amount_utok)
    yield "Closing balance", "", tokens_text(statement.closing_utok)


def _energy(energy_uwh: int, kind: str) -> str:
    return f"{kwh_text(energy_uwh)} kWh" if kind in (SALE, PURCHASE) else ""


def _paragraph(paper: FPDF, size: float, text: str, style: str = "") -> None:
    paper.set_font(FACE, size=size, style=style)
    paper.multi_cell(0, size / 2, _plain(text), align="L", new_x="LMARGIN", new_y="NEXT")


# --- the table -----------------------------------------------------------------------------------


def _write_headings(paper: FPDF) -> None:
    paper.set_font(FACE, size=BODY_PT, style="B")
    paper.set_fill_color(SHADE)
    for heading, width, align in COLUMNS:
        paper.cell(width, LINE_MM + 1.5, heading, align=align, fill=True)
    paper.ln(LINE_MM + 2.5)


def _write_day(paper: FPDF, day: str) -> None:
    _need(paper, 3 * LINE_MM)
    paper.ln(1)
    paper.set_font(FACE, size=BODY_PT + 1, style="B")
    paper.cell(0, LINE_MM + 1, day, new_x="LMARGIN", new_y="NEXT")


def _write_item(paper: FPDF, day: str, cells: Sequence[str], remark: str) -> None:
    """Write one line, and in grey below it what is remarkable."""
    paper.set_font(FACE, size=BODY_PT)
    wrapped = _wrap(paper, cells[WRAPPED], COLUMNS[WRAPPED][1])
    height = LINE_MM * (len(wrapped) + bool(remark))
    if _need(paper, height):
        _write_day(paper, f"{day}, continued")
    paper.set_font(FACE, size=BODY_PT)
    paper.line(paper.l_margin, paper.y, paper.w - paper.r_margin, paper.y)
    left_mm = paper.l_margin
    for place, (text, (_, width, align)) in enumerate(zip(cells, COLUMNS, strict=True)):
        top_mm = paper.y
        for part in wrapped if place == WRAPPED else (text,):
            paper.set_x(left_mm)
            paper.cell(width, LINE_MM, part, align=align, new_x="LEFT", new_y="NEXT")
        paper.set_xy(left_mm + width, top_mm)
        left_mm += width
    paper.set_xy(paper.l_margin, paper.y + LINE_MM * len(wrapped))
    if remark:
        paper.set_text_color(GREY)
        paper.set_font(FACE, size=BODY_PT, style="I")
        paper.set_x(paper.l_margin + COLUMNS[0][1] + COLUMNS[1][1])
        paper.cell(0, LINE_MM, _plain(remark), new_x="LMARGIN", new_y="NEXT")
        paper.set_text_color(0)


def _need(paper: FPDF, height_mm: float) -> bool:
    """Begin a new page where there is less room than that; say whether it was so."""
    if paper.y + height_mm <= paper.h - FOOT_MM:
        return False
    paper.add_page()
    _write_headings(paper)
    return True


def _wrap(paper: FPDF, text: str, width_mm: float) -> list[str]:
    """Return a text in lines that fit a column; it is broken at spaces."""
    lines = [""]
    room_mm = width_mm - 2 * paper.c_margin
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and paper.get_string_width(longer) > room_mm:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _cells(item: Item, balance_utok: int, names: Names) -> tuple[str, ...]:
    line = item.line
    is_traded = line.energy_uwh or not item.dispute
    return (
        format_time(item.slot_ms).partition("T")[2].removesuffix("Z"),
        str(item.number or ""),
        "dispute" if item.dispute else line.kind,
        _plain(names(line.counterparty, item.slot_ms)),
        kwh_text(line.energy_uwh) if is_traded else "",
        tokens_text(line.price_utok_per_kwh) if is_traded else "",
        tokens_text(line.amount_utok),
        tokens_text(balance_utok),
        line.quality,
        str(item.match or ""),
        " ".join(map(str, item.prices)),
        runs_text(item.registers),
        str(item.header),
    )


def runs_text(numbers: Sequence[int]) -> str:
    """Return rising numbers, three and more in a row as first and last.

    >>> runs_text((3, 5, 6, 7, 8, 10, 11))
    '3 5-8 10 11'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs
    )


def _remark(item: Item, names: Names) -> str:
    if item.corrects_ms is not None:
        return f"a late register: it corrects the slot {format_time(item.corrects_ms)}"
    if item.dispute is None:
        return ""
    claimant = names(item.dispute.claimant, item.slot_ms)
    return dispute_text(item.dispute, claimant)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%A, %d %B %Y (UTC)")


def _plain(text: str) -> str:
    """Return a text in the letters that every PDF reader has."""
    return text.encode("latin-1", errors="replace").decode("latin-1")
