"""Paper 002's table 2, hour by hour to the printed digit; deposits, payouts and empty purses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.effects import CallFailed, CallServed
from hub.core.settlement import settlement
from hub.market.contract import (
    BANK,
    GRID,
    CallRequest,
    Clearing,
    Fate,
    Position,
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
    Value,
)
from hub.market.contracts.energy_token import EnergyToken, surplus_uwh
from hub.market.errors import CallRefused
from tests.support.village import HOUR, Village, settled

DAY = json.loads((Path(__file__).parents[3] / "vectors/market/energy_token.json").read_text())
TOKEN = 1_000_000
MILLI_WH = 1_000
PRIORITY = {"priority": "node2,node3", "grid": "outside"}
NODES = ("node1", "node2", "node3")
HOURS = range(len(DAY["surplus_wh_e-3"]))


class Day:
    """Plays slots on accounts of its own, as the fold would."""

    def __init__(self, tokens: int = 100 * TOKEN, **parameters: Any) -> None:
        self.parameters = PRIORITY | parameters
        self.balances = dict.fromkeys(NODES, tokens)
        self.memory: dict[str, Value] = {}
        self.hour = 7

    def play(self, surplus: int, *wanted: int) -> Clearing:
        positions = (
            Position("node1", "pv", "pv", surplus, 0),
            *(
                Position(name, name, name, 0, energy)
                for name, energy in zip(NODES[1:], wanted, strict=True)
            ),
        )
        book = SlotBook(
            self.hour * HOUR,
            HOUR,
            positions,
            Tariff(300_000, 100_000),
            self.parameters,
            self.memory,
            balances=self.balances,
        )
        clearing = EnergyToken().clear(book, StepBudget())
        check_clearing(book, clearing)
        for line in settlement(book, clearing).lines:
            held = self.balances.get(line.account, 0)
            self.balances[line.account] = held + line.amount_utok
        for key, value in clearing.memory.items():
            self.memory[key] = value
            if value is None:
                del self.memory[key]
        self.hour += 1
        return clearing


def test_table_2_hour_by_hour_to_the_printed_digit() -> None:
    day = Day()
    for hour in HOURS:
        sold = DAY["node2_wh_e-3"][hour] + DAY["node3_wh_e-3"][hour]
        day.play(
            sold * MILLI_WH,
            DAY["node2_wh_e-3"][hour] * MILLI_WH,
            10**12,  # node 3 takes what is left
        )
        told = [f"{day.balances[node] / TOKEN:.3f}" for node in NODES]
        assert told == [DAY[f"{node}_tokens"][hour] for node in NODES], f"{7 + hour}:00"
        assert all(day.balances[node] % 1_000 == 0 for node in NODES)


def test_the_papers_surplus_is_not_all_sold() -> None:
    """At 10:00 and 11:00 its surplus exceeds what its buyers bought."""
    day = Day()
    left = []
    for hour in HOURS:
        bought = [DAY[f"{node}_wh_e-3"][hour] * MILLI_WH for node in NODES[1:]]
        found = day.play(DAY["surplus_wh_e-3"][hour] * MILLI_WH, *bought)
        left.append(sum(row.energy_uwh for row in found.remainders))
    assert left == [0, 0, 0, 381_665_000, 251_295_000, 0, 0, 0, 0]
    assert day.balances["node1"] == 190_834_000


def test_equation_1_of_the_table_is_the_sum_of_its_positives() -> None:
    day = [0] * 7 + [wh * MILLI_WH for wh in DAY["surplus_wh_e-3"]] + [0] * 8
    assert surplus_uwh(day, [0] * 24) == (14_257_980_000, 14_257_980_000)
    assert surplus_uwh([0, 0], [1, 0]) == (0, 0)


def test_a_buyer_is_served_up_to_his_tokens_and_told() -> None:
    day = Day(tokens=2 * TOKEN, grid="tariff")
    found = day.play(10**9, 10**9, 10**9)
    assert [(m.buyer, m.energy_uwh) for m in found.matches] == [
        ("node2", 300_000_000),
        ("node3", 300_000_000),
    ]
    assert found.fates == (
        Fate("node1", "", "ask", 10**9, 100_000, 600_000_000, "no buyer with tokens was left"),
        Fate("node2", "", "bid", 10**9, 300_000, 300_000_000, "his tokens pay for 300000000 uWh"),
        Fate("node3", "", "bid", 10**9, 300_000, 300_000_000, "his tokens pay for 300000000 uWh"),
    )
    assert Remainder("node2", GRID, 700_000_000, 300_000) in found.remainders
    assert day.balances["node1"] == 6 * TOKEN + 40_000
    assert not day.play(10**9, 10**9, 0).matches


def test_no_payment_is_lost_between_quanta() -> None:
    day = Day()
    for _ in range(1_500):
        day.play(100_000, 100_000, 0)  # a tenth of a Wh: two thirds of a quantum
    assert day.balances["node2"] == 100 * TOKEN - 1_000 * 1_000
    assert day.balances["node1"] == 100 * TOKEN + 1_000 * 1_000


def test_tokens_are_paid_out_once_they_are_confirmed() -> None:
    day = Day(confirmations=2, payout_slots=4)
    paid = []
    for _ in range(5):
        found = day.play(150_000_000, 150_000_000, 0)
        paid.append([move.amount_utok for move in found.transfers if move.payee == BANK])
    # 7:00 is the eighth slot of the day: the interval ends there, and with the twelfth.
    assert paid == [[], [], [], [], [3 * TOKEN]]
    assert day.balances["node1"] == 102 * TOKEN


def call(method: str, *roles: str, memory: Any = (), **arguments: Any) -> Any:
    request = CallRequest(
        "node1",
        bytes(8),
        method,
        arguments,
        9 * HOUR,
        dict(memory),
        HOUR,
        roles=roles,
        parameters={"sale": "called"},
        balances={"node1": 5 * TOKEN},
    )
    return EnergyToken().call(request, StepBudget())


def test_only_the_bank_mints() -> None:
    minted = call("deposit", "bank", member="node2", amount_utok=7)
    assert minted.transfers == (Transfer(BANK, "node2", 7, "deposit"),)
    with pytest.raises(CallRefused, match="deposit takes a key with the office of bank"):
        call("deposit", "regulator", member="node2", amount_utok=7)


def test_only_confirmed_tokens_are_burnt() -> None:
    earned = {"earned.node1": (3 * TOKEN, ((8 * HOUR, TOKEN),))}
    found = call("pay_out", memory=earned, amount_utok=3 * TOKEN)
    assert found.transfers == (Transfer("node1", BANK, 3 * TOKEN, "paid out by the bank"),)
    assert found.memory == {"earned.node1": (0, ((8 * HOUR, TOKEN),))}
    with pytest.raises(CallRefused, match="3000000 utok are confirmed, not 3000001"):
        call("pay_out", memory=earned, amount_utok=3 * TOKEN + 1)


def test_stored_energy_is_sold_by_a_call() -> None:
    day = Day(sale="called")
    assert not day.play(10**9, 10**9, 0).matches
    sold = call("sell", energy_uwh=300_000_000, slot_ms=9 * HOUR)
    day.hour = 9
    day.memory.update(sold.memory)
    assert [m.energy_uwh for m in day.play(10**9, 10**9, 0).matches] == [300_000_000]
    assert "sale.node1" not in day.memory
    with pytest.raises(CallRefused, match="sell is for one of the slots"):
        call("sell", energy_uwh=1, slot_ms=8 * HOUR)


def test_a_token_dearer_than_the_grid_is_no_bargain() -> None:
    """The counter-example: buyers pay 6.67 tokens a kWh where the grid wants 0.3."""
    book = SlotBook(
        0,
        HOUR,
        (Position("a", "a", "a", 10**9, 0), Position("b", "b", "b", 0, 10**9)),
        Tariff(300_000, 100_000),
        {},
        {},
        balances={"b": 10 * TOKEN},
    )
    clearing = EnergyToken().clear(book, StepBudget())
    found = settlement(book, clearing)
    paid = -sum(line.amount_utok for line in found.lines if line.account == "b")
    assert paid == 6_667_000
    assert found.checks.losers == ("b",)
    assert found.checks.worst_utok_per_kwh == 300_000 - 6_666_667


def test_tokens_on_the_ledger() -> None:
    village = Village(contract="energy_token", parameters={"grid": "outside"})
    bank, ann = village.person("mint", "bank"), village.person("ann")
    village.meter("pv", "ann", "generation")
    village.meter("load", "bob", "consumption")
    for slot in (0, 1):
        village.read("pv", slot, exported=0)
        village.read("load", slot, imported=0)
    village.close(0)
    (minted,) = village.call(
        bank,
        contract="energy_token",
        method="deposit",
        arguments={"member": "bob", "amount_utok": 4 * TOKEN},
    )
    assert isinstance(minted, CallServed)
    village.read("pv", 2, exported=300_000_000)
    village.read("load", 2, imported=900_000_000)
    village.close(1)
    assert village.state.accounts["bob"] == 2 * TOKEN
    (paid,) = village.call(
        ann,
        contract="energy_token",
        method="pay_out",
        arguments={"amount_utok": 2 * TOKEN},
        call_id=bytes(9),
    )
    assert isinstance(paid, CallServed | CallFailed)
    assert isinstance(paid, CallServed), paid
    assert sum(village.state.accounts.values()) == 0
    assert village.state.accounts[BANK] == -2 * TOKEN
    assert settled(village.close(2, "timeout")).failure == ""
    assert village.replay().root() == village.state.root()
