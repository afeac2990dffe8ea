"""`gridtally-hub dispute` and `rule`: from a line of a bill to a ruling, by commands alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub.commands.inspecting import audit_ledger
from keys.file import generate
from messages.disputes import HELD
from tests.support.courthouse import FIRST, Courthouse


@pytest.fixture
def court(tmp_path: Path) -> Courthouse:
    return Courthouse(tmp_path)


def test_from_a_line_to_a_ruling(court: Courthouse) -> None:
    listed = court.run("dispute", "lines", "alice")
    assert listed.stdout.splitlines()[0] == (
        f"{FIRST} line 1: purchase with @grid, -220 utok; until slot 2025-10-11T10:31Z"
    )
    assert len(listed.stdout.splitlines()) == 2
    why = "the meter was swapped"
    opened = court.run(
        "dispute", "open", FIRST, "1", "--amount-utok", "100", key="alice", reason=why
    )
    assert opened.exit_code == 0, opened.stderr
    number = opened.stdout.strip()
    assert (court.balance("alice"), court.balance("@grid"), court.balance(HELD)) == (-440, 340, 100)
    assert court.run("dispute", "list").stdout == (
        f"dispute {number}: alice against @grid, 100 utok of slot {FIRST} held; "
        f"ruling by slot 2025-10-11T10:33Z, else dismiss\n"
    )
    again = court.run("dispute", "lines", "alice").stdout.splitlines()[0]
    assert again.endswith(f"; was disputed by entry {number}")
    assert court.run("dispute", "answer", number, key="grid", reason="it was not").exit_code == 0
    assert ", answered by entry " in court.run("dispute", "list").stdout
    split = ("split", "--to-claimant-utok", "60")
    ruled = court.run("rule", number, *split, key="ruth", reason="half an hour")
    assert (ruled.exit_code, ruled.stdout) == (0, ""), ruled.stderr
    assert (court.balance("alice"), court.balance("@grid"), court.balance(HELD)) == (-380, 380, 0)
    assert court.run("dispute", "list").stdout == ""
    assert audit_ledger(court.here.config, lambda done, total: None, workers=0).is_right


@pytest.mark.parametrize(
    ("verb", "who", "grid_utok"), [("concede", "grid", 220), ("withdraw", "alice", 440)]
)
def test_the_parties_end_it_themselves(
    court: Courthouse, verb: str, who: str, grid_utok: int
) -> None:
    number = court.run("dispute", "open", FIRST, "1", key="alice", reason="wrong").stdout.strip()
    assert court.balance("@grid") == 220
    ended = court.run("dispute", verb, number, key=who, reason="so be it")
    assert (ended.exit_code, ended.stdout) == (0, ""), ended.stderr
    assert (court.balance("@grid"), court.balance(HELD)) == (grid_utok, 0)


def test_what_is_refused_says_why(court: Courthouse) -> None:
    asked = {"key": "alice", "reason": "wrong"}
    court.run("dispute", "open", FIRST, "1", **asked)
    for words, signed, reason in (
        (("dispute", "open", FIRST, "1"), asked, "that line was disputed before, by entry"),
        (("dispute", "open", FIRST, "2"), asked, "lines 1 to 1 can be disputed, not line 2"),
        (("dispute", "open", "2025-10-09T08:54Z", "1"), asked, "no line can be disputed"),
        (("rule", "7", "uphold"), asked, "is signed by regulator, not by member alice"),
        (("rule", "7", "uphold"), asked | {"key": "ruth"}, "no dispute 7 is open"),
        (("dispute", "withdraw", "7"), asked, "no dispute 7 is open"),
    ):
        refused = court.run(*words, **signed)
        assert refused.exit_code in (os.EX_NOPERM, os.EX_DATAERR), words
        assert reason in refused.stderr
        assert refused.stdout == ""
    generate(court.key("eve"))
    stranger = court.run("dispute", "open", FIRST, "1", key="eve", reason="mine")
    assert "no entry has enrolled this key" in stranger.stderr
