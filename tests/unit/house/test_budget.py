"""Growth is a decision: no function body over 60 lines and no file over 500."""

from __future__ import annotations

import ast

import pytest

from tests.support.source import Source, shipped, sources

BODY_LINES_MAX = 60
FILE_LINES_MAX = 500
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base"}

ALL = [*shipped(), *sources("bench")]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines from the first statement after the docstring to the last line."""
    body = function.body
    if ast.get_docstring(function) is not None and len(body) > 1:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(source.tree) if isinstance(node, kinds)]


def test_the_measure_counts_a_body_without_its_docstring():
    tree = ast.parse('def f():\n    """Doc\n\n    string."""\n    a = 1\n    return a\n')
    assert [body_lines(f) for f in functions(Source("f.py", "", tree))] == [2]


def test_there_is_something_to_measure():
    assert len(ALL) > 50


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)
def test_size_and_name(source):
    lines = source.text.count("\n")
    assert lines <= FILE_LINES_MAX, f"{source.name} has {lines} lines"
    long = {f.name: body_lines(f) for f in functions(source) if body_lines(f) > BODY_LINES_MAX}
    assert long == {}, source.name
    assert source.name.rpartition("/")[2].removesuffix(".py") not in FORBIDDEN_NAMES
