"""The bank: minted against deposits, paid out at intervals, under every market contract."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest

from hub.core.effects import CallFailed, CallServed, Line, SlotSettled
from hub.core.events import Event
from hub.core.results import result_rows
from hub.core.rights import cell
from hub.core.state import State
from hub.market.catalog import CONTRACTS
from hub.market.contract import BANK
from keys.file import FileSigner
from messages.banking import AMOUNT_UTOK_MAX, BankRules, bank_rules_fault, usual_bank_rules
from messages.entries import Call, PolicyEntry
from tests.support.village import HOUR, KWH, Village, ignored, settled

RULES = BankRules(2)
"""Payouts with the close of each second slot: 1, 3, 5."""


class Banked:
    """A village with a bank, and ann, who feeds nothing in and draws nothing unless told."""

    def __init__(self, rules: BankRules | None = RULES, **policy: Any) -> None:
        self.village = Village(bank=rules, **policy)
        self.bank = self.village.person("bank", "bank")
        self.ann = self.village.person("ann")
        self.village.meter("ann-load", "ann", "consumption")
        self.village.read("ann-load", 0, imported=0)
        self.slot = self.calls = self.used_uwh = 0
        self.close()

    @property
    def state(self) -> State:
        return self.village.state

    def ask(self, signer: FileSigner, method: str, **arguments: Any) -> tuple[Any, ...]:
        self.calls += 1
        call_id = self.calls.to_bytes(16, "big")
        effects = self.village.call(
            signer, call_id, contract="bank", method=method, arguments=arguments
        )
        assert sum(self.state.accounts.values()) == 0
        return effects

    def answer(self, signer: FileSigner, method: str, **arguments: Any) -> Any:
        (served,) = self.ask(signer, method, **arguments)
        assert isinstance(served, CallServed), served
        return served.answer

    def refusal(self, signer: FileSigner, method: str, **arguments: Any) -> str:
        before = self.state.copy()
        (failed,) = self.ask(signer, method, **arguments)
        assert isinstance(failed, CallFailed), failed
        assert (self.state.accounts, self.state.payouts) == (before.accounts, before.payouts)
        return failed.reason

    def deposit(self, amount: int) -> None:
        self.answer(self.bank, "deposit", member="ann", amount_utok=amount)

    def close(self, used_uwh: int = 0) -> SlotSettled:
        self.used_uwh += used_uwh
        self.village.read("ann-load", self.slot + 1, imported=self.used_uwh)
        self.slot += 1
        found = settled(self.village.close(self.slot - 1))
        assert sum(self.state.accounts.values()) == 0
        return found

    def balance(self, account: str = "ann") -> int:
        return self.state.accounts.get(account, 0)


def moves(slot: SlotSettled) -> list[tuple[str, int, str]]:
    return [(x.account, x.amount_utok, x.quality) for x in slot.lines if x.kind == "transfer"]


@pytest.mark.parametrize("contract", sorted(CONTRACTS))
def test_it_mints_and_pays_out_under_every_contract(contract: str) -> None:
    banked = Banked(contract=contract)
    (served,) = banked.ask(banked.bank, "deposit", member="ann", amount_utok=700)
    assert isinstance(served, CallServed)
    assert served.answer == {"minted_utok": 700}
    assert served.lines == (
        Line("ann", "transfer", BANK, 0, 0, 700, "deposit"),
        Line(BANK, "transfer", "ann", 0, 0, -700, "deposit"),
    )
    assert (banked.balance(), banked.balance(BANK)) == (700, -700)
    asked = banked.answer(banked.ann, "payout", amount_utok=300)
    assert asked == {"asked_utok": 300, "slot_ms": HOUR}
    paid = banked.close()
    assert paid.failure == ""
    assert moves(paid) == [(BANK, 300, "payout"), ("ann", -300, "payout")]
    assert (banked.balance(), banked.balance(BANK), banked.state.payouts) == (400, -400, {})
    assert banked.village.replay().root() == banked.state.root()


def test_a_payout_stands_on_the_member_s_own_bill() -> None:
    banked = Banked()
    banked.deposit(700)
    banked.answer(banked.ann, "payout", amount_utok=300)
    rows = list(result_rows(banked.close(), banked.balance))
    bills = {row[3]: row for row in rows if row[0] == "bill"}
    assert bills["ann"][4] == 400
    assert bills["ann"][-1] == [Line("ann", "transfer", BANK, 0, 0, -300, "payout")]
    assert bills[BANK][4] == -400


def test_payouts_wait_for_their_interval() -> None:
    banked = Banked(BankRules(4))
    banked.deposit(700)
    assert banked.answer(banked.ann, "payout", amount_utok=300)["slot_ms"] == 3 * HOUR
    assert [moves(banked.close()) != [] for _ in range(4)] == [False, False, True, False]


def test_a_new_wish_takes_the_place_of_the_old_one_and_can_be_taken_back() -> None:
    banked = Banked()
    banked.deposit(700)
    banked.answer(banked.ann, "payout", amount_utok=300)
    banked.answer(banked.ann, "payout", amount_utok=200)
    assert banked.state.payouts == {"ann": 200}
    assert banked.answer(banked.ann, "withdraw") == {"asked_utok": 0}
    assert banked.refusal(banked.ann, "withdraw") == "ann waits for no payout"
    assert moves(banked.close()) == []
    assert banked.balance() == 700


def test_who_has_spent_it_is_paid_what_is_left_and_the_rest_waits() -> None:
    banked = Banked(prices=((0, 100),))
    banked.deposit(700)
    banked.answer(banked.ann, "payout", amount_utok=700)
    assert moves(banked.close(4 * KWH)) == [(BANK, 300, "payout"), ("ann", -300, "payout")]
    assert (banked.balance(), banked.state.payouts) == (0, {"ann": 400})
    banked.close(KWH)  # she owes now, and nobody pays out what is owed
    assert moves(banked.close()) == []
    banked.deposit(600)
    banked.close()
    banked.close()
    assert (banked.balance(), banked.state.payouts) == (100, {})


def test_limits() -> None:
    banked = Banked(BankRules(2, 10, 500, 600, 1_000))
    said = "a deposit is of 1 to 600 utok, not "
    for amount in (601, 0, -1):
        reason = banked.refusal(banked.bank, "deposit", member="ann", amount_utok=amount)
        assert reason == said + str(amount)
    banked.deposit(600)
    reason = banked.refusal(banked.bank, "deposit", member="ann", amount_utok=401)
    assert reason == "1000 utok circulate at most: there is room for 400"
    banked.deposit(400)
    for amount in (9, 501):
        reason = banked.refusal(banked.ann, "payout", amount_utok=amount)
        assert reason == f"a payout is of 10 to 500 utok, not {amount}"
    banked.answer(banked.ann, "payout", amount_utok=500)
    banked.close()
    assert banked.balance() == 500
    assert banked.refusal(banked.bank, "payout", amount_utok=10) == "your balance is 0 utok, not 10"


def test_who_may_what() -> None:
    banked = Banked()
    refused = ignored(banked.ask(banked.ann, "deposit", member="ann", amount_utok=5))
    assert refused == "a bank deposit entry is signed by bank, not by member ann"
    assert banked.refusal(banked.bank, "deposit", member="eve", amount_utok=5) == (
        "no member 'eve' has a key that counts"
    )
    assert banked.refusal(banked.bank, "deposit", member=BANK, amount_utok=5).startswith(
        "no member"
    )
    assert "takes member, amount_utok" in banked.refusal(banked.bank, "deposit", amount=5)
    assert "no method 'mint'" in banked.refusal(banked.ann, "mint")


def test_rules_stay_until_a_policy_says_others() -> None:
    banked = Banked()
    banked.village.policy(4, contract="double_auction")
    banked.village.policy(6, bank=BankRules(5))
    found = [banked.state.policies[slot * HOUR].bank for slot in (0, 4, 6)]
    assert found == [astuple(RULES), astuple(RULES), astuple(BankRules(5))]
    assert Banked(None).state.policies[0].bank is None
    assert usual_bank_rules(HOUR) == BankRules(24)


def test_only_an_administrator_changes_them() -> None:
    banked = Banked()
    boss = banked.village.person("boss", "manager")
    entry = banked.village.entries[1].event.body
    assert isinstance(entry, PolicyEntry)
    refused = banked.village.put(boss, _from(entry, BankRules(3)))
    assert "a policy prices entry is signed by administrator" in ignored(refused)
    assert cell(banked.state, _event(banked, boss, _from(entry, None))) == "policy rules"
    assert cell(banked.state, _event(banked, boss, _from(entry, RULES))) == "policy rules"


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        (BankRules(0), "bank: payout_slots is from 1 to 100000"),
        (BankRules(1, 0), f"bank: payout_min_utok is from 1 to {AMOUNT_UTOK_MAX}"),
        (BankRules(1, 9, 8), "bank: payout_min_utok is at most payout_max_utok"),
        (BankRules(1, 1, 1, 1, 10**15 + 1), "bank: circulating_max_utok is from 1"),
    ],
)
def test_rules_that_nobody_could_follow(rules: BankRules, fault: str) -> None:
    assert bank_rules_fault(rules).startswith(fault)
    village = Village()
    assert ignored(village.policy(2, bank=rules)).startswith(fault)


def test_a_deposit_that_is_repeated_counts_once() -> None:
    banked = Banked()
    call = Call(b"7" * 16, 9 * HOUR, "bank", "deposit", {"member": "ann", "amount_utok": 5})
    banked.village.put(banked.bank, call)
    assert "counted once already" in ignored(banked.village.put(banked.bank, call))
    assert banked.balance() == 5


def _from(entry: PolicyEntry, rules: BankRules | None) -> PolicyEntry:
    return replace(entry, from_slot_ms=5 * HOUR, bank=rules)


def _event(banked: Banked, signer: FileSigner, body: Any) -> Any:
    return Event(99, b"", signer.public.kid, body)
