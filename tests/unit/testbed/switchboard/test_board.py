"""The board: what can be switched, what is on, and what it says of a wrong name."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from testbed.errors import BadDevice, Unplayable
from testbed.switchboard import board as board_module
from testbed.switchboard.board import AFTERMATH_S, BACK, Board, fault_named
from testbed.switchboard.catalog import FAULTS, NOT_PLAYED


@dataclass
class Lever:
    """A switch that remembers what was done with it; once it may refuse."""

    is_on: bool = False
    refusal: str = ""
    turned: int = 0

    def turn(self, on: bool) -> None:
        if self.refusal:
            raise Unplayable(self.refusal)
        self.is_on = on
        self.turned += 1


@pytest.fixture
def hub() -> Lever:
    return Lever()


@pytest.fixture
def board(hub: Lever) -> Board:
    switches = {
        "kill": {"hub": hub, "edge-dep1": Lever()},
        "ledger_edited": {"hub": Lever(refusal="needs a C compiler")},
    }
    return Board("a bench", switches)


def test_a_fault_goes_on_and_off_and_says_what_to_look_at(board: Board, hub: Lever) -> None:
    told = board.turn("kill", "hub", True)
    assert told == f"kill on, hub. {FAULTS['kill'].seen_on('hub')}"
    assert board.on == (("kill", "hub"),)
    assert board.turn("kill", "hub", True) == "kill on, hub: it is so already"
    assert board.turn("kill", "hub", False) == f"kill off, hub. {BACK}"
    assert board.on == ()
    assert hub.turned == 2


def test_what_is_seen_depends_on_the_target() -> None:
    kill = FAULTS["kill"]
    seen = {kill.seen_on(name) for name in ("hub", "edge-dep1", "guard-dep1", "broker", "web")}
    assert len(seen) == 5
    assert kill.seen_on("something else") == kill.see


def test_all_is_switched_off_at_once(board: Board) -> None:
    assert board.all_off() == "nothing was on"
    board.turn("kill", "hub", True)
    board.turn("kill", "edge-dep1", True)
    assert board.all_off() == "off: kill hub, kill edge-dep1"
    assert board.on == ()


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("kil", "hub", r"no fault 'kil': did you mean kill\? There are kill, ledger_edited"),
        ("lightning", "hub", r"no fault 'lightning'\. There are kill"),
        ("frozen", "dep1-lamp", "frozen: nothing in this demo has this fault"),
        ("kill", "edge-dep2", r"no target 'edge-dep2' for kill: did you mean edge-dep1\?"),
        ("kill", "", r"kill: on what\?\. It can be played on hub, edge-dep1"),
    ],
)
def test_a_wrong_name_is_told_with_what_there_is(
    board: Board, name: str, target: str, words: str
) -> None:
    with pytest.raises(BadDevice, match=words):
        board.turn(name, target, True)
    assert board.is_quiet
    assert not board.news


def test_the_only_target_need_not_be_named_and_a_refusal_is_passed_on(board: Board) -> None:
    with pytest.raises(Unplayable, match="needs a C compiler"):
        board.turn("ledger_edited", "", True)
    assert board.on == ()


def test_nobody_gives_up_while_a_fault_is_on_nor_for_a_while_after(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1_000.0]
    monkeypatch.setattr(board_module.time, "monotonic", lambda: now_s[0])
    assert board.is_quiet
    board.turn("kill", "hub", True)
    now_s[0] += 10 * AFTERMATH_S
    assert not board.is_quiet
    board.turn("kill", "hub", False)
    now_s[0] += AFTERMATH_S - 1
    assert not board.is_quiet
    now_s[0] += 2
    assert board.is_quiet


def test_the_facts_are_plain_values_in_the_order_of_the_catalog(board: Board) -> None:
    board.turn("kill", "hub", True)
    facts = json.loads(json.dumps(board.facts()))
    assert [each["name"] for each in facts["faults"]] == ["kill", "ledger_edited"]
    kill = facts["faults"][0]
    assert kill["targets"] == ["hub", "edge-dep1"]
    assert kill["on"] == ["hub"]
    assert kill["see_on"]["hub"] == FAULTS["kill"].seen_on("hub")
    assert [each["row"] for each in facts["not_played"]] == list(NOT_PLAYED)
    assert facts["news"][0].endswith("kill on, hub")


def test_a_name_alone_is_looked_up_in_the_whole_catalog() -> None:
    assert fault_named("welded").rows == ("F33",)
    with pytest.raises(BadDevice, match="did you mean welded"):
        fault_named("wellded")
