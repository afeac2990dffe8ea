"""Paper 003's five steps: stored, offered, checked, paid into escrow, released."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.clearing import check_clearing
from hub.core.settlement import settlement
from hub.market.contract import (
    COMMUNITY,
    ESCROW,
    GRID,
    CallRequest,
    CallResult,
    Clearing,
    Position,
    Remainder,
    SlotBook,
    StepBudget,
    Tariff,
    Transfer,
    Value,
)
from hub.market.contracts.storage_escrow import StorageEscrow
from hub.market.errors import BadParameter, CallRefused

KWH = 1_000_000_000
HOUR = 3_600_000
TARIFF = Tariff(300_000, 100_000)


class Yard:
    """A storage, two who fill it and two who empty it; accounts as the fold keeps them."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters
        self.memory: dict[str, Value] = {}
        self.accounts: dict[str, int] = {"bob": 2_000_000, "cyd": 2_000_000}
        self.calls = 0
        self.slot = 0

    def call(self, member: str, method: str, **arguments: Any) -> CallResult:
        self.calls += 1
        request = CallRequest(
            member,
            self.calls.to_bytes(8, "big"),
            method,
            arguments,
            self.slot * HOUR,
            self.memory,
            HOUR,
            self.calls,
            (),
            self.parameters,
            TARIFF,
            self.accounts,
        )
        result = StorageEscrow().call(request, StepBudget())
        for move in result.transfers:
            self._move(move)
        self._keep(result.memory)
        return result

    def clear(self, **kwh: int) -> Clearing:
        """Settle a slot; energy of each member, above 0 is given. [kWh]"""
        positions = tuple(
            Position(name, name, name, max(net, 0) * KWH, max(-net, 0) * KWH)
            for name, net in sorted(kwh.items())
        )
        book = SlotBook(
            self.slot * HOUR,
            HOUR,
            positions,
            TARIFF,
            self.parameters,
            self.memory,
            balances=dict(self.accounts),
        )
        clearing = StorageEscrow().clear(book, StepBudget())
        check_clearing(book, clearing)
        found = settlement(book, clearing)
        assert found.checks.limits_kept, found.checks
        for line in found.lines:
            self.accounts[line.account] = self.accounts.get(line.account, 0) + line.amount_utok
        self._keep(clearing.memory)
        self.slot += 1
        return clearing

    def _move(self, move: Transfer) -> None:
        for account, amount in ((move.payer, -move.amount_utok), (move.payee, move.amount_utok)):
            self.accounts[account] = self.accounts.get(account, 0) + amount

    def _keep(self, changed: Any) -> None:
        self.memory.update(changed)
        self.memory = {key: value for key, value in self.memory.items() if value is not None}


SHUT = {"supply.storage": "held"}
"""What the contract remembers while nothing is to be released."""


def filled(**parameters: Any) -> Yard:
    """Ann put in 6 kWh and bea 3."""
    yard = Yard(**parameters)
    yard.clear(ann=6, bea=3, storage=-9, bob=0, cyd=0)
    return yard


def reasons(clearing: Clearing) -> dict[str, str]:
    return {fate.member: fate.reason for fate in clearing.fates}


