"""A contract is trusted with nothing: what it gets wrong, the grid tariff settles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hub.core.clearing import AMOUNT_UTOK_MAX
from hub.core.effects import SlotSettled
from hub.core.memory import ROW_BYTES_MAX
from hub.market.contract import (
    GRID,
    PRICE_UTOK_PER_KWH_MAX,
    SPILLED,
    CallRequest,
    CallResult,
    Clearing,
    Curtailment,
    Fate,
    Match,
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
    refuse_call,
)
from hub.market.errors import MarketError
from tests.support.village import FEED_IN, KWH, PRICE, Village

Clear = Callable[[SlotBook, StepBudget], Clearing]


class Scripted:
    """A contract that does what a test wants."""

    name = "scripted"

    def __init__(self, clear: Clear) -> None:
        self._clear = clear

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Take anything."""

    def clear(self, book: SlotBook, budget: StepBudget) -> Clearing:
        return self._clear(book, budget)

    def call(self, request: CallRequest, budget: StepBudget) -> CallResult:
        return refuse_call(self.name, request)


def settle(clear: Clear | Clearing) -> tuple[SlotSettled, Village]:
    """Ann made 5 kWh, Bob used 3, the scripted contract clears."""
    script = (lambda _book, _budget: clear) if isinstance(clear, Clearing) else clear
    village = Village(contract="scripted", contracts={"scripted": lambda: Scripted(script)})
    village.meter("ann-pv", "ann", "generation")
    village.meter("bob-load", "bob", "consumption")
    village.read("ann-pv", 0, exported=0)
    village.read("bob-load", 0, imported=0)
    village.read("ann-pv", 1, exported=5 * KWH)
    village.read("bob-load", 1, imported=3 * KWH)
    return village.settle(0), village


MATCH = Match("ann", "bob", "ann-pv", "bob-load", 3 * KWH, 200_000)
REST = Remainder("ann", GRID, 2 * KWH, 50_000)
GOOD = Clearing((MATCH,), (REST,))


def test_a_good_clearing_is_taken_as_it_is() -> None:
    memory = {"rounds": 1, "log": ("a", b"b", None, True, {"deep": (1, -(2**63))})}
    transfer = Transfer("bob", GRID, 7, "fee")
    clearing = Clearing(
        (MATCH,),
        (Remainder("ann", SPILLED, 2 * KWH, 0),),
        (Curtailment("bob", 5, 3, 2, 0),),
        (transfer,),
        memory,
    )
    slot, village = settle(clearing)
    assert slot.failure == ""
    assert village.state.accounts == {"ann": 600_000, "bob": -600_007, GRID: 7}
    assert slot.curtailments == clearing.curtailments
    assert village.state.memory == {("scripted", key): value for key, value in memory.items()}
    assert slot.contract == "scripted"


def _raise(error: BaseException) -> Clear:
    def clear(_book: SlotBook, _budget: StepBudget) -> Clearing:
        raise error

    return clear


def _never_ends(_book: SlotBook, budget: StepBudget) -> Clearing:
    while True:
        budget.spend()


