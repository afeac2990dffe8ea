"""docs/scenarios.md knows every key of a scenario file, every shipped one and every column."""

from dataclasses import fields
from pathlib import Path

import pytest

from testbed import homes, scenario, tables

TEXT = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text("utf-8")
TABLES = (
    tables.Scenario,
    tables.BusTable,
    tables.BufferTable,
    tables.InertiaTable,
    tables.MemberTable,
    tables.LoadTable,
    tables.Source,
    tables.Fixed,
    tables.EventTable,
)


@pytest.mark.parametrize("table", TABLES)
def test_every_key_is_documented(table: type) -> None:
    for field in fields(table):
        named = (f"`{field.name}`", f"[{field.name}]", f"[[{field.name}]]", f".{field.name}]]")
        assert any(name in TEXT for name in named), field.name


def test_every_shipped_scenario_and_source_is_documented() -> None:
    sources = next(f for f in fields(tables.Source) if f.name == "source")
    for name in (
        *scenario.shipped(),
        *sources.metadata["rule"].choices,
        *homes.COLUMNS,
        *tables.EVENTS,
    ):
        assert f"`{name}`" in TEXT
