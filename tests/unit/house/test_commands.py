"""Every verb of every program has help and a place in docs; every shown line has a known verb."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from tests.support.source import ROOT

TEXT = (ROOT / "docs" / "commands.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def reader() -> ModuleType:
    """Return what reads the programs' command lines; it also writes docs/commands.md."""
    spec = importlib.util.spec_from_file_location("programs", ROOT / ".ci" / "programs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAMS = {program.name: program for program in reader().programs()}
ALL = [(name, verb) for name, program in PROGRAMS.items() for verb in program.verbs]
IDS = [f"{name} {verb.name}" for name, verb in ALL]


def options(verb) -> set[str]:
    return {name for each in verb.parameters if not each.is_argument for name in each.names}


def section(title: str) -> str:
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/commands.md has no {title}: run `make docs`"
    return found[1]


def test_each_program_has_verbs():
    assert len(PROGRAMS) >= 4
    assert [name for name, program in PROGRAMS.items() if not program.verbs] == []


@pytest.mark.parametrize(("name", "verb"), ALL, ids=IDS)
def test_every_verb_and_option_has_help(name, verb):
    assert verb.help
    assert [each.names for each in verb.parameters if not each.help] == []


@pytest.mark.parametrize(("name", "verb"), ALL, ids=IDS)
def test_every_verb_and_option_is_documented(name, verb):
    text = section(f"{name} {verb.name}")
    named = {option for option in options(verb) if option.startswith("--")} - {"--help"}
    assert {option for option in named if f"`{option}`" not in text} == set()


def test_nothing_is_documented_that_is_not_there():
    titles = set(re.findall(r"^### (gridtally-.+)$", TEXT, re.MULTILINE))
    assert titles == set(IDS)


def lines() -> list[tuple[str, str]]:
    """Return every line of a code block in the docs that calls one of our programs."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                if re.match(r"(?:\.venv/bin/)?gridtally-", line):
                    found.append((page.name, line.split(" #")[0].strip()))
    return found


@pytest.mark.parametrize(("page", "line"), lines())
def test_every_shown_line_has_a_verb_and_options_that_exist(page, line):
    name, *words = line.removeprefix(".venv/bin/").split()
    known = {verb.name: verb for verb in PROGRAMS[name].verbs}
    verb = next((v for v in known if words[: len(v.split())] == v.split()), None)
    assert verb is not None, f"{page}: {line}"
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used - options(known[verb]) == set(), f"{page}: {line}"
