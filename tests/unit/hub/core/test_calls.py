"""Members' calls count once, in time, for the contract in force; a failure changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hub.core.calls import CALL_AHEAD_MS
from hub.core.effects import CallFailed, CallServed, Line
from hub.market.contract import (
    GRID,
    CallRequest,
    CallResult,
    Clearing,
    SlotBook,
    StepBudget,
    Transfer,
)
from hub.market.errors import CallRefused
from keys.file import FileSigner
from tests.support.village import HOUR, Village, ignored

Serve = Callable[[CallRequest, StepBudget], CallResult]
CALL_ID = b"\1" * 16


class Shop:
    """A contract that answers as a test wants."""

    name = "shop"

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Take anything."""

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        return Clearing()

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        return self._serve(request, budget)


def buy(request: CallRequest, budget: StepBudget) -> CallResult:
    """Take 5 utok, remember how many came, answer with the number."""
    budget.spend()
    count = request.memory.get("count", 0)
    assert isinstance(count, int)
    return CallResult(
        (Transfer(request.member, GRID, 5, "entry"),), {"count": count + 1}, {"number": count}
    )


def open_shop(serve: Serve = buy) -> tuple[Village, FileSigner]:
    village = Village(contract="shop", contracts={"shop": lambda: Shop(serve)})
    ann = village.person("ann")
    village.close(0)
    return village, ann


def call(village: Village, ann: FileSigner, **changes: Any) -> Any:
    return village.call(ann, **({"contract": "shop", "method": "buy"} | changes))


def test_a_call_is_served() -> None:
    village, ann = open_shop()
    assert call(village, ann) == (
        CallServed(
            4,
            CALL_ID,
            "ann",
            "shop",
            "buy",
            {"number": 0},
            (
                Line(GRID, "transfer", "ann", 0, 0, 5, "entry"),
                Line("ann", "transfer", GRID, 0, 0, -5, "entry"),
            ),
        ),
    )
    assert village.state.accounts == {"ann": -5, GRID: 5}
    assert village.state.memory == {("shop", "count"): 1}
    assert village.state.calls == {CALL_ID: 10 * HOUR}


def test_it_counts_once() -> None:
    village, ann = open_shop()
    call(village, ann)
    assert ignored(call(village, ann)) == f"call {CALL_ID.hex()} counted once already"
    call(village, ann, call_id=b"\2" * 16)
    assert village.state.accounts["ann"] == -10


def test_its_id_is_forgotten_when_it_cannot_come_back() -> None:
    village, ann = open_shop()
    call(village, ann, not_after_slot_ms=2 * HOUR)
    village.close(1)
    assert CALL_ID in village.state.calls
    village.close(2)
    assert village.state.calls == {}
    (failed,) = call(village, ann, not_after_slot_ms=2 * HOUR)
    assert isinstance(failed, CallFailed)
    assert failed.reason == f"too late: not after {2 * HOUR}, now {3 * HOUR}"
    assert village.state.calls == {}
    assert village.state.accounts["ann"] == -5


def _raise(request: CallRequest, budget: StepBudget) -> CallResult:
    raise KeyError("at 0x7f")


def _refuse(request: CallRequest, budget: StepBudget) -> CallResult:
    raise CallRefused("sold out")


def _hang(request: CallRequest, budget: StepBudget) -> CallResult:
    while True:
        budget.spend()


def _mint(request: CallRequest, budget: StepBudget) -> CallResult:
    return CallResult((Transfer("@mint", request.member, 5, "free"),), {"x": 1})


def _float(request: CallRequest, budget: StepBudget) -> CallResult:
    return CallResult((Transfer(request.member, GRID, 5, "fee"),), {"x": 1}, {"y": 0.5})  # type: ignore[dict-item]


def _forget(request: CallRequest, budget: StepBudget) -> CallResult:
    return CallResult((), {"x": 0.5})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (_raise, "the contract raised KeyError"),
        (_refuse, "sold out"),
        (_hang, "the contract used more steps than it was given"),
        (_mint, "there is no account '@mint'"),
        (_float, "a float cannot stand in a memory"),
        (_forget, "a float cannot stand in a memory"),
    ],
)
def test_a_call_that_fails_changes_nothing(serve: Serve, reason: str) -> None:
    village, ann = open_shop(serve)
    before = village.state.copy()
    assert call(village, ann) == (CallFailed(4, CALL_ID, "ann", "shop", "buy", reason),)
    assert village.state.accounts == before.accounts
    assert village.state.memory == before.memory == {}
    assert village.state.calls == {CALL_ID: 10 * HOUR}
    assert village.state.progress.results_size == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"contract": "dep_balance"},
            f"contract 'dep_balance' is not in force in slot {HOUR}: 'shop' is",
        ),
        (
            {"not_after_slot_ms": HOUR + CALL_AHEAD_MS + 1},
            "a call may stay valid for 31 days",
        ),
    ],
)
def test_calls_that_fail_before_the_contract_hears_of_them(
    changes: dict[str, Any], reason: str
) -> None:
    village, ann = open_shop()
    (failed,) = call(village, ann, **changes)
    assert isinstance(failed, CallFailed)
    assert failed.reason == reason


def test_a_contract_in_force_that_is_not_installed() -> None:
    village = Village(contract="shop", contracts={})
    ann = village.person("ann")
    village.close(0)
    (failed,) = call(village, ann)
    assert isinstance(failed, CallFailed)
    assert failed.reason == "contract 'shop' is not installed here"


def test_a_contract_may_remember_nothing_new() -> None:
    village, ann = open_shop(lambda _request, _budget: CallResult(answer={"open": True}))
    (served,) = call(village, ann)
    assert isinstance(served, CallServed)
    assert served.answer == {"open": True}
    assert village.state.memory == {}


@pytest.mark.parametrize("call_id", [b"short", b"0" * 33])
def test_an_id_has_its_length(call_id: bytes) -> None:
    village, ann = open_shop()
    assert "8 to 32 bytes" in ignored(call(village, ann, call_id=call_id))


def test_no_call_before_the_first_slot() -> None:
    village = Village(contract="shop", contracts={"shop": lambda: Shop(buy)})
    ann = village.person("ann")
    assert "a slot that has closed" in ignored(call(village, ann))


def test_memory_running_out_is_this_machines_fault() -> None:
    def out(request: CallRequest, budget: StepBudget) -> CallResult:
        raise MemoryError

    village, ann = open_shop(out)
    with pytest.raises(MemoryError):
        call(village, ann)
