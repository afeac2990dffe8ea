"""The hub dies at every step of commit, reveal, clear and settle: the ledger comes out the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hub.commands.inspecting import audit_ledger
from hub.market.catalog import CONTRACTS
from hub.replica.execution import Execution
from tests.support.killing import Points
from tests.support.order_rounds import Result, Rounds, dying, founded_town
from tests.support.town import Town

PARTS = 4


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return founded_town(tmp_path_factory.mktemp("town"))


def play(founded: Town, folder: Path, points: Points) -> Result:
    shutil.copytree(founded.folder, folder)
    run = Rounds(founded.moved(folder))
    with pytest.MonkeyPatch.context() as patch:
        dying(points, patch)
        run.play()
    return run.result()


@pytest.fixture(scope="module")
def undisturbed(
    founded: Town, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Result, Town]:
    """How many points there are, what the ledger comes to when nobody dies, and that ledger."""
    points, folder = Points(), tmp_path_factory.mktemp("undisturbed") / "town"
    result = play(founded, folder, points)
    return points.passed, result, founded.moved(folder)


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_step_the_ledger_is_the_same(
    founded: Town, undisturbed: tuple[int, Result, Town], tmp_path: Path, part: int
) -> None:
    count, wanted, _ = undisturbed
    for die_at in range(1 + part, count + 1, PARTS):
        mine = Points(die_at)
        assert play(founded, tmp_path / str(die_at), mine) == wanted, mine.where
        assert mine.is_dead, die_at


def test_the_clearing_is_right_by_audit_and_replica(
    undisturbed: tuple[int, Result, Town], tmp_path: Path
) -> None:
    count, wanted, town = undisturbed
    assert count > 20
    assert [row.energy_uwh for row in wanted.matches] == [2_000_000]
    assert [row.matched_uwh for row in wanted.fates] == [2_000_000, 2_000_000]
    assert audit_ledger(town.bench.config, lambda *_: None).is_right
    with town.open() as (opened, _):
        made = Execution(
            tmp_path / "standing", opened.trust, CONTRACTS, lambda index: None, workers=1
        )
        raws = [(entry.index, entry.raw) for entry in opened.recorder.store.entries()]
    made.advance(iter(raws), len(raws), lambda *_: None, lambda *_: None)
    assert made.state.root() == wanted.state_root