BAD: dict[str, tuple[Clear | Clearing, str]] = {
    "raises": (_raise(ZeroDivisionError("at 0x7f")), "contract scripted raised ZeroDivisionError"),
    "says why": (_raise(MarketError("the moon is full")), "the moon is full"),
    "never ends": (_never_ends, "the contract used more steps than it was given"),
    "is none": (lambda _b, _s: None, "contract scripted raised AttributeError"),  # type: ignore[arg-type, return-value]
    "forgets a surplus": (
        Clearing((MATCH,)),
        "ann has 5000000000 uWh over and lacks 0, but gives 3000000000 and takes 0",
    ),
    "forgets a deficit": (
        Clearing((), (Remainder("ann", GRID, 5 * KWH, 1),)),
        "bob has 0 uWh over and lacks 3000000000, but gives 0 and takes 0",
    ),
    "sells too much": (
        Clearing((MATCH._replace(energy_uwh=6 * KWH),)),
        "ann has 5000000000 uWh over and lacks 0, but gives 6000000000 and takes 0",
    ),
    "sells from who lacks": (
        Clearing((MATCH._replace(seller="bob", buyer="ann"),)),
        "ann has 5000000000 uWh over and lacks 0, but gives 0 and takes 3000000000",
    ),
    "sells to itself": (Clearing((MATCH._replace(buyer="ann"),)), "'ann' cannot sell to 'ann'"),
    "knows a stranger": (Clearing((MATCH._replace(buyer="eve"),)), "'ann' cannot sell to 'eve'"),
    "sends nowhere": (
        Clearing((MATCH,), (REST._replace(route="@moon"),)),
        "nothing can go from 'ann' to '@moon'",
    ),
    "sends for a stranger": (
        Clearing((MATCH,), (REST._replace(member="eve"),)),
        "nothing can go from 'eve' to '@grid'",
    ),
    "half a unit": (
        Clearing((MATCH._replace(energy_uwh=1.5),)),  # type: ignore[arg-type]
        "energy is a whole number of uWh above 0",
    ),
    "nothing sold": (
        Clearing((MATCH._replace(energy_uwh=0),)),
        "energy is a whole number of uWh above 0",
    ),
    "true as energy": (
        Clearing((MATCH._replace(energy_uwh=True),)),
        "energy is a whole number of uWh above 0",
    ),
    "half a price": (
        Clearing((MATCH._replace(price_utok_per_kwh=0.5),)),  # type: ignore[arg-type]
        "a price is a whole number of utok per kWh within its bounds",
    ),
    "too dear": (
        Clearing((MATCH._replace(price_utok_per_kwh=PRICE_UTOK_PER_KWH_MAX + 1),)),
        "a price is a whole number of utok per kWh within its bounds",
    ),
    "pays a stranger": (
        Clearing((MATCH,), (REST,), (), (Transfer("bob", "eve", 1, "gift"),)),
        "there is no account 'eve'",
    ),
    "takes by giving": (
        Clearing((MATCH,), (REST,), (), (Transfer("bob", "ann", -1, "gift"),)),
        "an amount is a whole number of micro-tokens, 0 or more",
    ),
    "gives too much": (
        Clearing((MATCH,), (REST,), (), (Transfer("bob", "ann", AMOUNT_UTOK_MAX + 1, "gift"),)),
        "an amount is a whole number of micro-tokens, 0 or more",
    ),
    "gives without a word": (
        Clearing((MATCH,), (REST,), (), (Transfer("bob", "ann", 1, None),)),  # type: ignore[arg-type]
        "a transfer's reason is told in words, at most 500 characters",
    ),
    "curtails a stranger": (
        Clearing((MATCH,), (REST,), (Curtailment("eve", 1, 1, 0, 0),)),
        "nothing was kept from 'eve'",
    ),
    "curtails less than nothing": (
        Clearing((MATCH,), (REST,), (Curtailment("bob", 1, 1, -1, 0),)),
        "what was wanted and had is a whole number of uWh, 0 or more",
    ),
    "remembers a float": (
        Clearing((MATCH,), (REST,), memory={"x": (1, 2.5)}),  # type: ignore[dict-item]
        "a float cannot stand in a memory",
    ),
    "remembers a list": (
        Clearing((MATCH,), (REST,), memory={"x": []}),  # type: ignore[dict-item]
        "a list cannot stand in a memory",
    ),
    "remembers by number": (
        Clearing((MATCH,), (REST,), memory={"x": {1: 2}}),  # type: ignore[dict-item]
        "a memory's keys are texts of at most 23 bytes",
    ),
    "remembers too long a name": (
        Clearing((MATCH,), (REST,), memory={"x": {"x" * 24: 2}}),
        "a memory's keys are texts of at most 23 bytes",
    ),
    "remembers too large a number": (
        Clearing((MATCH,), (REST,), memory={"x": 2**63}),
        "a number in a memory has at most 64 bits",
    ),
    "remembers a word": (
        Clearing((MATCH,), (REST,), memory="x"),  # type: ignore[arg-type]
        "a contract's memory is a map",
    ),
    "remembers too much": (
        Clearing((MATCH,), (REST,), memory={"x": b"0" * ROW_BYTES_MAX}),
        f"a row of memory of {ROW_BYTES_MAX + 5} bytes, at most {ROW_BYTES_MAX} are kept",
    ),
    "remembers under a path": (
        Clearing((MATCH,), (REST,), memory={"a/b": 1}),
        "a row of memory is named by at most 96 of a-z 0-9 @ . _ -",
    ),
    "tells of a stranger": (
        Clearing((MATCH,), (REST,), fates=(Fate("eve", "", "bid", 1, 1, 1, ""),)),
        "'eve' has no order to 'bid'",
    ),
    "matches more than was ordered": (
        Clearing((MATCH,), (REST,), fates=(Fate("ann", "", "ask", 1, 1, 2, ""),)),
        "an order is matched up to its energy",
    ),
    "counts half an order": (
        Clearing((MATCH,), (REST,), fates=(Fate("ann", "", "ask", 1.5, 1, 1, ""),)),  # type: ignore[arg-type]
        "an order counts in whole numbers",
    ),
    "counts beyond 64 bits": (
        Clearing((MATCH,), (REST,), fates=(Fate("ann", "", "ask", 2**63, 1, 1, ""),)),
        "an order counts in whole numbers",
    ),
    "curtails beyond a gigawatt-hour": (
        Clearing((MATCH,), (REST,), (Curtailment("ann", 10**15 + 1, 1, 0, 0),)),
        "what was wanted and had is a whole number of uWh, 0 or more",
    ),
    "tells what nobody can write": (
        Clearing((MATCH,), (REST,), fates=(Fate("ann", "", "ask", 1, 1, 1, "\ud800"),)),
        "what became of an order is told in words, at most 500 characters",
    ),
    "tells nothing": (
        Clearing((MATCH,), (REST,), fates=(Fate("ann", "", "ask", 1, 1, 1, None),)),  # type: ignore[arg-type]
        "what became of an order is told in words, at most 500 characters",
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_contract_leaves_the_slot_to_the_grid(name: str) -> None:
    clear, reason = BAD[name]
    slot, village = settle(clear)
    assert slot.failure == reason
    assert slot.matches == ()
    assert slot.remainders == (
        Remainder("ann", GRID, 5 * KWH, FEED_IN),
        Remainder("bob", GRID, 3 * KWH, PRICE),
    )
    assert village.state.accounts == {
        "ann": 5 * FEED_IN,
        "bob": -3 * PRICE,
        GRID: 3 * PRICE - 5 * FEED_IN,
    }
    assert village.state.memory == {}


def test_an_unknown_contract_leaves_the_slot_to_the_grid() -> None:
    village = Village(contract="gone", contracts={})
    village.meter("m", "ann", "net")
    village.read("m", 0, 0, 0)
    village.read("m", 1, KWH, 0)
    slot = village.settle(0)
    assert slot.failure == "no contract 'gone' is installed here"
    assert [line.amount_utok for line in slot.lines] == [PRICE, -PRICE]


def test_what_was_kept_back_is_on_record_in_the_fallback_too() -> None:
    from tests.support.village import cut, relay

    village = Village(contract="gone", contracts={})
    village.meter("m", "ann", "net")
    village.node("pi", (relay("heater", "ann"),))
    village.read("m", 0, 0, 0)
    village.decide(0, cut("heater", "ann", 36_000))
    village.ack("heater", 0, energised=True)
    village.read("m", 1, 5, 0)
    assert village.settle(0).curtailments == (Curtailment("ann", 36_000_005, 5, 36_000_000, 0),)


@pytest.mark.parametrize("fault", [MemoryError(), KeyboardInterrupt()])
def test_a_fault_of_this_machine_is_not_the_contracts(fault: BaseException) -> None:
    with pytest.raises(type(fault)):
        settle(_raise(fault))


def test_a_contract_cannot_reach_into_the_state() -> None:
    kept: dict[str, Any] = {"deep": {"n": 1}}

    def clear(book: SlotBook, _budget: StepBudget) -> Clearing:
        if book.slot_ms:
            book.memory["deep"]["n"] = 99  # type: ignore[index, call-overload]
            raise ValueError
        return Clearing((MATCH,), (REST,), memory=kept)

    _, village = settle(clear)
    kept["deep"]["n"] = 77
    village.close(1, "timeout")
    assert village.state.memory == {("scripted", "deep"): {"n": 1}}


def test_the_contract_sees_positions_prices_parameters_and_its_memory() -> None:
    seen: list[SlotBook] = []
    memories: list[dict[str, Any]] = []

    def clear(book: SlotBook, _budget: StepBudget) -> Clearing:
        seen.append(book)
        memories.append(dict(book.memory))
        return Clearing(
            remainders=tuple(
                Remainder(p.member, GRID, p.surplus_uwh + p.deficit_uwh, 0)
                for p in book.positions
                if p.surplus_uwh + p.deficit_uwh
            ),
            memory={"slots": len(seen)},
        )

    _, village = settle(clear)
    village.policy(1, contract="scripted", parameters={"mode": "x"})
    village.close(1, "timeout")
    assert memories == [{}, {"slots": 1}]
    assert [dict(book.parameters) for book in seen] == [{}, {"mode": "x"}]
    assert seen[0].tariff == Tariff(PRICE, FEED_IN)
    assert dict(seen[1].balances) == dict(village.state.accounts)
    assert [p.member for p in seen[1].positions] == ["ann", "bob"]
