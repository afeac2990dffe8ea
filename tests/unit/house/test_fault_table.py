"""Each row of the fault table has a switch of a simulator, or says what is done, and its tests."""

from __future__ import annotations

import ast
import json
import re

import pytest

from hardware.mock.faults import FAULTS
from tests.support.source import ROOT

TABLE = "tests/wire/hardware/test_fault_table.py"
ROWS = json.loads((ROOT / "tests" / "vectors" / "fault_table.json").read_text())["rows"]


def functions(path: str) -> set[str]:
    """Return the tests of a file, those in classes too."""
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_the_table_is_whole():
    assert len(ROWS) == len({row["row"] for row in ROWS}) == 34


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_each_row_has_its_switches_and_tests(row):
    assert row.get("done_by") or row["switches"]
    assert set(row.get("switches", ())) <= FAULTS.keys()
    assert row["tests"]
    for test in row["tests"]:
        path, name = test.split("::")
        assert name in functions(path), test


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_a_test_in_the_table_s_own_file_is_named_after_its_row(row):
    slug = "test_" + re.sub(r"[^a-z0-9]+", "_", row["row"].lower()).strip("_")
    own = [test for test in row["tests"] if test.startswith(TABLE)]
    assert not own or own[0] == f"{TABLE}::{slug}"
