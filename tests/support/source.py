"""The project's own source as the tests of the house see it: files, functions, imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("messages", "keys", "hardware", "edge", "hub", "member", "testbed")

# No clock, no randomness, no input or output, no floats: the import contracts name the same parts.
PURE = (
    "messages",
    "hub/core",
    "hub/market",
    "hub/balancing",
    "hub/intake.py",
    "hub/matching.py",
    "edge/agent.py",
    "edge/observing.py",
    "edge/register.py",
    "edge/lease.py",
)


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of the project."""

    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The root package it belongs to."""
        return self.name.split("/")[0]

    def imports(self) -> Iterator[str]:
        """Yield the dotted name of each module it imports, at the top or inside a function."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                yield node.module


@cache
def sources(*below: str) -> tuple[Source, ...]:
    """Return every Python file below these folders (or these files), in order of name."""
    found = []
    for part in below:
        path = ROOT / part
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        for file in files:
            if file.exists():
                text = file.read_text()
                found.append(Source(str(file.relative_to(ROOT)), text, ast.parse(text)))
    return tuple(found)


def shipped() -> tuple[Source, ...]:
    """Return every file that is installed."""
    return sources(*PACKAGES)


def pure() -> tuple[Source, ...]:
    """Return every file of the pure parts."""
    return sources(*PURE)
