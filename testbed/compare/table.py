"""The table of all runs: one row a contract, one column a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from testbed.compare.comparison import Section
from testbed.compare.markup import Markup, join, tag
from testbed.compare.outcome import Figures, Result
from testbed.compare.playing import Settings
from testbed.compare.wording import ALARM_SHARE, kwh, percent, tokens

Number = float | None


class Column(NamedTuple):
    """One figure: its head and unit, its value, how it is written, and which way is better.

    `is_alarming`: what is above the grid alone is marked.
    """

    head: str
    unit: str
    value: Callable[[Figures], Number]
    text: Callable[[float], str]
    better: str = ""
    is_alarming: bool = False


def _plain(digits: int) -> Callable[[float], str]:
    def text(value: float) -> str:
        return f"{value:,.{digits}f}".replace("-", "−")

    return text


COLUMNS: Sequence[Column] = (
    Column("all pay", "tokens", lambda f: f.cost_utok, tokens, "low"),
    Column("saved", "of grid only", lambda f: f.saved_share, percent, "high"),
    Column("of the most", "that can be saved", lambda f: f.possible_share, percent, "high"),
    Column("losers", "members", lambda f: f.losers, _plain(0), "low", is_alarming=True),
    Column("Gini", "of savings", lambda f: f.savings_gini, _plain(2), "low"),
    Column("fees", "tokens", lambda f: f.fees_utok, tokens),
    Column("matched", "kWh", lambda f: f.matched_uwh, kwh, "high"),
    Column("welfare", "of optimum", lambda f: f.welfare_share, percent, "high"),
    Column("beyond limit", "members", lambda f: f.unfair_members, _plain(0), is_alarming=True),
    Column(
        "peak to average", "of import", lambda f: f.peak_to_average, _plain(2), is_alarming=True
    ),
    Column("self-consumed", "of generated", lambda f: f.self_consumption, percent, "high"),
    Column("self-sufficient", "of consumed", lambda f: f.self_sufficiency, percent, "high"),
    Column("curtailed", "kWh", lambda f: f.curtailed_uwh, kwh, "low"),
    Column("CO2", "kg", lambda f: f.co2_kg, _plain(0), "low"),
    Column("distance", "kWh·km", lambda f: f.kwh_km, _plain(1)),
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
    alike = [each.figures for each in section.alike]
    best = {column.head: _best(column, alike) for column in columns}
    lines = [
        tag(
            "tr",
            _name(tag("span", "grid only"), "grid only", section.grid_only.run.settings),
            *(_cell(column, alone, alone, None) for column in columns),
            class_="alone",
        )
    ]
    for result in section.results:
        settings = result.run.settings
        name = _name(tag("a", settings.contract, href=f"#{link(result)}"), result.label, settings)
        cells = (_cell(column, result.figures, alone, best[column.head]) for column in columns)
        lines.append(tag("tr", name, *cells))
    table = tag("table", tag("thead", head), tag("tbody", *lines), class_="sortable")
    hint = "A click on a head sorts; what does not fit is to the right."
    return join(tag("div", table, class_="scroll"), tag("p", hint, class_="soft screen"))


def forecasts_table(section: Section) -> Markup:
    """Return what each pair of runs differs by that knows the day before or the future."""
    pairs = [(each, best) for each in section.results if (best := section.foreseen(each))]
    if not pairs:
        return Markup("")
    head = tag(
        "tr",
        tag("th", "contract", scope="col"),
        *(
            tag("th", what, tag("small", unit), scope="col")
            for what, unit in (
                ("all pay", "tokens, persistence"),
                ("all pay", "tokens, perfect foresight"),
                ("worth of it", "tokens"),
                ("matched", "kWh, persistence"),
                ("matched", "kWh, perfect foresight"),
                ("losers", "persistence"),
                ("losers", "perfect foresight"),
            )
        ),
    )
    lines = []
    for each, best in pairs:
        here, there = each.figures, best.figures
        settings = each.run.settings
        name = ", ".join(filter(None, (settings.contract, settings.variant)))
        numbers = (
            tokens(here.cost_utok),
            tokens(there.cost_utok),
            tokens(here.cost_utok - there.cost_utok),
            kwh(here.matched_uwh),
            kwh(there.matched_uwh),
            str(here.losers),
            str(there.losers),
        )
        lines.append(tag("tr", tag("td", name), *(tag("td", number) for number in numbers)))
    table = tag("table", tag("thead", head), tag("tbody", *lines))
    return join(
        tag("h2", "Persistence and perfect foresight, side by side"),
        tag(
            "p",
            "Where orders name an amount before the slot is over, each run is made twice: "
            "persistence expects the same slot of the day before, perfect foresight what the "
            "meters will show. The difference is what better forecasts are worth.",
        ),
        tag("div", table, class_="scroll"),
    )


def _name(shown_as: Markup, name: str, settings: Settings) -> Markup:
    how = ", ".join(filter(None, (settings.variant, settings.forecast)))
    return tag("td", shown_as, tag("small", how) if how else Markup(""), data_value=name)


def _best(column: Column, rows: Sequence[Figures]) -> str | None:
    """Return how the best value is written; None where all look the same, or none is better."""
    values = [value for row in rows if (value := column.value(row)) is not None]
    if not column.better or len({column.text(value) for value in values}) < 2:
        return None
    return column.text(min(values) if column.better == "low" else max(values))


def _cell(column: Column, figures: Figures, alone: Figures, best: str | None) -> Markup:
    value = column.value(figures)
    if value is None:
        return tag("td", "–", data_value="")
    mark = "best" if column.text(value) == best else None
    if column.is_alarming and value > (column.value(alone) or 0) * (1 + ALARM_SHARE):
        mark = "worse"
    return tag("td", column.text(value), data_value=f"{value:.9g}", class_=mark)
