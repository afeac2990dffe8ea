"""Every verb of every program has help and a place in docs; every shown line has a known verb."""

from __future__ import annotations

import configparser
import importlib
import re

import pytest
import typer.main

from tests.support.source import ROOT

CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
SCRIPTS = dict(
    re.split(r"\s*=\s*", line)
    for line in CONFIG["options.entry_points"]["console_scripts"].strip().splitlines()
)
TEXT = (ROOT / "docs" / "commands.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def program(name: str):
    module, attribute = SCRIPTS[name].split(":")
    return typer.main.get_command(getattr(importlib.import_module(module), attribute))


def verbs(command, prefix: str = "") -> dict[str, object]:
    found = {}
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            found |= verbs(child, f"{prefix}{name} ")
        elif not child.hidden:
            found[f"{prefix}{name}"] = child
    return found


ALL = [(name, verb, child) for name in SCRIPTS for verb, child in verbs(program(name)).items()]
IDS = [f"{name} {verb}" for name, verb, _ in ALL]


def options(child) -> set[str]:
    return {name for each in child.params for name in (*each.opts, *each.secondary_opts)}


def section(title: str) -> str:
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/commands.md has no {title}: run `make docs`"
    return found[1]


def test_each_program_has_verbs():
    assert {name for name, _, _ in ALL} == set(SCRIPTS)


@pytest.mark.parametrize(("name", "verb", "child"), ALL, ids=IDS)
def test_every_verb_and_option_has_help(name, verb, child):
    assert child.help
    shown = [each for each in child.params if each.name != "help" and not each.hidden]
    assert [each.name for each in shown if not each.help] == []


@pytest.mark.parametrize(("name", "verb", "child"), ALL, ids=IDS)
def test_every_verb_and_option_is_documented(name, verb, child):
    text = section(f"{name} {verb}")
    named = {option for option in options(child) if option.startswith("--")} - {"--help"}
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
    known = verbs(program(name))
    verb = next((v for v in known if words[: len(v.split())] == v.split()), None)
    assert verb is not None, f"{page}: {line}"
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used - options(known[verb]) == set(), f"{page}: {line}"
