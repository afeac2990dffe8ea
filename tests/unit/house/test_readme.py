"""What README and docs point at exists; and no program names an address that it could call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.source import PACKAGES, ROOT, shipped

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
FOLDERS = (*PACKAGES, "bench", "docs", "tests")
# Namespaces and specifications, which nobody calls.
NAMED_HOSTS = ("127.0.0.1", "localhost", "www.w3.org", "c2sp.org", "::1")
# Names that can belong to nobody, for examples. Source: RFC 2606.
RESERVED = (".example", ".test", ".invalid")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_files_exist(page):
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page):
    text = page.read_text()
    blocks = "\n".join(re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL))
    named = set(re.findall(r"^make ([a-z]+)", blocks, re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z]+)", text))
    assert named - TARGETS == set()


def test_the_first_screen_says_how_to_begin():
    first = (ROOT / "README.md").read_text().splitlines()[:25]
    assert any(line.startswith("make demo") for line in first)
    assert any(line.startswith("make test") for line in first)
    assert any("docs/img/demo.png" in line for line in first)


def test_programs_call_nobody_outside():
    found = [
        f"{source.name}: {host}"
        for source in shipped()
        for host in re.findall(r"\b(?:https?|wss?|mqtts?)://([\w.:-]+)", source.text)
        if not host.startswith(NAMED_HOSTS) and not host.split(":")[0].endswith(RESERVED)
    ]
    assert found == []


def test_every_decision_record_has_its_four_headings():
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [record.name[:4] for record in records]
    assert numbers == [f"{n:04d}" for n in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text()
        found = re.findall(
            r"^(Status: |## Context|## Decision|## Consequences)", text, re.MULTILINE
        )
        assert found == ["Status: ", "## Context", "## Decision", "## Consequences"], record.name
