"""Calls that poison a contract, or its clearing, stop neither hub nor replica, and make no money.

The contract here does what its callers ask, and they ask for the worst. Replicas fold the bytes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.clearing import Contracts
from hub.core.effects import CallFailed, CallServed, Effect, SlotSettled
from hub.core.memory import ROW_BYTES_MAX
from hub.market.catalog import CONTRACTS
from hub.market.contract import (
    GRID,
    CallRequest,
    CallResult,
    Clearing,
    Curtailment,
    Fate,
    Match,
    Remainder,
    SlotBook,
    StepBudget,
    Transfer,
)
from hub.market.errors import MarketError
from hub.market.rest import rest_to_grid
from hub.replica.execution import Execution
from tests.support.signers import ed25519
from tests.support.village import HOUR, KWH, Village
from tests.support.village_ledger import trust_of

ACTS = (
    "nothing",
    "raise",
    "market error",
    "exit",
    "overspend",
    "swallow",
    "recurse",
    "none",
    "garbage",
    "float",
    "from nothing",
    "rob",
    "stranger",
    "huge",
    "spoil",
    "surrogate",
    "giant order",
    "giant loss",
)


class Poisoned:
    """Does at a call, or at the next clearing, what the call names."""

    name = "poisoned"

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Take anything."""

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        if request.method == "later":
            return CallResult(memory={"act": request.arguments["act"]})
        return self._act(request.method, request, budget, CallResult)

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        made = self._act(str(book.memory.get("act", "nothing")), book, budget, Clearing)
        if isinstance(made, Clearing) and not made.remainders:
            return Clearing(
                made.matches,
                rest_to_grid(book, ()),
                made.curtailments,
                made.transfers,
                made.memory,
                made.fates,
            )
        return made

    def _act(self, act: str, given: Any, budget: StepBudget, kind: Any) -> Any:
        if act == "raise":
            raise ZeroDivisionError(f"at {id(self)}")
        if act == "market error":
            raise MarketError("no")
        if act == "exit":
            sys.exit(3)
        if act == "overspend":
            budget.spend(10**9)
        if act == "swallow":
            try:
                budget.spend(10**9)
            except MarketError:
                return kind()
        if act == "recurse":
            return self._act(act, given, budget, kind)
        if act == "spoil":
            given.parameters.clear()
            given.memory.clear()
        return _WORST.get(act, kind)(kind) if act in _WORST else kind()


def _with(**fields: Any) -> Any:
    return lambda kind: kind(**fields)


_WORST: dict[str, Any] = {
    "none": lambda _kind: None,
    "garbage": _with(memory=7),
    "float": _with(memory={"x": 0.5}),
    "from nothing": lambda kind: (
        kind(
            matches=(Match("ann", "bob", "", "", 10**15, 1),),
            remainders=(Remainder("ann", GRID, 1, 1),),
        )
        if kind is Clearing
        else kind(answer=[1])
    ),
    "rob": _with(transfers=(Transfer("bob", "ann", -5, "mine"),)),
    "stranger": _with(transfers=(Transfer("eve", "ann", 5, "hers"),)),
    "surrogate": _with(transfers=(Transfer("bob", "ann", 5, "\ud800"),)),
    "giant order": _with(fates=(Fate("ann", "1", "bid", 10**30, 0, 0, ""),)),
    "giant loss": _with(curtailments=(Curtailment("ann", 10**30, 0, 0, 0),)),
    "huge": _with(memory={"x": "x" * (ROW_BYTES_MAX + 1)}),
}
REAL: Contracts = {**CONTRACTS, "poisoned": Poisoned}
people = st.sampled_from(("ann", "bob"))
poison = st.tuples(people, st.sampled_from((*ACTS, "later")), st.sampled_from(ACTS))


def grown(contract: str, **parameters: Any) -> Village:
    made = Village(signed=True, contracts=REAL, contract=contract, parameters=parameters)
    for name in ("ann", "bob"):
        made.person(name)
    made.meter("ann-pv", "ann", "generation")
    made.meter("bob-load", "bob", "consumption")
    advance(made, 0)
    return made


def advance(village: Village, hour: int) -> tuple[Effect, ...]:
    """Read both meters at the start of an hour, and close the hour before."""
    village.read("ann-pv", hour, exported=5 * KWH * hour)
    village.read("bob-load", hour, imported=3 * KWH * hour)
    if not hour:
        return ()
    effects = village.close(hour - 1)
    village.header()
    return effects


