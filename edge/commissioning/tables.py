"""What the commands show: tables of Rich on a terminal, and the same without colours in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_COLUMNS = 160

Cell = str | int | float | Text | None
"""What stands in a table; None is nothing."""


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Show a table on standard output; columns of numbers stand to the right."""
    listed = list(rows)
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        cells = [row[place] for row in listed]
        is_number = all(isinstance(cell, int | float) or cell is None for cell in cells)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        table.add_row(*(_text(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, highlight=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _text(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell
    if isinstance(cell, float):
        return Text(f"{cell:.12g}")
    return Text("" if cell is None else str(cell))


def show_json(value: Any, *, one_line: bool = False) -> None:
    """Print one JSON value on standard output."""
    print(json.dumps(value, indent=None if one_line else 2, ensure_ascii=False))
