"""Write a comparison's files: all of them whole, or none.

They are written into a hidden folder beside their places and moved there at the end, one by one,
each at once. Whoever stops the program before finds what lay there before.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from testbed.compare.comparison import Comparison, Section
from testbed.compare.outcome import Figures, Result
from testbed.compare.page import page

SERIES = (
    "consumed_uwh",
    "generated_uwh",
    "import_uwh",
    "export_uwh",
    "matched_uwh",
    "curtailed_uwh",
    "price_utok_per_kwh",
    "tariff_utok_per_kwh",
    "feed_in_utok_per_kwh",
)
RUN = ("slot_min", "contract", "variant", "forecast")
Row = Sequence[object]


def write_comparison(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write report, CSVs and JSON; return their paths."""
    return write_files(
        folder,
        {
            "report.html": page(comparison),
            "contracts.csv": _csv(
                [field.name for field in fields(Figures)], _contracts(comparison)
            ),
            "members.csv": _csv([*RUN, *MEMBER], _members(comparison)),
            "slots.csv": _csv([*RUN, "slot", "start_minute", *SERIES], _slots(comparison)),
            "sales.csv": _csv(
                [*RUN, "seller", "buyer", "energy_uwh", "worth_utok"], _sales(comparison)
            ),
            "compare.json": json.dumps(everything(comparison), indent=1, allow_nan=False) + "\n",
        },
    )


def write_files(folder: Path, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Put texts into files of a folder, each whole or not at all; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    try:
        for name, text in texts.items():
            (unfinished / name).write_text(text, encoding="utf-8", newline="")
        for name in texts:
            (unfinished / name).replace(folder / name)
    finally:
        shutil.rmtree(unfinished)
    return tuple(folder / name for name in texts)


def _csv(head: Sequence[str], rows: Iterable[Row]) -> str:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(head)
    table.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    """Return what stands in a cell: nothing for None, and no text that a spreadsheet would run."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value


def _runs(comparison: Comparison) -> Iterator[tuple[Section, Result, Row]]:
    """Yield every run with what names it; the grid alone is a run like any other."""
    for section in comparison.sections:
        for result in (section.grid_only, *section.results):
            settings = result.run.settings
            name = (section.slot_min, settings.contract, settings.variant, settings.forecast)
            yield section, result, name


def _contracts(comparison: Comparison) -> Iterator[Row]:
    for _, result, _ in _runs(comparison):
        yield tuple(asdict(result.figures).values())


MEMBER = (
    "member",
    "group",
    "area",
    "consumed_uwh",
    "generated_uwh",
    "bought_uwh",
    "sold_uwh",
    "cost_utok",
    "saved_utok",
    "unfair_uwh",
)


def _members(comparison: Comparison) -> Iterator[Row]:
    for section, result, name in _runs(comparison):
        tally = result.run.tally
        for household in section.community.households:
            member = household.member
            sales = tally.sales.items()
            yield (
                *name,
                member.home,
                member.group,
                member.area,
                sum(household.consumption_uwh),
                sum(household.generation_uwh),
                sum(energy for (_, buyer), (energy, _) in sales if buyer == member.home),
                sum(energy for (seller, _), (energy, _) in sales if seller == member.home),
                result.cost_utok[member.home],
                result.saved_utok[member.home],
                tally.unfair_uwh.get(member.home, 0),
            )


def _slots(comparison: Comparison) -> Iterator[Row]:
    for section, result, name in _runs(comparison):
        community, series = section.community, result.run.tally.series
        columns = [getattr(series, each) for each in SERIES]
        for slot, row in enumerate(zip(*columns, strict=True)):
            minute = community.at_ms(slot) // 60_000 % 1440
            yield (*name, slot, minute, *row)


def _sales(comparison: Comparison) -> Iterator[Row]:
    for _, result, name in _runs(comparison):
        for (seller, buyer), (energy, worth) in sorted(result.run.tally.sales.items()):
            yield (*name, seller, buyer, energy, worth // 10**9)


def everything(comparison: Comparison) -> dict[str, Any]:
    """Return the whole comparison as JSON has it; what is in the CSVs under the same names."""
    return {
        "source": comparison.source,
        "notes": list(comparison.notes),
        "made_at": comparison.made_at,
        "version": comparison.version,
        "slots": [_section(section) for section in comparison.sections],
        "runs": [_run(section, result) for section, result, _ in _runs(comparison)],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "slot_min": section.slot_min,
        "slots": section.community.slots,
        "optimum_welfare_tokens": section.yardsticks.welfare_tokens,
        "least_cost_tokens": section.yardsticks.least_cost_tokens,
        "members": [asdict(each) for each in section.community.members.values()],
    }


def _run(section: Section, result: Result) -> dict[str, Any]:
    tally = result.run.tally
    return {
        "label": result.label,
        "parameters": dict(result.run.settings.parameters),
        "figures": asdict(result.figures),
        "cost_utok": dict(result.cost_utok),
        "saved_utok": dict(result.saved_utok),
        "group_cost_utok": dict(result.by_group(result.cost_utok)),
        "group_grid_only_utok": dict(section.grid_only.by_group(section.grid_only.cost_utok)),
        "accounts_utok": {name: -cost for name, cost in sorted(tally.cost_utok.items())},
        "sales": [
            {"seller": seller, "buyer": buyer, "energy_uwh": energy, "worth_utok": worth // 10**9}
            for (seller, buyer), (energy, worth) in sorted(tally.sales.items())
        ],
        "failures": dict(sorted(tally.failures.items())),
        "reasons": dict(sorted(tally.reasons.items())),
        "series": asdict(tally.series),
    }
