"""The seven hops are seven functions that exist where docs/life-of-a-reading.md says."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.source import ROOT, sources

TEXT = (ROOT / "docs" / "life-of-a-reading.md").read_text()
HOPS = re.findall(r"^\| (\d) \| `([A-Za-z_.0-9]+)` \| `([a-z0-9_/.]+)` \|", TEXT, re.MULTILINE)


def defined(file: str) -> set[str]:
    """Return the functions of a file, and the methods of its classes as Class.method."""
    (source,) = sources(file)
    found = set()
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
    return found


def test_there_are_seven_hops():
    assert [number for number, _, _ in HOPS] == list("1234567")


@pytest.mark.parametrize(("number", "function", "file"), HOPS)
def test_each_hop_is_a_function(number, function, file):
    assert function in defined(file)


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`([a-z]+/[a-z0-9_/]+\.py)`", TEXT))))
def test_each_named_file_exists(file):
    assert (ROOT / file).is_file()


@pytest.mark.parametrize(
    ("function", "file"), re.findall(r"`([A-Za-z_]+(?:\.[a-z_]+)?)` in `([a-z0-9_/.]+\.py)`", TEXT)
)
def test_each_function_named_with_its_file_is_there(function, file):
    assert function in defined(file)
