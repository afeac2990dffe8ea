"""The report: one HTML file that asks nothing of anybody, for a screen, a phone and paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files

from testbed.compare import glossary
from testbed.compare.bars import Bar, bars
from testbed.compare.charts import Axis, Layer, chart, json_script, mean_day, thinned
from testbed.compare.comparison import Comparison, Section
from testbed.compare.markup import Markup, join, tag
from testbed.compare.outcome import Result
from testbed.compare.sankey import sankey
from testbed.compare.table import figures_table, forecasts_table
from testbed.compare.wording import Note, kwh, of_run, of_section, percent, tokens

KWH = 1e9
TOKEN = 1e6
MEMBERS_MAX = 40
TIE_UTOK = 10_000
"""Runs whose sums differ by less are told as equal: cards show two decimals of a token."""
AREAS_MAX = 12
AGAINST = " pale: with the grid alone; last: saved"


def page(comparison: Comparison) -> str:
    """Return the whole file."""
    assets = files("testbed.compare") / "static"
    style = (assets / "report.css").read_text(encoding="utf-8")
    script = (assets / "report.js").read_text(encoding="utf-8")
    title = f"Market contracts compared: {comparison.source}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    axes = {name: axis.names for each in comparison.sections for name, axis in _axes(each).items()}
    body = tag(
        "body",
        tag("main", *_parts(comparison, title)),
        json_script({name: list(found) for name, found in axes.items()}, id="axes"),
        tag("script", Markup(script)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _parts(comparison: Comparison, title: str) -> Iterable[Markup]:
    first = comparison.sections[0]
    homes = len(first.community.households)
    days = first.community.slots / first.community.slots_a_day
    lengths = ", ".join(str(each.slot_min) for each in comparison.sections)
    yield tag("p", "gridtally-testbed compare", class_="soft")
    yield tag("h1", title)
    yield tag(
        "p",
        f"{homes} homes, {days:g} days, slots of {lengths} min, {len(first.results)} runs. "
        "Every contract clears the same slots through the code that a hub runs, and is settled to "
        "the micro-token.",
    )
    yield from (_note(Note(text)) for text in comparison.notes)
    yield _cards(first)
    for section in comparison.sections:
        yield from _section(section, is_only=len(comparison.sections) == 1)
    yield tag("h2", "What the figures are")
    yield glossary.definitions()
    yield glossary.loading()
    yield tag("footer", f"gridtally {comparison.version}, made {comparison.made_at}. Simulation.")


def _section(section: Section, *, is_only: bool) -> Iterable[Markup]:
    yield tag(
        "h2", "All contracts" if is_only else f"All contracts, slots of {section.slot_min} min"
    )
    yield figures_table(section, lambda result: _anchor(result, section))
    yield from map(_note, of_section(section))
    yield _overview(section)
    yield forecasts_table(section)
    yield tag("h2", "One by one")
    for place, result in enumerate(section.results):
        yield _run(result, section, is_open=place == 0)


def _note(note: Note) -> Markup:
    return tag("p", note.text, class_=f"note {note.tone}".strip())


def _anchor(result: Result, section: Section) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{result.label}-{section.slot_min}".lower())


def _cards(section: Section) -> Markup:
    """The four things that people ask first."""
    alone = section.grid_only.figures
    results = section.alike or section.results
    cheapest = min(results, key=lambda each: each.figures.cost_utok)
    tied = sum(each.figures.cost_utok <= cheapest.figures.cost_utok + TIE_UTOK for each in results)
    more = f" and {tied - 1} like it" if tied > 1 else ""
    fair = [each for each in results if not each.figures.losers]
    least = section.yardsticks.least_cost_tokens
    cards = [
        (tokens(alone.cost_utok), "tokens all pay with the grid alone"),
        (
            tokens(cheapest.figures.cost_utok),
            f"tokens under the cheapest, {cheapest.label}{more}: "
            f"{percent(cheapest.figures.saved_share)} less",
        ),
        (f"{len(fair)} of {len(results)}", "runs in which nobody pays more than alone"),
    ]
    if least is not None:
        cards.append((tokens(least * TOKEN), "tokens at best, as one house that knows the future"))
    return tag(
        "div",
        *(tag("div", tag("b", value), tag("span", text), class_="card") for value, text in cards),
        class_="cards",
    )


def _overview(section: Section) -> Markup:
    """What each group saves under each contract."""
    groups = sorted({each.group for each in section.community.members.values()})
    figures = []
    for group in groups:
        rows = []
        for result in section.results:
            saved = result.by_group(result.saved_utok)[group]
            rows.append(Bar(result.label, saved / TOKEN, tokens(saved)))
        members = section.community.members.values()
        count = sum(each.group == group for each in members)
        title = (
            f"{group}, {count} home{'s' if count > 1 else ''}: tokens saved against the grid alone"
        )
        figures.append(bars(rows, title=title))
    return tag("div", *figures, class_="half")


def _run(result: Result, section: Section, *, is_open: bool) -> Markup:
    figures = result.figures
    summary = tag(
        "summary",
        tag("b", result.label),
        tag("span", f"all pay {tokens(figures.cost_utok)}"),
        tag("span", f"saved {percent(figures.saved_share)}"),
        tag("span", f"matched {kwh(figures.matched_uwh)} kWh"),
        tag("span", f"losers {figures.losers}"),
    )
    body = tag(
        "div",
        *map(_note, of_run(result, section)),
        _energy(result, section),
        _prices(result, section),
        tag(
            "div",
            tag("div", _by_group(result, section), _by_area(result)),
            _by_member(result, section),
            class_="half",
        ),
        _who(result),
        _unmet(result),
    )
    opened = "open" if is_open else None
    return tag("details", summary, body, class_="run", id=_anchor(result, section), open=opened)


def _axes(section: Section) -> dict[str, Axis]:
    """Return the axes of all slots and of a mean day, by name."""
    community = section.community
    size = -(-community.slots // 800)
    starts = [community.at_ms(slot) for slot in range(0, community.slots, size)]
    days = [(at - community.start_ms) // 86_400_000 + 1 for at in starts]
    step = max(1, days[-1] // 8)
    firsts = {day: at for at, day in reversed(list(enumerate(days)))}
    slot_names = [f"day {day}, {_clock(at)}" for day, at in zip(days, starts, strict=True)]
    ticks = [(at, f"day {day}") for day, at in firsts.items() if (day - 1) % step == 0]
    a_day = min(community.slots_a_day, community.slots)
    clock = [_clock(community.at_ms(slot)) for slot in range(a_day)]
    quarter = max(1, a_day // 4)
    hours = [(at, clock[at]) for at in range(0, a_day, quarter)]
    name = str(section.slot_min)
    return {
        f"slots{name}": Axis(f"slots{name}", sorted(ticks), slot_names),
        f"day{name}": Axis(f"day{name}", hours, clock),
    }


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M")


def _energy(result: Result, section: Section) -> Markup:
    series, per_hour = result.run.tally.series, 60 / section.slot_min
    own = [
        max(consumed - matched - bought, 0)
        for consumed, matched, bought in zip(
            series.consumed_uwh, series.matched_uwh, series.import_uwh, strict=True
        )
    ]
    layers: list[tuple[str, str, str, Sequence[int]]] = [
        ("own", "leaf", "area", own),
        ("from neighbours", "plum", "area", series.matched_uwh),
        ("from the grid", "sky", "area", series.import_uwh),
        ("to the grid", "gray", "below", series.export_uwh),
        ("generated", "sun", "line", series.generated_uwh),
    ]
    kw = [
        Layer(name, colour, kind, [value / KWH * per_hour for value in values])
        for name, colour, kind, values in layers
    ]
    return _both("Load and exchange", "kW", kw, section)


def _prices(result: Result, section: Section) -> Markup:
    series = result.run.tally.series
    layers: list[tuple[str, str, Sequence[int | None]]] = [
        ("grid tariff", "sky", series.tariff_utok_per_kwh),
        ("feed-in", "gray", series.feed_in_utok_per_kwh),
        ("between neighbours", "plum", series.price_utok_per_kwh),
    ]
    found = [
        Layer(name, colour, "step", [None if each is None else each / TOKEN for each in values])
        for name, colour, values in layers
    ]
    return _both("Price", "tokens per kWh", found, section)


def _both(title: str, unit: str, layers: Sequence[Layer], section: Section) -> Markup:
    """Return the chart of all slots beside that of the mean day."""
    axes, name = _axes(section), str(section.slot_min)
    a_day = section.community.slots_a_day
    whole = [Layer(each.name, each.colour, each.kind, thinned(each.values)) for each in layers]
    day = [
        Layer(each.name, each.colour, each.kind, mean_day(each.values, a_day)) for each in layers
    ]
    return tag(
        "div",
        chart(f"{title}, every slot", unit, whole, axes[f"slots{name}"]),
        chart(f"{title}, mean day", unit, day, axes[f"day{name}"]),
        class_="two",
    )


def _by_group(result: Result, section: Section) -> Markup:
    cost = result.by_group(result.cost_utok)
    alone = section.grid_only.by_group(section.grid_only.cost_utok)
    rows = [_cost(group, utok, alone.get(group, 0)) for group, utok in cost.items()]
    return bars(rows, title="Cost by group, tokens", legend=AGAINST)


def _by_member(result: Result, section: Section) -> Markup:
    saved = sorted(result.saved_utok, key=lambda name: (-result.saved_utok[name], name))
    title = "Cost by member, tokens"
    if len(saved) > MEMBERS_MAX:
        title += f" (the {MEMBERS_MAX // 2} first and last; members.csv has all)"
        saved = saved[: MEMBERS_MAX // 2] + saved[-MEMBERS_MAX // 2 :]
    alone = section.grid_only.cost_utok
    rows = [_cost(name, result.cost_utok[name], alone.get(name, 0)) for name in saved]
    return bars(rows, title=title, legend=AGAINST)


def _cost(name: str, utok: int, alone_utok: int) -> Bar:
    saved = tokens(alone_utok - utok)
    tone = "" if saved == "0.00" else "good" if alone_utok > utok else "bad"
    return Bar(name, utok / TOKEN, tokens(utok), alone_utok / TOKEN, saved, tone)


def _by_area(result: Result) -> Markup:
    """Return how much each area sold to each, if there is more than one."""
    members = result.run.tally.community.members
    sums: dict[tuple[str, str], int] = {}
    for (seller, buyer), (energy, _) in result.run.tally.sales.items():
        pair = (members[seller].area or "no area", members[buyer].area or "no area")
        sums[pair] = sums.get(pair, 0) + energy
    if len({each.area for each in members.values()}) < 2 or not sums:
        return Markup("")
    largest = sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:AREAS_MAX]
    total = sum(sums.values())
    rows = [
        Bar(f"{one} → {other}", energy / KWH, kwh(energy), None, percent(energy / total))
        for (one, other), energy in largest
    ]
    return bars(rows, title="Sold from area to area, kWh", legend=" last: of all")


def _who(result: Result) -> Markup:
    sales = result.run.tally.sales
    if not sales:
        return tag("p", "Nobody sold anything to a neighbour.", class_="soft")
    sold: dict[str, int] = {}
    for (seller, buyer), (energy, _) in sales.items():
        for name in (f"seller {seller}", f"buyer {buyer}"):
            sold[name] = sold.get(name, 0) + energy
    text = {name: f"{kwh(energy)} kWh" for name, energy in sold.items()}
    picture = sankey(
        {pair: energy for pair, (energy, _) in sales.items()}, text, "Who bought from whom"
    )
    head = tag("figcaption", tag("b", "Who bought from whom"), tag("span", " kWh", class_="soft"))
    return join(tag("div", head), picture)


def _unmet(result: Result) -> Markup:
    reasons = result.run.tally.reasons.most_common(5)
    if not reasons:
        return Markup("")
    items = (tag("li", f"{reason}: {count:,} orders") for reason, count in reasons)
    return join(tag("b", "What those were told whose orders did not match"), tag("ul", *items))
