"""docs/configuration.md knows every key, every catalog name, and shows the examples as they are."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import typing

import pytest

import edge.config
import hub.config
import hub.policyfile
from hardware import catalog
from hub.balancing.catalog import POLICIES
from hub.market.catalog import CONTRACTS
from tests.support.source import ROOT

TEXT = (ROOT / "docs" / "configuration.md").read_text()
QUOTED = set(re.findall(r"`([^`\n]+)`", TEXT)) | set(re.findall(r"\[+([a-z]+)\]+", TEXT))


def keys(kind: type) -> set[str]:
    """Return every key of a table and of the tables in it, but for options left to a catalog."""
    hints = typing.get_type_hints(kind)
    found = set()
    for field in dataclasses.fields(kind):
        if field.name == "options":
            continue
        found.add(field.name)
        for part in (hints[field.name], *typing.get_args(hints[field.name])):
            if dataclasses.is_dataclass(part):
                found |= keys(part)
    return found


@pytest.mark.parametrize(
    "config", [edge.config.EdgeConfig, hub.config.HubConfig], ids=["edge", "hub"]
)
def test_every_key_is_documented(config):
    assert len(keys(config)) > 15
    # Keys of `tls` stand inside its own example.
    assert keys(config) - QUOTED - {"ca", "cert"} == set()


def test_every_option_of_a_bus_is_documented():
    entries = catalog.BUSES.values()
    named = {field.name for entry in entries for field in dataclasses.fields(entry.options)}
    assert named - QUOTED == set()


def test_every_name_in_a_catalog_is_documented():
    assert {*catalog.BUSES, *CONTRACTS, *POLICIES} - QUOTED == set()
    listed = {page.stem for page in (ROOT / "docs" / "devices").glob("*.md")} - {"README"}
    assert listed == {*catalog.METERS, *catalog.RELAYS}


def test_what_the_programs_write_into_docs_is_what_they_say():
    """`make docs` mends it."""
    check = [sys.executable, str(ROOT / ".ci" / "docs"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("name", "module"),
    [("edge", edge.config), ("hub", hub.config), ("policy", hub.policyfile)],
)
def test_the_examples_are_those_of_the_programs(name, module):
    shown = re.search(rf"<!-- example: {name} -->\n```toml\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    assert shown[1] == module.EXAMPLE
