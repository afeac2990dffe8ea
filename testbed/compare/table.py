"""The table of all runs: one row a contract, one column a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from testbed.compare.comparison import Section
from testbed.compare.markup import Markup, tag
from testbed.compare.outcome import Figures, Result
from testbed.compare.wording import kwh, percent, tokens

Number = float | None


class Column(NamedTuple):
    """One figure: its head and unit, its value, how it is written, and which way is better."""

    head: str
    unit: str
    value: Callable[[Figures], Number]
    text: Callable[[float], str]
    better: str = ""


def _plain(digits: int) -> Callable[[float], str]:
    def text(value: float) -> str:
        return f"{value:,.{digits}f}".replace("-", "−")

    return text


COLUMNS: Sequence[Column] = (
    Column("all pay", "tokens", lambda f: f.cost_utok, tokens, "low"),
    Column("saved", "of grid only", lambda f: f.saved_share, percent, "high"),
    Column("of the most", "that can be saved", lambda f: f.possible_share, percent, "high"),
    Column("losers", "members", lambda f: f.losers, _plain(0), "low"),
    Column("Gini", "of savings", lambda f: f.savings_gini, _plain(2), "low"),
    Column("fees", "tokens", lambda f: f.fees_utok, tokens),
    Column("matched", "kWh", lambda f: f.matched_uwh, kwh, "high"),
    Column("welfare", "of optimum", lambda f: f.welfare_share, percent, "high"),
    Column("beyond limit", "members", lambda f: f.unfair_members, _plain(0), "low"),
    Column("peak to average", "of import", lambda f: f.peak_to_average, _plain(2), "low"),
    Column("self-consumed", "of generated", lambda f: f.self_consumption, percent, "high"),
    Column("self-sufficient", "of consumed", lambda f: f.self_sufficiency, percent, "high"),
    Column("curtailed", "kWh", lambda f: f.curtailed_uwh, kwh, "low"),
    Column("CO2", "kg", lambda f: f.co2_kg, _plain(0), "low"),
    Column("a kWh travels", "km", lambda f: f.mean_km, _plain(2), "low"),
    Column("in one area", "of matched", lambda f: f.same_area_share, percent, "high"),
    Column("clearing", "ms a slot", lambda f: f.clearing_ms_a_slot, _plain(2), "low"),
    Column("ledger", "kB", lambda f: f.ledger_bytes / 1000, _plain(0), "low"),
)


def shown(columns: Sequence[Column], rows: Sequence[Figures]) -> list[Column]:
    """Return the columns in which there is anything to see."""
    return [column for column in columns if any(column.value(row) for row in rows)]


def figures_table(section: Section, link: Callable[[Result], str]) -> Markup:
    """Return the table; the grid alone comes first. Cells carry their value, so that they sort."""
    rows = [each.figures for each in section.results]
    alone = section.grid_only.figures
    columns = shown(COLUMNS, [alone, *rows])
    head = tag(
        "tr",
        tag("th", "contract", scope="col"),
        *(tag("th", each.head, tag("small", each.unit), scope="col") for each in columns),
    )
    best = {column.head: _best(column, rows) for column in columns}
    lines = [
        tag(
            "tr",
            _name(tag("span", "grid only"), "grid only"),
            *(_cell(column, alone, None) for column in columns),
            class_="alone",
        )
    ]
    for result in section.results:
        name = _name(tag("a", result.label, href=f"#{link(result)}"), result.label)
        cells = (_cell(column, result.figures, best[column.head]) for column in columns)
        lines.append(tag("tr", name, *cells))
    table = tag("table", tag("thead", head), tag("tbody", *lines), class_="sortable")
    return tag("div", table, class_="scroll")


def _name(shown_as: Markup, name: str) -> Markup:
    return tag("td", shown_as, data_value=name)


def _best(column: Column, rows: Sequence[Figures]) -> str | None:
    """Return how the best value is written; None where all look the same, or none is better."""
    values = [value for row in rows if (value := column.value(row)) is not None]
    if not column.better or len({column.text(value) for value in values}) < 2:
        return None
    return column.text(min(values) if column.better == "low" else max(values))


def _cell(column: Column, figures: Figures, best: str | None) -> Markup:
    value = column.value(figures)
    if value is None:
        return tag("td", "–", data_value="")
    mark = "best" if column.text(value) == best else None
    if column.head in ("losers", "beyond limit") and value:
        mark = "worse"
    return tag("td", column.text(value), data_value=f"{value:.9g}", class_=mark)
