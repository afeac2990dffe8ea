"""Memory that wears: how often it is written, and that nothing is written twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import LimitRefused
from hardware.wear import DAY_MS, WornMemory, WriteBudget

HOUR_MS = 3_600_000


def spends(budget: WriteBudget, now_ms: int, *, reserve: int = 0) -> bool:
    try:
        budget.spend(now_ms, reserve=reserve)
    except LimitRefused:
        return False
    return True


def test_a_few_writes_follow_each_other_and_then_one_at_a_time():
    budget = WriteBudget(24, at_once_max=4)
    assert [spends(budget, 0) for _ in range(5)] == [True] * 4 + [False]
    assert budget.left(0) == 0
    assert budget.wait_ms(0) == DAY_MS // 20
    assert not spends(budget, DAY_MS // 20 - 1)
    assert spends(budget, DAY_MS // 20)
    assert not spends(budget, DAY_MS // 20)


def test_rest_saves_no_more_than_a_few():
    budget = WriteBudget(24, at_once_max=4)
    assert [spends(budget, 0) for _ in range(4)] == [True] * 4
    assert budget.left(30 * DAY_MS) == 4


def test_the_refusal_says_what_it_bears_and_when():
    budget = WriteBudget(24, at_once_max=1)
    budget.spend(0)
    with pytest.raises(LimitRefused, match=r"24 writes in 24 h; .* free in 63 min"):
        budget.spend(0)


def test_what_must_be_ended_is_not_begun_with_the_last_write():
    budget = WriteBudget(24, at_once_max=2)
    assert spends(budget, 0, reserve=1)
    assert not spends(budget, 0, reserve=1)
    assert spends(budget, 0)


def test_a_clock_that_goes_back_frees_nothing():
    budget = WriteBudget(24, at_once_max=1)
    budget.spend(10 * DAY_MS)
    assert budget.left(0) == 0
    assert budget.wait_ms(0) > 0


@pytest.mark.parametrize(("writes_max", "at_once_max"), [(4, 4), (4, 5), (4, 0)])
def test_a_budget_without_rest_is_refused(writes_max, at_once_max):
    with pytest.raises(ValueError, match="at_once_max"):
        WriteBudget(writes_max, at_once_max=at_once_max)


@given(
    steps_ms=st.lists(st.integers(0, 3 * HOUR_MS), max_size=200),
    writes_max=st.integers(2, 30),
    at_once_max=st.integers(1, 5),
)
def test_no_window_ever_holds_more_than_the_memory_bears(steps_ms, writes_max, at_once_max):
    budget = WriteBudget(writes_max, at_once_max=min(at_once_max, writes_max - 1))
    now_ms, written_ms = 0, []
    for step_ms in steps_ms:
        now_ms += step_ms
        if spends(budget, now_ms):
            written_ms.append(now_ms)
    for first, begin_ms in enumerate(written_ms):
        window = [each for each in written_ms[first:] if each < begin_ms + DAY_MS]
        assert len(window) <= writes_max


class Memory:
    """Holding registers that count what is written to them."""

    def __init__(self, words: dict[int, int], *, forgets: bool = False) -> None:
        self.words = words
        self.written: list[tuple[int, tuple[int, ...]]] = []
        self._forgets = forgets

    def read_words(self, device: int, function: int, address: int, count: int) -> tuple[int, ...]:
        assert (device, function) == (7, 3)
        return tuple(self.words[place] for place in range(address, address + count))

    def write_word(self, device: int, address: int, word: int) -> None:
        self.write_words(device, address, (word,))

    def write_words(self, device: int, address: int, words: tuple[int, ...]) -> None:
        self.written.append((address, words))
        if not self._forgets:
            self.words |= dict(enumerate(words, address))


def test_what_stands_there_is_not_written_again():
    memory = Memory({5: 1, 6: 2})
    worn = WornMemory(memory, 7, WriteBudget())
    assert worn.keep(5, (1, 3))
    assert not worn.keep(5, (1, 3))
    assert worn.keep(6, (4,))
    assert memory.written == [(5, (1, 3)), (6, (4,))]
    assert memory.words == {5: 1, 6: 4}


def test_a_device_without_function_16_takes_only_the_words_that_differ():
    memory = Memory({5: 1, 6: 2, 7: 3})
    worn = WornMemory(memory, 7, WriteBudget(24, at_once_max=2), one_by_one=True)
    assert worn.keep(5, (9, 2, 8))
    assert memory.written == [(5, (9,)), (7, (8,))]
    with pytest.raises(LimitRefused, match="24 writes"):
        worn.keep(5, (1, 2, 3))


def test_a_spent_budget_leaves_the_memory_alone_until_a_write_is_free():
    memory, clock = Memory({5: 1}), [0.0]
    worn = WornMemory(memory, 7, WriteBudget(24, at_once_max=1), clock_s=lambda: clock[0])
    assert worn.keep(5, (2,))
    with pytest.raises(LimitRefused, match="24 writes"):
        worn.keep(5, (3,))
    assert memory.written == [(5, (2,))]
    assert not worn.keep(5, (2,))
    clock[0] = DAY_MS / 23_000 + 1
    assert worn.keep(5, (3,))


def test_a_device_that_does_not_keep_a_setting_is_named():
    worn = WornMemory(Memory({5: 1}, forgets=True), 7, WriteBudget())
    with pytest.raises(LimitRefused, match=r"device 7, setting 0x0005: wrote 0002, but 0001"):
        worn.keep(5, (2,))
