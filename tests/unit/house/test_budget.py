"""Growth is a decision: no function body over 60 lines and no file over 500."""

from __future__ import annotations

import ast
from pathlib import Path

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


def test_no_file_is_too_long():
    assert {s.name: n for s in ALL if (n := s.text.count("\n")) > FILE_LINES_MAX} == {}


def test_no_function_is_too_long():
    assert {
        f"{s.name}: {f.name}": n
        for s in ALL
        for f in functions(s)
        if (n := body_lines(f)) > BODY_LINES_MAX
    } == {}


def test_no_file_is_named_for_nothing():
    assert [s.name for s in ALL if Path(s.name).stem in FORBIDDEN_NAMES] == []
