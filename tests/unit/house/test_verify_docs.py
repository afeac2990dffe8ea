"""The pages for doubters say what the program does: every exit code, every field of a statement."""

from __future__ import annotations

import dataclasses
import re
import typing

import pytest

from member.errors import MEANINGS
from messages import statement
from tests.support.source import ROOT

VERIFY = (ROOT / "docs" / "verify.md").read_text()
BILL = (ROOT / "docs" / "bill-format.md").read_text()


def test_the_table_of_exit_codes_is_the_programs():
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", VERIFY, re.MULTILINE)
    assert rows == [(str(int(c)), c.name.lower(), text) for c, text in MEANINGS.items()]


def kinds(kind: type, found: dict[str, type] | None = None) -> dict[str, type]:
    """Return every dataclass that a statement is made of."""
    found = {} if found is None else found
    found[kind.__name__] = kind
    for hint in typing.get_type_hints(kind).values():
        for part in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(part) and part.__name__ not in found:
                kinds(part, found)
    return found


@pytest.mark.parametrize("kind", kinds(statement.Statement).values(), ids=lambda k: k.__name__)
def test_every_field_of_a_statement_is_told(kind):
    named = set(re.findall(r"`(\w+)`", BILL))
    assert {field.name for field in dataclasses.fields(kind)} - named == set()


@pytest.mark.parametrize("kind", statement.NAMES, ids=lambda k: k.__name__)
def test_rows_are_told_in_the_order_in_which_they_are_hashed(kind):
    line = re.search(rf'^- `"{statement.NAMES[kind]}"`: (.+)$', BILL, re.MULTILINE)
    assert line is not None
    fields = [field.name for field in dataclasses.fields(kind)]
    assert [name for name in re.findall(r"`(\w+)`", line[1]) if name in fields] == fields


def test_the_page_names_the_format():
    assert f"`{statement.FORMAT}`" in BILL