def test_the_five_steps() -> None:
    yard = filled()
    assert yard.memory == {"credit.ann": 6 * KWH, "credit.bea": 3 * KWH, **SHUT}
    sale = yard.call("ann", "sell", price_utok_per_kwh=200_000, energy_uwh=5 * KWH).answer["sale"]
    bought = yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    assert bought.transfers == (Transfer("bob", ESCROW, 400_000, "set aside"),)
    found = yard.clear(ann=0, bea=0, storage=2, bob=-3, cyd=0)
    assert [(m.seller, m.buyer, m.energy_uwh // KWH) for m in found.matches] == [
        ("storage", "bob", 2)
    ]
    assert found.remainders == (Remainder("bob", GRID, KWH, 300_000),)
    assert yard.accounts == {
        "ann": 400_000,
        "bea": 0,
        "bob": 2_000_000 - 400_000 - 300_000,
        "cyd": 2_000_000,
        "storage": 0,
        ESCROW: 0,
        GRID: 300_000,
    }
    assert yard.memory == {
        "credit.ann": KWH,
        "credit.bea": 3 * KWH,
        f"sale.{sale}": ("ann", 200_000, 3 * KWH),
        **SHUT,
    }


def test_a_claim_beyond_what_the_storage_attests_is_refused() -> None:
    yard = filled()
    with pytest.raises(CallRefused, match="attests 3000000000 uWh of yours, the sale claims 3000"):
        yard.call("bea", "sell", price_utok_per_kwh=1, energy_uwh=3 * KWH + 1)
    with pytest.raises(CallRefused, match="attests 0 uWh of yours"):
        yard.call("bob", "sell", price_utok_per_kwh=1, energy_uwh=1)


def test_a_purchase_is_checked_for_balance_and_what_is_left() -> None:
    yard = filled()
    sale = yard.call("ann", "sell", price_utok_per_kwh=900_000, energy_uwh=5 * KWH).answer["sale"]
    with pytest.raises(CallRefused, match="your balance of 2000000 utok does not pay 2700000"):
        yard.call("bob", "buy", sale=sale, energy_uwh=3 * KWH)
    with pytest.raises(CallRefused, match="the sale has 5000000000 uWh left"):
        yard.call("bob", "buy", sale=sale, energy_uwh=6 * KWH)
    with pytest.raises(CallRefused, match="nobody buys what he sells or stores"):
        yard.call("ann", "buy", sale=sale, energy_uwh=1)
    with pytest.raises(CallRefused, match="there is no sale 'x'"):
        yard.call("bob", "buy", sale="x", energy_uwh=1)


def test_fees_are_checked_by_name() -> None:
    yard = filled(call_fee_utok=9)
    with pytest.raises(CallRefused, match="the call lacks its fee: it offers 8 utok of 9"):
        yard.call("ann", "sell", price_utok_per_kwh=1, energy_uwh=1, fee_utok=8)
    assert yard.call("ann", "sell", price_utok_per_kwh=1, energy_uwh=1, fee_utok=9).transfers == (
        Transfer("ann", COMMUNITY, 9, "fee of a call"),
    )


def test_a_full_storage_refuses_by_name() -> None:
    yard = Yard(capacity_uwh=6 * KWH)
    found = yard.clear(ann=6, bea=3, storage=-9)
    assert yard.memory == {"credit.ann": 4 * KWH, "credit.bea": 2 * KWH, **SHUT}
    assert reasons(found) == {
        "ann": "the storage storage is full",
        "bea": "the storage storage is full",
        "storage": "the rest of what it drew is the grid's",
    }
    assert not yard.clear(ann=1, storage=-1).matches


@pytest.mark.parametrize(("loss", "credit"), [("seller", 5_400_000_000), ("storage", 6 * KWH)])
def test_who_bears_the_loss_is_a_parameter(loss: str, credit: int) -> None:
    yard = filled(efficiency_ppm=900_000, loss=loss)
    assert yard.memory["credit.ann"] == credit


def test_it_waits_until_a_purchase_is_final_and_serves_in_order() -> None:
    yard = filled(release_slots=1)
    sale = yard.call("ann", "sell", price_utok_per_kwh=100_000, energy_uwh=6 * KWH).answer["sale"]
    yard.call("cyd", "buy", sale=sale, energy_uwh=2 * KWH)
    yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    early = yard.clear(ann=0, bea=0, storage=3, bob=-2, cyd=-2)
    assert not early.matches
    assert reasons(early)["bob"] == "the purchase is not final yet"
    found = yard.clear(ann=0, bea=0, storage=3, bob=-2, cyd=-2)
    assert [(m.buyer, m.energy_uwh // KWH) for m in found.matches] == [("cyd", 2), ("bob", 1)]
    assert reasons(found) == {"cyd": "", "bob": "the storage released no more", "storage": ""}
    assert yard.accounts["ann"] == 300_000
    assert yard.accounts[ESCROW] == 100_000


def test_what_expires_is_refunded_and_the_energy_is_the_sellers_again() -> None:
    yard = filled(expires_slots=2)
    sale = yard.call("ann", "sell", price_utok_per_kwh=100_000, energy_uwh=6 * KWH).answer["sale"]
    yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    yard.clear(ann=0, storage=1, bob=-2)
    assert yard.accounts[ESCROW] == 100_000
    found = yard.clear(ann=0, storage=0, bob=-2)
    assert found.transfers == (Transfer(ESCROW, "bob", 100_000, "refund"),)
    assert yard.accounts[ESCROW] == 0
    assert yard.memory == {
        "credit.ann": KWH,
        "credit.bea": 3 * KWH,
        f"sale.{sale}": ("ann", 100_000, 4 * KWH),
        **SHUT,
    }
    yard.call("ann", "cancel", sale=sale)
    assert yard.memory["credit.ann"] == 5 * KWH


def test_the_storage_keeps_its_part() -> None:
    yard = filled(storage_fee_ppm=100_000)
    sale = yard.call("ann", "sell", price_utok_per_kwh=100_000, energy_uwh=6 * KWH).answer["sale"]
    yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    yard.clear(ann=0, storage=2, bob=-2)
    assert (yard.accounts["ann"], yard.accounts["storage"]) == (180_000, 20_000)


def test_a_seller_who_left_is_paid_all_the_same() -> None:
    yard = filled()
    sale = yard.call("ann", "sell", price_utok_per_kwh=100_000, energy_uwh=6 * KWH).answer["sale"]
    yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    yard.clear(storage=2, bob=-2)
    assert yard.accounts["ann"] == 200_000


def test_parts_of_a_micro_token_are_not_lost_in_escrow() -> None:
    yard = filled()
    sale = yard.call("ann", "sell", price_utok_per_kwh=1, energy_uwh=6 * KWH).answer["sale"]
    yard.call("bob", "buy", sale=sale, energy_uwh=3 * KWH)
    for _ in range(3):
        yard.clear(ann=0, storage=1, bob=-1)
    assert yard.accounts[ESCROW] == 0
    assert yard.accounts["ann"] == 3


def test_parameters_and_calls_are_checked() -> None:
    with pytest.raises(BadParameter, match="storage is the name of a member, not 'A b'"):
        StorageEscrow().check({"storage": "A b"})
    with pytest.raises(CallRefused, match="no call 'lend'; there are: sell, buy, cancel"):
        Yard().call("ann", "lend")


def test_the_storage_is_open_only_while_a_purchase_may_be_served() -> None:
    yard = filled()
    sale = yard.call("ann", "sell", price_utok_per_kwh=100_000, energy_uwh=6 * KWH).answer["sale"]
    assert SHUT.items() <= yard.memory.items()
    yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    assert "supply.storage" not in yard.memory
    yard.clear(ann=0, storage=1, bob=-2)
    assert "supply.storage" not in yard.memory
    yard.clear(ann=0, storage=1, bob=-2)
    assert SHUT.items() <= yard.memory.items()


def test_the_storage_stays_shut_until_a_purchase_is_final() -> None:
    yard = filled(release_slots=2, expires_slots=1)
    sale = yard.call("ann", "sell", price_utok_per_kwh=100_000, energy_uwh=6 * KWH).answer["sale"]
    yard.call("bob", "buy", sale=sale, energy_uwh=2 * KWH)
    is_shut = ["supply.storage" in yard.memory]
    for _ in range(3):
        yard.clear(ann=0, storage=0, bob=-2)
        is_shut.append("supply.storage" in yard.memory)
    assert is_shut == [True, True, False, True]
