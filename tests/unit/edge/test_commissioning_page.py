"""What docs/commissioning.md shows of decode is what decode says."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from edge.cli import app
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "commissioning.md").read_text()
FENCES = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
SHOWN = [
    (commands, shown)
    for (kind, commands), (_, shown) in pairwise(FENCES)
    if kind == "sh" and commands.startswith("gridtally-edge decode")
]


def test_the_page_shows_something():
    assert len(SHOWN) == 3


@pytest.mark.parametrize(("commands", "shown"), SHOWN)
def test_decode_says_what_the_page_shows(commands, shown):
    said = ""
    for line in commands.splitlines():
        ended = CliRunner().invoke(app, shlex.split(line)[1:])
        said += ended.stdout or ended.stderr
    assert said == shown
