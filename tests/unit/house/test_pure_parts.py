"""The pure parts compute with integers in a fixed order, so that every replica gets the same bytes.

That they import no clock, no randomness and no files is a contract in setup.cfg; this finds what an
import contract cannot see.
"""

from __future__ import annotations

import ast

import pytest

from tests.support.source import pure

SET_CALLS = {"set", "frozenset"}


def is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in SET_CALLS
    return isinstance(node, (ast.Set, ast.SetComp))


def impurities(tree: ast.Module) -> list[str]:
    """Return each float, true division, iteration over a set, and `hash()`, with its line."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()):
                found.append(f"{node.lineno}: float {node.value}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append(f"{node.lineno}: true division")
            case ast.Call(func=ast.Name(id="float" | "hash" | "open" | "id" as name)):
                found.append(f"{node.lineno}: {name}()")
            case ast.For() | ast.comprehension() if is_set(node.iter):
                found.append(f"{node.iter.lineno}: iteration over a set")
            case ast.Assert():
                found.append(f"{node.lineno}: assert")
    return found


@pytest.mark.parametrize(
    "text",
    [
        "x = 0.5",
        "x = 1 / 2",
        "x /= 2",
        "x = float('1')",
        "x = hash('a')",
        "for a in {1, 2}: pass",
        "x = [a for a in set(b)]",
        "assert x",
    ],
)
def test_finds(text):
    assert len(impurities(ast.parse(text))) == 1


def test_sorted_sets_are_fine():
    assert impurities(ast.parse("for a in sorted({1, 2}): b = a // 2")) == []


def test_the_pure_parts_are_pure():
    parts = pure()
    assert len(parts) > 30
    assert {s.name: found for s in parts if (found := impurities(s.tree))} == {}
