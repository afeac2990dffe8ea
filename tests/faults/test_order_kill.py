"""A hub that takes sealed orders is killed, by SIGKILL, at each phase: nothing changes by it.

Places at which it may die are counted in one round that nobody disturbs: before a call is durable,
durable and not folded, folded and not in the books, before its caller hears of it, before it is
signed for; in commit, reveal, clearing and settlement. A process of its own is killed there, and
another one finishes the round. Which steps there are, tests/unit/hub/ordering looks at one by one.
"""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.killing import Points
from tests.support.order_rounds import Result, Rounds, dying, founded_town
from tests.support.town import Town

PARTS, EACH = 4, 3
"""Every so many places is enough, since phases have five or more."""


class Deadly(Points):
    """Dies as a process does: at once, and with nothing flushed."""

    def reach(self, where: str) -> None:
        self.passed += 1
        if self.passed == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], object]) -> int:
    """Let a copy of this process work, and return the signal that ended it; 0: none did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that a copy has not
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def play(town: Town, folder: Path, points: Points) -> Result:
    shutil.copytree(town.folder, folder)
    rounds = Rounds(town.moved(folder))
    with pytest.MonkeyPatch.context() as patch:
        dying(points, patch)
        rounds.play()
    return rounds.result()


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return founded_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def undisturbed(founded: Town, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Result]:
    """How many places there are, and what the ledger comes to when nobody dies."""
    points = Points()
    result = play(founded, tmp_path_factory.mktemp("undisturbed") / "town", points)
    return points.passed, result


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_phase_changes_no_clearing(
    founded: Town, undisturbed: tuple[int, Result], tmp_path: Path, part: int
) -> None:
    count, wanted = undisturbed
    assert count > PARTS * EACH
    assert [row.energy_uwh for row in wanted.matches] == [2_000_000]
    for die_at in range(1 + part * EACH, count + 1, PARTS * EACH):
        folder = tmp_path / str(die_at)
        ended = in_a_process(lambda f=folder, n=die_at: play(founded, f, Deadly(n)))
        assert ended == signal.SIGKILL, die_at
        rounds = Rounds(founded.moved(folder))
        rounds.play()
        assert rounds.result() == wanted, die_at
