"""A member disputes a line over HTTP with nothing but his statement and his key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from member.program import main
from messages.disputes import HELD
from tests.support.courthouse import FIRST, Courthouse
from tests.support.site import Site


class Office:
    """The court behind its web process, and what people type on their own machines."""

    def __init__(self, folder: Path) -> None:
        self.court = Courthouse(folder)
        self.statement = folder / "alice.json"
        made = self.court.run("statement", "alice", "--out", str(self.statement))
        assert made.exit_code == 0, made.stderr
        self.site = Site(self.court.here)

    def type(self, who: str, *words: str) -> int:
        trust = self.court.here.bench.folder / "trust.toml"
        options = ["--hub", self.site.url, "--key", str(self.court.key(who))]
        return main([words[0], *options, "--trust", str(trust), "--reason", "so", *words[1:]])

    def dispute(self, *words: str) -> int:
        return self.type("alice", "dispute", str(self.statement), *words)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.site.stop()


def test_from_a_statement_to_a_ruling(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert office.dispute(FIRST, "1", "--amount-utok", "100") == 0
    number = capsys.readouterr().out.strip()
    assert office.court.balance(HELD) == 100
    assert office.type("grid", "answer", number) == 0
    assert office.type("ruth", "rule", number, "split", "--to-claimant-utok", "60") == 0
    assert (office.court.balance(HELD), office.court.balance("alice")) == (0, -380)
    assert office.dispute(FIRST, "1") == 77
    assert f"disputed before, by entry {number}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "who", "left_utok"), [("drop", "alice", 440), ("concede", "grid", 220)]
)
def test_a_party_ends_it(office: Office, capsys: Any, verb: str, who: str, left_utok: int) -> None:
    assert office.dispute(FIRST, "1") == 0
    number = capsys.readouterr().out.strip()
    assert office.type("ruth", "drop", number) == 77
    assert office.type(who, verb, number) == 0
    assert office.court.balance("@grid") == left_utok


def test_a_line_that_is_not_there(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    for slot, line, why in (
        (FIRST, "2", f"slot {FIRST} has lines 1 to 1 that can be disputed here"),
        ("2025-10-09T07:00Z", "1", "has no line that can be disputed here"),
    ):
        assert office.dispute(slot, line) == 2
        assert why in capsys.readouterr().err