def of_replica(village: Village) -> Execution:
    """What a replica makes of the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        made = Execution(
            Path(folder) / "standing", trust_of(village), REAL, lambda index: None, workers=1
        )
        entries = list(enumerate(entry.raw for entry in village.entries))
        made.advance(
            iter(entries), len(entries), lambda done, of: None, lambda index, effects: None
        )
        return made


def check_sound(village: Village) -> None:
    assert sum(village.state.accounts.values()) == 0
    replica = of_replica(village)
    assert replica.size == len(village.entries)
    assert replica.state.root() == village.state.root()


@settings(max_examples=40, deadline=None)
@given(st.lists(poison, max_size=6))
def test_no_contract_however_wrong_stops_hub_or_replica(calls: list[tuple[str, str, str]]) -> None:
    village = grown("poisoned")
    advance(village, 1)
    signers = {name: ed25519(name) for name in ("ann", "bob")}
    for number, (name, method, act) in enumerate(calls, 1):
        before = dict(village.state.memory), dict(village.state.accounts)
        (told,) = village.call(
            signers[name],
            number.to_bytes(16, "big"),
            contract="poisoned",
            method=method,
            arguments={"act": act},
        )
        assert isinstance(told, CallServed | CallFailed)
        if isinstance(told, CallFailed):
            assert told.reason
            assert before == (village.state.memory, village.state.accounts)
        (slot,) = advance(village, number + 1)
        assert isinstance(slot, SlotSettled)
        assert slot.failure or sum(row.energy_uwh for row in slot.remainders) == 8 * KWH
    check_sound(village)


numbers = st.one_of(st.integers(-2, 9), st.integers(0, 6).map(lambda x: x * HOUR), st.integers())
values: Any = st.one_of(
    numbers.map(lambda x: max(min(x, 2**63 - 1), -(2**63))),
    st.sampled_from(("bid", "ask", "ann", "bob", "solar", "north", "", "01" * 16, "@grid")),
    st.binary(max_size=40),
    st.booleans(),
)
NAMES = (
    "side",
    "price_utok_per_kwh",
    "energy_uwh",
    "slot_ms",
    "prefers",
    "order",
    "commitment",
    "salt",
    "fee_utok",
    "member",
    "amount_utok",
    "listing",
)
METHODS = ("order", "withdraw", "commit", "reveal", "deposit", "pay_out", "sell", "buy", "list")
good = st.fixed_dictionaries(
    {
        "side": st.sampled_from(("bid", "ask")),
        "price_utok_per_kwh": st.integers(0, 400_000),
    },
    optional={
        "slot_ms": st.integers(1, 4).map(lambda x: x * HOUR),
        "energy_uwh": st.integers(1, 9 * KWH),
    },
)
wild = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)
commit = st.fixed_dictionaries(
    {
        "slot_ms": st.integers(2, 4).map(lambda x: x * HOUR),
        "commitment": st.binary(min_size=32, max_size=32),
    }
)
calls = st.one_of(
    st.tuples(st.just("order"), good),
    st.tuples(st.just("commit"), commit),
    st.tuples(st.sampled_from(METHODS), wild),
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(CONTRACTS)),
    st.sampled_from(("open", "sealed")),
    st.lists(st.tuples(people, calls), max_size=8),
)
def test_no_call_stops_a_contract_of_the_catalog(
    contract: str, book: str, wanted: list[tuple[str, tuple[str, dict[str, Any]]]]
) -> None:
    takes_orders = contract in ("double_auction", "hybrid_p2p", "pooled_auction")
    village = grown(contract, **({"book": book} if takes_orders else {}))
    advance(village, 1)
    for number, (name, (method, arguments)) in enumerate(wanted):
        told = village.call(
            ed25519(name),
            number.to_bytes(16, "big"),
            contract=contract,
            method=method,
            arguments=arguments,
        )
        assert isinstance(told[0], CallServed | CallFailed)
        if number % 2:
            (slot,) = advance(village, 2 + number // 2)
            assert isinstance(slot, SlotSettled)
            assert slot.failure == ""
    check_sound(village)


def test_each_act_makes_a_clearing_fail() -> None:
    """Keep the acts above as bad as they look."""
    for act in ACTS[1:]:
        village = grown("poisoned")
        advance(village, 1)
        ann = ed25519("ann")
        village.call(ann, contract="poisoned", method="later", arguments={"act": act})
        (slot,) = advance(village, 2)
        assert isinstance(slot, SlotSettled)
        assert slot.failure, act
        assert village.state.memory == {("poisoned", "act"): act}
